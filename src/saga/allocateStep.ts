/**
 * The step of a saga that allocates addresses. The ledger is its record: what a key holds is what the step answers, in every run; and its
 * end is that of the saga, which confirms or releases everything at once.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Allocation } from "../contract/allocation.ts"
import { decodeInput } from "../contract/input.ts"
import { AllocateManyRequest } from "../contract/requests.ts"
import { onTwoServers } from "../database/servers.ts"
import { isRepeatable } from "../errors/errorFacts.ts"
import { AllocationsLost, IpamError } from "../errors/errors.ts"
import { Allocator } from "../services/Allocator.ts"
import { CurrentRun, inWords, pauses, waitsForPeople, type Run } from "./run.ts"
import { cleanJson } from "./storable.ts"

/** What one step allocates: all of it, or nothing. */
export interface AllocateStepOptions extends Omit<typeof AllocateManyRequest.Encoded, "requestId" | "ttlSeconds"> {
  /** As many as `allocateMany` takes, each named once; in the database they are `step/slot`. The families may differ. */
  readonly slots: (typeof AllocateManyRequest.Encoded)["slots"]
  /** How long to wait for a pool that is exhausted, in seconds; 0 when left out. The wait holds no worker and no connection. */
  readonly waitSeconds?: number | undefined
}

type Refusal = Effect.Error<ReturnType<Allocator["Service"]["allocateMany"]>>

/** They are provisional until the saga ends, and reclaim passes over them as long as it has not. */
const TTL_SECONDS = 86_400
/** How soon an exhausted pool is asked again. */
const RETRY_SECONDS = 1

/** A slot as the ledger knows it. */
const ofStep = (name: string, one: AllocateStepOptions["slots"][number]) => ({ ...one, slot: `${name}/${one.slot}` })

const decode = decodeInput(AllocateManyRequest)
const errorJson = Schema.toCodecJson(IpamError)
const encodeError = Schema.encodeEffect(errorJson)
const decodeError = Schema.decodeUnknownEffect(errorJson)

/**
 * Allocates all slots of a request in one call, in the order asked. The saga's operation id is the request id.
 *
 * ```ts
 * const [nic] = yield* allocateStep("nic", { slots: [{ slot: "v4", pool: "web" }], owner: { kind: "instance", id } })
 * ```
 *
 * Fails as `Allocator.allocateMany`; a refusal that the body catches stays refused, and leaves nothing behind. An address that was
 * reclaimed while the saga waited unwinds it, whatever the body does.
 */
export const allocateStep = (
  name: string,
  options: AllocateStepOptions,
): Effect.Effect<ReadonlyArray<Allocation>, Refusal, Allocator | CurrentRun> =>
  Effect.gen(function* () {
    const run = yield* CurrentRun
    const allocator = yield* Allocator
    const { slots, waitSeconds = 0, ...rest } = options
    const named = slots.map((one) => ofStep(name, one))
    const encoded = { ...rest, requestId: run.operationId, slots: named, ttlSeconds: TTL_SECONDS }
    const request = yield* decode(encoded)
    const { vrf } = request
    // Its server would know nothing of the operation.
    if (!run.log.serves(vrf)) return yield* onTwoServers(run.vrf, vrf)
    const names = named.map(({ slot }) => slot)
    let isBegun = run.recorded.has(name)

    const call = allocator.allocateMany(encoded)
    const fence = (error: Schema.Json) =>
      run.write((settled) => run.log.refuse(run.claim, settled, { name, refusal: error, slotVrf: vrf, slots: names }))
    const refuse = (error: Refusal) =>
      Effect.gen(function* () {
        yield* fence(cleanJson(yield* Effect.orDie(encodeError(error))))
        return yield* Effect.fail(error)
      })
    /** What the body interrupted may hold addresses that nobody would know of. */
    const abandon = Effect.suspend(() => (run.isHalted() ? Effect.void : fence(null)))
    /** Waits for the pool, the first time for as long as the step may wait in all. */
    const waitOnce = Effect.gen(function* () {
      const { secondsLeft } = yield* run.begin(name, false, waitSeconds)
      isBegun = true
      const left = secondsLeft ?? 0
      if (left <= 0) return false
      yield* run.waitFor(Math.min(left, RETRY_SECONDS), RETRY_SECONDS)
      return true
    })
    const allocate: Effect.Effect<ReadonlyArray<Allocation>, Refusal> = Effect.gen(function* () {
      // What another step answered may decide what is asked for here: it is recorded before an address depends on it.
      if (run.hasSettled()) yield* run.write((settled) => run.log.advance(run.claim, settled))
      const exit = yield* Effect.exit(Effect.retry(call, { while: isRepeatable, schedule: pauses }))
      if (Exit.isSuccess(exit)) {
        if (isBegun) run.settle({ name, state: "done" })
        return exit.value
      }
      const failed = Cause.findErrorOption(exit.cause)
      if (Option.isNone(failed) || waitsForPeople(failed.value)) return yield* run.stuck(name, inWords(exit.cause))
      const error = failed.value
      if (error._tag === "OperationEnded") return yield* run.stop({ _tag: "Unwinds", failure: null })
      if (error._tag === "KeyReused") return yield* run.stuck(name, inWords(exit.cause))
      if (error._tag === "PoolExhausted" && waitSeconds > 0 && (yield* waitOnce)) return yield* allocate
      return yield* refuse(error)
    })

    return yield* run.working(
      Effect.gen(function* () {
        yield* run.ask(name)
        const recorded = run.recorded.get(name)
        // It was interrupted by the body, and its keys are fenced: what interrupted it is recorded as well.
        if (recorded?.state === "failed" && recorded.error === null) return yield* Effect.never
        if (recorded?.state === "failed") {
          return yield* Effect.flatMap(Effect.orDie(decodeError(recorded.error)), (error) =>
            Effect.fail(error as Refusal),
          )
        }
        const held = yield* heldBefore(run, name, request)
        if (held !== undefined) return held
        return run.unwinds ? yield* Effect.never : yield* Effect.onInterrupt(allocate, () => abandon)
      }),
    )
  })

/** What the slots of a step held before this run, all or nothing; halts where that was lost, or is not what is asked for now. */
const heldBefore = (run: Run, name: string, { vrf, slots, owner }: typeof AllocateManyRequest.Type) =>
  Effect.gen(function* () {
    const keys = slots.map(({ slot }) =>
      run.keys.find(({ allocation }) => allocation.vrf === vrf && allocation.slot === slot),
    )
    const allocations: Array<Allocation> = []
    const lost: Array<(typeof AllocationsLost.Type)["lost"][number]> = []
    for (const [index, key] of keys.entries()) {
      if (key === undefined) return undefined
      const { allocation, released } = key
      const { pool, address } = slots[index] ?? {}
      const same =
        (allocation.pool === pool || isPoolId(pool)) &&
        (address === undefined || address === allocation.address) &&
        allocation.owner?.kind === owner?.kind &&
        allocation.owner?.id === owner?.id
      if (!same) return yield* run.stuck(name, `slot ${allocation.slot} was allocated with other arguments`)
      allocations.push(allocation)
      if (released === undefined) continue
      if (released.reason !== "released" || released.releasedBy !== undefined) {
        lost.push({ vrf, slot: allocation.slot, address: allocation.address, ...released })
      }
    }
    if (lost.length > 0 && !run.unwinds) {
      const error = new AllocationsLost({ vrf, requestId: run.operationId, count: lost.length, lost })
      return yield* run.stop({ _tag: "Unwinds", failure: yield* Effect.orDie(encodeError(error)) })
    }
    return allocations
  })

/** Whether a pool is named by its id, which an allocation does not tell. */
const isPoolId = (pool: string | undefined): boolean => pool !== undefined && /^\d+$/.test(pool)
