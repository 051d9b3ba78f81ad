/**
 * What each outcome of a call on a pool means: the pool, or the error of its name. Pure.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  AddressOutside,
  NotFound,
  PoolExists,
  PoolInUse,
  RangeInUse,
  RangeOverlaps,
  UnknownPool,
} from "../errors/errors.ts"
import { Holder } from "../errors/poolErrors.ts"
import type { Pool, Reservation } from "../contract/pool.ts"
import type { Row } from "../database/Database.ts"
import { outcomeOf, reader, toPool, toReservation } from "./rows.ts"

/** The pool that a call was about, as the caller named it. */
interface AskedPool {
  readonly vrf: string
  readonly pool: string
}
interface AskedRange extends AskedPool {
  readonly range: string
}

const unknownPool = (row: Row, { vrf, pool }: AskedPool) =>
  Result.fail(new UnknownPool({ vrf, pool, vrfs: elsewhere(row["detail"]).vrfs }))

const overlaps = (row: Row, { vrf, pool }: AskedPool) =>
  Result.fail(new RangeOverlaps({ vrf, pool, other: other(row["detail"]) }))

export const readCreated = (row: Row, asked: AskedPool): Result.Result<Pool, PoolExists | RangeOverlaps> => {
  const outcome = outcomeOf(row, ["created", "exists", "pool_exists", "range_overlaps"])
  switch (outcome) {
    case "created":
    case "exists":
      return Result.succeed(toPool(row))
    case "pool_exists":
      return Result.fail(
        new PoolExists({
          vrf: asked.vrf,
          pool: asked.pool,
          differs: difference(row["detail"]).differs.map((part) => fieldOf[part] ?? part),
        }),
      )
    case "range_overlaps":
      return overlaps(row, asked)
  }
}

export const readFound = (row: Row, asked: AskedPool): Result.Result<Pool, UnknownPool> => {
  const outcome = outcomeOf(row, ["found", "unknown_pool"])
  switch (outcome) {
    case "found":
      return Result.succeed(toPool(row))
    case "unknown_pool":
      return unknownPool(row, asked)
  }
}

export const readAdded = (row: Row, asked: AskedPool): Result.Result<Pool, UnknownPool | RangeOverlaps> => {
  const outcome = outcomeOf(row, ["added", "exists", "range_overlaps", "unknown_pool"])
  switch (outcome) {
    case "added":
    case "exists":
      return Result.succeed(toPool(row))
    case "range_overlaps":
      return overlaps(row, asked)
    case "unknown_pool":
      return unknownPool(row, asked)
  }
}

export const readRemoved = (row: Row, asked: AskedRange): Result.Result<Pool, UnknownPool | NotFound | RangeInUse> => {
  const { vrf, pool, range } = asked
  const outcome = outcomeOf(row, ["removed", "not_found", "range_in_use", "unknown_pool"])
  switch (outcome) {
    case "removed":
      return Result.succeed(toPool(row))
    case "not_found":
      return Result.fail(new NotFound({ what: "range", vrf, pool, range }))
    case "range_in_use":
      return Result.fail(new RangeInUse({ vrf, pool, range, ...inUse(row["detail"]) }))
    case "unknown_pool":
      return unknownPool(row, asked)
  }
}

export const readReserved = (row: Row, asked: AskedRange): Result.Result<Pool, UnknownPool | AddressOutside> => {
  const { vrf, pool, range } = asked
  const outcome = outcomeOf(row, ["reserved", "address_outside", "unknown_pool"])
  switch (outcome) {
    case "reserved":
      return Result.succeed(toPool(row))
    case "address_outside":
      return Result.fail(new AddressOutside({ vrf, pool, address: range }))
    case "unknown_pool":
      return unknownPool(row, asked)
  }
}

export const readUnreserved = (row: Row, asked: AskedRange): Result.Result<Pool, UnknownPool | NotFound> => {
  const { vrf, pool, range } = asked
  const outcome = outcomeOf(row, ["unreserved", "not_found", "unknown_pool"])
  switch (outcome) {
    case "unreserved":
      return Result.succeed(toPool(row))
    case "not_found":
      return Result.fail(new NotFound({ what: "reservation", vrf, pool, range }))
    case "unknown_pool":
      return unknownPool(row, asked)
  }
}

/** The answer to a drain or to its end. */
export const readDraining = (
  row: Row,
  asked: AskedPool & { readonly range?: string | undefined },
): Result.Result<Pool, UnknownPool | NotFound> => {
  const { vrf, pool, range } = asked
  const outcome = outcomeOf(row, ["draining", "active", "not_found", "unknown_pool"])
  switch (outcome) {
    case "draining":
    case "active":
      return Result.succeed(toPool(row))
    case "not_found":
      return Result.fail(new NotFound({ what: "range", vrf, pool, range }))
    case "unknown_pool":
      return unknownPool(row, asked)
  }
}

/** `name`: the new one, which another pool may have. */
export const readUpdated = (
  row: Row,
  asked: AskedPool & { readonly name?: string | undefined },
): Result.Result<Pool, UnknownPool | PoolExists> => {
  const outcome = outcomeOf(row, ["updated", "pool_exists", "unknown_pool"])
  switch (outcome) {
    case "updated":
      return Result.succeed(toPool(row))
    case "pool_exists":
      return Result.fail(new PoolExists({ vrf: asked.vrf, pool: asked.name ?? asked.pool, differs: [] }))
    case "unknown_pool":
      return unknownPool(row, asked)
  }
}

export const readReservations = (
  rows: ReadonlyArray<Row>,
  asked: AskedPool,
): Result.Result<ReadonlyArray<Reservation>, UnknownPool> => {
  const [first] = rows
  if (first !== undefined && outcomeOf(first, ["found", "unknown_pool"]) === "unknown_pool")
    return unknownPool(first, asked)
  return Result.succeed(rows.map(toReservation))
}

export const readDeleted = (row: Row, asked: AskedPool): Result.Result<Pool, UnknownPool | PoolInUse> => {
  const outcome = outcomeOf(row, ["deleted", "pool_in_use", "unknown_pool"])
  switch (outcome) {
    case "deleted":
      return Result.succeed(toPool(row))
    case "pool_in_use":
      return Result.fail(new PoolInUse({ vrf: asked.vrf, pool: asked.pool, ...inUse(row["detail"]) }))
    case "unknown_pool":
      return unknownPool(row, asked)
  }
}

const elsewhere = reader("an unknown pool", Schema.Struct({ vrfs: Schema.Array(Schema.String) }))
const other = reader(
  "an overlap",
  Schema.Struct({ vrf: Schema.String, pool: Schema.String, first: Schema.String, last: Schema.String }),
)
const inUse = reader("what is in use", Schema.Struct({ held: Schema.BigIntFromString, holders: Schema.Array(Holder) }))
/** The parts of a definition that a request calls otherwise. */
const fieldOf: Readonly<Record<string, string>> = {
  cooldown: "cooldownSeconds",
  networkAddresses: "includeNetworkAddresses",
}
const difference = reader("what differs", Schema.Struct({ differs: Schema.Array(Schema.String) }))
