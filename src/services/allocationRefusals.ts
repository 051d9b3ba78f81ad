/**
 * What each outcome of a call on a key means: an answer, or the error of its name. Pure; every outcome is listed, so that one
 * that is new to the database is a defect here and not a wrong answer.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Allocation, Released } from "../contract/allocation.ts"
import {
  AddressCooling,
  AddressDraining,
  AddressOutside,
  AddressReserved,
  AddressTaken,
  AllocationExpired,
  Drifted,
  KeyExpired,
  KeyReleased,
  KeyReused,
  NotFound,
  OperationEnded,
  PoolExhausted,
  UnknownPool,
} from "../errors/errors.ts"
import { DEFAULT } from "../domain/identity.ts"
import { Time } from "../domain/time.ts"
import type { Row } from "../database/Database.ts"
import { outcomeOf, reader, releaseDetailOf, textOf, toAllocation, toReleased } from "./rows.ts"

/** Why an allocate was refused. */
export type AllocateRefusal =
  | UnknownPool
  | PoolExhausted
  | KeyReused
  | KeyReleased
  | KeyExpired
  | OperationEnded
  | AddressTaken
  | AddressCooling
  | AddressReserved
  | AddressDraining
  | AddressOutside
  | Drifted

/** Why a confirm or an extend was refused. */
export type HoldRefusal = NotFound | AllocationExpired | KeyReleased

/** What one slot asked for; `many` when it has siblings, so that its error names it. */
export interface Asked {
  readonly vrf: string
  readonly requestId: string
  readonly slot: string
  readonly pool: string
  readonly address?: string | undefined
  readonly many: boolean
}

const allocateOutcomes = [
  "allocated",
  "replayed",
  "withheld",
  "exhausted",
  "address_taken",
  "address_cooling",
  "address_reserved",
  "address_draining",
  "address_outside",
  "unknown_pool",
  "key_reused",
  "key_released",
  "key_expired",
  "operation_ended",
  "drifted",
] as const

/** The answer to one slot of an allocate. `withheld` stands for a slot that went without only because of a sibling. */
export const readAllocate = (row: Row, asked: Asked): Result.Result<Allocation, AllocateRefusal | "withheld"> => {
  const outcome = outcomeOf(row, allocateOutcomes)
  const pool = textOf(row, "pool") ?? asked.pool
  const key = { vrf: asked.vrf, requestId: asked.requestId, slot: asked.slot }
  const place = { vrf: asked.vrf, pool, slot: asked.many ? asked.slot : undefined }
  const address = { ...place, address: asked.address ?? textOf(row, "address") ?? "" }
  const detail = row["detail"]
  switch (outcome) {
    case "allocated":
    case "replayed":
      return Result.succeed(toAllocation(row))
    case "withheld":
      return Result.fail(outcome)
    case "exhausted":
      return Result.fail(new PoolExhausted({ ...place, ...exhausted(detail) }))
    case "address_taken":
      return Result.fail(new AddressTaken({ ...address, ...taken(detail) }))
    case "address_cooling":
      return Result.fail(new AddressCooling({ ...address, ...cooling(detail) }))
    case "address_reserved":
      return Result.fail(new AddressReserved(address))
    case "address_draining":
      return Result.fail(new AddressDraining(address))
    case "address_outside":
      return Result.fail(new AddressOutside(address))
    case "unknown_pool":
      return Result.fail(new UnknownPool({ ...place, pool: asked.pool, ...elsewhere(detail) }))
    case "key_reused":
      return Result.fail(new KeyReused({ ...key, ...reused(detail) }))
    case "key_released":
      return Result.fail(new KeyReleased({ ...key, ...releaseDetailOf(detail) }))
    case "key_expired":
      return Result.fail(new KeyExpired(key))
    case "operation_ended":
      return Result.fail(new OperationEnded({ ...key, ...ended(detail) }))
    case "drifted": {
      const found = `${drifted(detail).address} is free and held at once`
      const finding = { check: "free and held", vrf: asked.vrf, pool, detail: found, repair: null }
      return Result.fail(new Drifted({ findings: [finding], slot: place.slot }))
    }
  }
}

const holdOutcomes = ["confirmed", "extended", "withheld", "not_found", "expired", "key_released"] as const

/** The answer to one slot of a confirm or an extend. `withheld` stands for a slot that stays as it is only because of a sibling. */
export const readHold = (
  row: Row,
  key: { readonly vrf: string; readonly requestId: string },
): Result.Result<Allocation, HoldRefusal | "withheld"> => {
  const outcome = outcomeOf(row, holdOutcomes)
  const whole = { vrf: key.vrf, requestId: key.requestId, slot: textOf(row, "slot") ?? "" }
  switch (outcome) {
    case "confirmed":
    case "extended":
      return Result.succeed(toAllocation(row))
    case "withheld":
      return Result.fail(outcome)
    case "not_found":
      return Result.fail(new NotFound({ what: "allocation", ...whole }))
    case "expired":
      return Result.fail(new AllocationExpired({ ...whole, releasedAt: releaseDetailOf(row["detail"]).releasedAt }))
    case "key_released":
      return Result.fail(new KeyReleased({ ...whole, ...releaseDetailOf(row["detail"]) }))
  }
}

/** The answer to a release: it refuses nothing. */
export const readRelease = (row: Row): Released => {
  outcomeOf(row, ["released", "already_released"])
  return toReleased(row)
}

/** A list by pool answers one row when there is no such pool: no rows would say that nothing is held. */
export const readUnknownPool = (
  rows: ReadonlyArray<Row>,
  { vrf = DEFAULT, pool }: { readonly vrf?: string | undefined; readonly pool?: string | undefined },
): UnknownPool | undefined => {
  const [row] = rows
  return pool === undefined || row?.["outcome"] !== "unknown_pool"
    ? undefined
    : new UnknownPool({ vrf, pool, vrfs: elsewhere(row["detail"]).vrfs })
}

const count = Schema.BigIntFromString

const exhausted = reader(
  "an exhaustion",
  Schema.Struct({
    held: count,
    expired: count,
    cooling: count,
    reserved: count,
    draining: count,
    size: count,
    at: Time,
    nextFreeAt: Schema.NullOr(Time),
  }),
)
const taken = reader(
  "a holder",
  Schema.Struct({ heldBy: Schema.NullOr(Schema.Struct({ kind: Schema.String, id: Schema.String })) }),
)
const cooling = reader("a cooldown", Schema.Struct({ until: Time }))
const elsewhere = reader("an unknown pool", Schema.Struct({ vrfs: Schema.Array(Schema.String) }))
const reused = reader("a reused key", Schema.Struct({ differs: Schema.Array(Schema.String) }))
const ended = reader("an ended operation", Schema.Struct({ status: Schema.String }))
const drifted = reader("a drift", Schema.Struct({ address: Schema.String }))
