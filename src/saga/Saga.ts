/**
 * A saga: steps that are undone when it fails, under an operation of the ledger. It ends in one of two states, `succeeded` or `unwound`,
 * and the ledger says which, and why.
 *
 * Starting one writes its operation, its targets and its run at once; any worker that serves it continues it from what the log has.
 */
import { createHash } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { decodeInput } from "../contract/input.ts"
import type { Operation } from "../contract/operation.ts"
import { BeginRequest } from "../contract/operationRequests.ts"
import { Database } from "../database/Database.ts"
import { isRepeatable } from "../errors/errorFacts.ts"
import { IpamError } from "../errors/errors.ts"
import { defineOperation, type PlainSchema, type TargetOf } from "../services/defineOperation.ts"
import { Operations } from "../services/Operations.ts"
import { checkFunctions } from "./checkFunctions.ts"
import { operationIdOf } from "./operationId.ts"
import { CurrentRun, pauses } from "./run.ts"
import { makeSagaLog } from "./SagaLog.ts"
import { SagaWorker } from "./SagaWorker.ts"

/** The saga unwound for another reason than an error of its own: it was cancelled. */
export class SagaCancelled extends Schema.TaggedError<SagaCancelled>()("SagaCancelled", {
  operationId: Schema.String,
}) {
  override get message(): string {
    return `The saga was cancelled; everything that it had done is undone (operation ${this.operationId})`
  }
}

const encodeCancelled = Schema.encodeSync(SagaCancelled)

/** The error of a saga that is cancelled, as JSON, for who cancels an operation without its definition. */
export const cancelledError = (operationId: string): typeof SagaCancelled.Encoded =>
  encodeCancelled(new SagaCancelled({ operationId }))

/** What a saga is, whatever its payload, result and errors are made of. */
export interface SagaTerms<Payload> {
  /** The same key is the same operation: started again, it answers what it answered. */
  readonly idempotencyKey: (payload: Payload) => string
  /** Every object that the saga works on. */
  readonly targets: (payload: Payload) => readonly [TargetOf, ...Array<TargetOf>]
  /**
   * Whether it works on its targets beside other operations: `shared` (when left out), `exclusive`: refused with `TargetBusy` while
   * another one is pending there, or `in turn`: it waits for those that began earlier.
   */
  readonly access?: "shared" | "exclusive" | "in turn" | undefined
  /** The home of the operation; `default` when left out. */
  readonly vrf?: ((payload: Payload) => string) | undefined
  /** To be raised when the steps change; 1 when left out. */
  readonly version?: number | undefined
  /** What becomes of a run that another version began: it waits for a worker of that version, or this one continues it. */
  readonly otherVersions?: "stuck" | "continue" | undefined
}

/** The schemas of what the log keeps of a saga. */
interface Stored<Success extends PlainSchema, Failure extends PlainSchema> {
  readonly success?: Success | undefined
  /** What the saga may fail with besides the errors of this library. */
  readonly error?: Failure | undefined
}

export interface SagaOptions<
  Payload extends Schema.Struct.Fields,
  Success extends PlainSchema,
  Failure extends PlainSchema,
>
  extends SagaTerms<Schema.Struct.Type<Payload>>, Stored<Success, Failure> {
  /** What the saga is started with: at most 1 MiB as JSON. Stored, so it is frozen once released; nothing secret belongs in it. */
  readonly payload: Payload
}

/** What the ledger would refuse is refused before anything is sent. */
const check = decodeInput(BeginRequest)

/** The operation id of a saga and its idempotency key: a UUIDv8, the same in every process. */
const idOf = (name: string, key: string): string =>
  operationIdOf(createHash("sha256").update(`${name.length}:${name}:${key}`).digest("hex").slice(0, 32))

/**
 * Defines a saga. `name` and the schemas are frozen once released.
 *
 * ```ts
 * const Create = Saga.make("Create", { payload: { id: Schema.String }, idempotencyKey: ({ id }) => id, targets: ({ id }) => [{ kind: "instance", id }] })
 * const CreateLive = Create.toLayer(Effect.fnUntraced(function* ({ id }) { ... }))
 * ```
 */
export const make = <
  const Name extends string,
  Payload extends Schema.Struct.Fields,
  Success extends PlainSchema = typeof Schema.Void,
  Failure extends PlainSchema = typeof Schema.Never,
>(
  name: Name,
  options: SagaOptions<Payload, Success, Failure>,
) =>
  // The constraint that the fields need no services cannot be said of the generic struct.
  define(name, Schema.Struct(options.payload) as unknown as Schema.Codec<Schema.Struct.Type<Payload>, unknown>, options)

/** As `make`, with any schema as its payload. */
export const define = <
  const Name extends string,
  Payload,
  Success extends PlainSchema = typeof Schema.Void,
  Failure extends PlainSchema = typeof Schema.Never,
>(
  name: Name,
  payload: Schema.Codec<Payload, unknown>,
  options: SagaTerms<Payload> & Stored<Success, Failure>,
) => {
  checkFunctions(name, { idempotencyKey: options.idempotencyKey, targets: options.targets })
  const success = options.success ?? (Schema.Void as unknown as Success)
  const error = Schema.Union([IpamError, SagaCancelled, options.error ?? (Schema.Never as unknown as Failure)])
  const version = options.version ?? 1
  const operation = defineOperation({ kind: name, payload, targets: options.targets, vrf: options.vrf })
  const operationIdFor = (given: Payload) => idOf(name, options.idempotencyKey(given))
  const successJson = Schema.toCodecJson(success)
  const errorJson = Schema.toCodecJson(error)
  const encodeResult = Schema.encodeUnknownEffect(successJson)
  const encodeError = Schema.encodeUnknownEffect(errorJson)
  const decodeResult = Schema.decodeUnknownEffect(successJson)
  const decodeError = Schema.decodeUnknownEffect(errorJson)

  /** Starts it, in this process where that runs a worker of it; answers its operation. */
  const begin = Effect.fnUntraced(function* (given: Payload) {
    const beginning = yield* operation.beginning(operationIdFor(given), given)
    yield* check(beginning)
    const { operationId, vrf } = beginning
    const log = makeSagaLog(yield* Database)
    const worker = Option.getOrUndefined(yield* Effect.serviceOption(SagaWorker))
    const claimant = worker?.claimant(name, version, vrf) ?? null
    const access = options.access ?? "shared"
    const started = yield* log.start({
      ...beginning,
      version,
      exclusive: access === "exclusive",
      takesTurn: access === "in turn",
      workerId: claimant,
    })
    if (worker !== undefined && claimant !== null && started.claimed) {
      yield* worker.run(claimant, { operationId, vrf, name, version, payload: beginning.payload })
    }
    return started.operation
  })

  /** The operation once it has ended, in whichever process. */
  const untilEnded = Effect.fnUntraced(function* (started: Operation) {
    const worker = Option.getOrUndefined(yield* Effect.serviceOption(SagaWorker))
    const operations = yield* Operations
    let known = started
    for (let pauseMs = 25; !isEnded(known); pauseMs = Math.min(500, 2 * pauseMs)) {
      const ended = worker === undefined ? undefined : yield* worker.ending(known.operationId)
      if (ended !== undefined) return ended
      yield* Effect.sleep(pauseMs)
      // An outage is no end: whoever waits for one waits through it.
      const read = operations.getOperation({ operationId: known.operationId, vrf: known.vrf })
      known = (yield* Effect.retry(read, { while: isRepeatable, schedule: pauses })) ?? known
    }
    return known
  })

  /** What the ledger says of how it ended. */
  const outcomeOf = (ended: Operation): Effect.Effect<Success["Type"], (typeof error)["Type"]> =>
    ended.state === "succeeded"
      ? Effect.orDie(decodeResult(ended.result))
      : Effect.flatMap(Effect.orDie(decodeError(ended.error)), (failure) => Effect.fail(failure))

  return {
    name,
    version,
    payload,
    success,
    error,
    /** The id under which the ledger knows the saga of this payload, started or not. */
    operationIdFor,
    /** Gives the saga its body, for the workers. A body does everything that it does in steps. */
    toLayer: <R>(
      body: (payload: Payload) => Effect.Effect<Success["Type"], (typeof error)["Type"], R>,
    ): Layer.Layer<never, never, SagaWorker | Exclude<R, CurrentRun>> =>
      Layer.effectDiscard(
        Effect.gen(function* () {
          const worker = yield* SagaWorker
          const services = yield* Effect.context<Exclude<R, CurrentRun>>()
          yield* worker.register({
            name,
            version,
            anyVersion: options.otherVersions === "continue",
            body: (stored) =>
              Effect.flatMap(CurrentRun, (run) =>
                Effect.provideContext(
                  Effect.flatMap(operation.readPayload(stored), body),
                  Context.add(services, CurrentRun, run) as unknown as Context.Context<R>,
                ),
              ),
            encodeResult: (value) => Effect.map(Effect.orDie(encodeResult(value)), (json) => json ?? null),
            encodeError: (failure) => Effect.orDie(encodeError(failure)),
            cancelled: cancelledError,
          })
        }),
      ),
    /** Starts the saga and does not wait. `KeyReused`: it was started with another payload. */
    start: (given: Payload) => begin(given),
    /** Runs the saga and waits for its end; one that ran before answers as it did. */
    execute: (given: Payload) => Effect.flatMap(Effect.flatMap(begin(given), untilEnded), outcomeOf),
    /**
     * Cancels the saga of a payload, whether a worker has it or not, and answers what that did, as `Operations.cancelOperation`: what
     * runs is interrupted, and it unwinds; one that was never started never will be.
     */
    cancel: (given: Payload) =>
      Effect.gen(function* () {
        const operationId = operationIdFor(given)
        const operations = yield* Operations
        const { vrf } = yield* operation.beginning(operationId, given)
        const error = cancelledError(operationId)
        const answer = yield* operations.cancelOperation({ operationId, vrf, kind: name, error })
        yield* wakeHere(operationId, answer.state === "unwinding")
        return answer
      }),
    /** Lets the saga of a payload continue where it is stuck: it attempts that again. Answers as `Operations.resumeOperation`. */
    resume: (given: Payload) =>
      Effect.gen(function* () {
        const operationId = operationIdFor(given)
        const operations = yield* Operations
        const { vrf } = yield* operation.beginning(operationId, given)
        const answer = yield* operations.resumeOperation({ operationId, vrf })
        yield* wakeHere(operationId, false)
        return answer
      }),
  }
}

/** The row is written first; the process that runs the saga, where it is this one, need not wait for its next poll. */
const wakeHere = (operationId: string, cancelled: boolean) =>
  Effect.flatMap(Effect.serviceOption(SagaWorker), (worker) =>
    Option.isSome(worker) ? worker.value.wake(operationId, cancelled) : Effect.void,
  )

const isEnded = ({ state }: Operation): boolean => state === "succeeded" || state === "unwound"
