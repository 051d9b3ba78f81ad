/**
 * Sagas as plain async functions: the same log, the same steps and the same ends, for programs that do not use Effect.
 *
 * Knows neither how a saga is stored nor who claims it: each definition becomes one of `Saga.ts`. What such a function waits for
 * beside steps is not interrupted; once its run has halted, its steps begin nothing more and their promises never settle.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { StandardSchemaV1 } from "effect/StandardSchema"
import type { Allocation } from "../contract/allocation.ts"
import { isIpamError, isRepeatable } from "../errors/errorFacts.ts"
import { InvalidInput, IpamError } from "../errors/errors.ts"
import type { Allocator } from "../services/Allocator.ts"
import { allocateStep, type AllocateStepOptions } from "./allocateStep.ts"
import { checkFunctions } from "./checkFunctions.ts"
import { CurrentRun, withinText, type StepContext } from "./run.ts"
import * as Saga from "./Saga.ts"
import { sleep } from "./step.ts"

/**
 * What a step, or the saga itself, failed with, where that was no error of this library: its name, message and code, as the log keeps
 * them. `step`: of the step that failed; left out where the function itself threw.
 */
export class SagaFailed extends Schema.TaggedError<SagaFailed>()("SagaFailed", {
  step: Schema.optional(Schema.String),
  thrown: Schema.String,
  message: Schema.String,
  code: Schema.optional(Schema.String),
}) {}

/** What a step does, and how to undo it. Both may run more than once; see `step` of `saga-ipam/saga`. */
export interface AsyncStep<A> {
  readonly do: (context: StepContext) => Promise<A>
  /** Undoes whatever `do` did, may yet do, or never did. It is repeated until it resolves. */
  readonly undo?: ((context: StepContext) => Promise<unknown>) | undefined
  /** Whether `do` is repeated after what it threw, rather than failed. Default: as `isRepeatable` says. */
  readonly repeat?: ((thrown: unknown) => boolean) | undefined
  /** For how long `do` is repeated before what it threw counts, in seconds. Default 600. */
  readonly repeatForSeconds?: number | undefined
}

/** What the function of a saga is given. Names of steps are unique in their saga, and frozen once released. */
export interface SagaContext {
  /** The operation of this execution: the request id of every key that it allocates. */
  readonly operationId: string
  /**
   * Does a step. Rejects with the error of this library that it failed with, else with `SagaFailed`; it is undone by then. Answers what
   * `do` answered as JSON has it, the same in every run: what JSON would change, such as a `Date` or a `bigint`, leaves the saga stuck,
   * and so does a mistake in the program (`TypeError`, `RangeError`, `ReferenceError`, `SyntaxError`).
   */
  readonly step: <A>(name: string, step: AsyncStep<A>) => Promise<A>
  /** Allocates all slots of a request in one call, in the order asked. Rejects as `allocateMany`. */
  readonly allocateStep: (name: string, options: AllocateStepOptions) => Promise<ReadonlyArray<Allocation>>
  /** Waits, for any time: past a restart, and without holding a worker or a connection. */
  readonly sleep: (name: string, seconds: number) => Promise<void>
}

export interface AsyncSagaOptions<Given, Payload> extends Saga.SagaTerms<Payload> {
  /**
   * Checks what the saga is started with: any schema of the Standard Schema specification (Zod, Valibot, ArkType, Effect's
   * `Schema.toStandardSchemaV1` ...). What is given is stored as JSON, at most 1 MiB, and checked again in every run; the function gets what
   * the schema makes of it. Frozen once released; nothing secret belongs in it.
   */
  readonly payload: StandardSchemaV1<Given, Payload>
}

/** What is given, as JSON, and what its schema made of it. */
class Checked<Payload> {
  readonly given: Schema.Json
  readonly payload: Payload
  constructor(given: Schema.Json, payload: Payload) {
    this.given = given
    this.payload = payload
  }
}

type Body = (context: SagaContext, payload: unknown) => Promise<unknown>

/**
 * Defines a saga by an async function. `name` and the payload are frozen once released.
 *
 * ```ts
 * const Create = saga(
 *   "Create",
 *   { payload: z.object({ id: z.string() }), idempotencyKey: ({ id }) => id, targets: ({ id }) => [{ kind: "instance", id }] },
 *   async ({ step, allocateStep }, { id }) => {
 *     const [nic] = await allocateStep("nic", { slots: [{ slot: "v4", pool: "web" }], owner: { kind: "instance", id } })
 *     await step("port", { do: ({ key, signal }) => ports.open(key, { signal }), undo: ({ key }) => ports.close(key) })
 *     return { address: nic?.address }
 *   },
 * )
 * ```
 *
 * The function does everything that it does in steps. What it answers is stored as JSON. What it throws makes the saga unwind, except
 * for what waits for a person, as `step` says. Options that are missing are a `TypeError` here.
 */
export const saga = <Given, Payload, Answer>(
  name: string,
  options: AsyncSagaOptions<Given, Payload>,
  body: (context: SagaContext, payload: Payload) => Promise<Answer>,
) => {
  const { payload: schema, idempotencyKey, targets, vrf, access, version, otherVersions } = options
  if (typeof schema?.["~standard"]?.validate !== "function") {
    throw new TypeError(`saga ${name}: payload must be a schema of the Standard Schema specification`)
  }
  checkFunctions(name, { idempotencyKey, targets, "its body": body })
  const check = checker(schema)
  const definition = Saga.define(name, checkedBy(check), {
    idempotencyKey: ({ payload }) => idempotencyKey(payload),
    targets: ({ payload }) => targets(payload),
    vrf: vrf === undefined ? undefined : ({ payload }) => vrf(payload),
    access,
    version,
    otherVersions,
    success: Schema.Json,
    error: SagaFailed,
  })
  return {
    name,
    version: definition.version,
    operationIdFor: (given: Given) => Effect.map(check(given), definition.operationIdFor),
    start: (given: Given) => Effect.flatMap(check(given), definition.start),
    execute: (given: Given) =>
      Effect.map(Effect.flatMap(check(given), definition.execute), (answer) => answer as Answer),
    cancel: (given: Given) => Effect.flatMap(check(given), definition.cancel),
    resume: (given: Given) => Effect.flatMap(check(given), definition.resume),
    /** For the workers. */
    layer: definition.toLayer(({ payload }) => runBody(body as Body, payload)),
  }
}

/** A saga whose body is an async function, as `saga` defines it. */
export type AsyncSaga<Given, Answer> = ReturnType<typeof saga<Given, unknown, Answer>>

const checker =
  <Given, Payload>(schema: StandardSchemaV1<Given, Payload>) =>
  (given: unknown): Effect.Effect<Checked<Payload>, InvalidInput> =>
    Effect.gen(function* () {
      const json = yield* Effect.try({
        try: () => plainJson(given, "payload"),
        catch: (error) => new InvalidInput({ field: "payload", message: messageOf(error) }),
      })
      const result = yield* Effect.promise(async () => schema["~standard"].validate(given))
      if (result.issues === undefined) return new Checked(json, result.value)
      const [issue] = result.issues
      const path = (issue?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part))
      const field = ["payload", ...path].join(".")
      return yield* new InvalidInput({ field, message: `${field}: ${issue?.message ?? "is not valid"}` })
    })

/** The payload as the log keeps it and as the function gets it. */
const checkedBy = <Payload>(check: (given: unknown) => Effect.Effect<Checked<Payload>, InvalidInput>) =>
  Schema.Json.pipe(
    Schema.decodeTo(
      Schema.declare((value): value is Checked<Payload> => value instanceof Checked),
      SchemaTransformation.transformEffect({
        decode: (given: Schema.Json) =>
          Effect.mapError(check(given), ({ message }) => new SchemaIssue.InvalidValue({ message }, given)),
        encode: ({ given }: Checked<Payload>) => Effect.succeed(given),
      }),
    ),
  )

/** What a promise was rejected with, and what of it the log keeps. */
class Thrown extends Error {
  readonly failure: IpamError | SagaFailed
  readonly thrown: unknown
  constructor(failure: IpamError | SagaFailed, thrown: unknown) {
    super(failure.message)
    this.failure = failure
    this.thrown = thrown
  }
}

const mistakes = [TypeError, RangeError, ReferenceError, SyntaxError]

/** A mistake in the program is a defect. With a cause it is what `fetch` throws when a host cannot be reached. */
const isMistake = (thrown: unknown): boolean =>
  mistakes.some((kind) => thrown instanceof kind) && thrown instanceof Error && thrown.cause === undefined

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

const toThrown = (thrown: unknown, step?: string): Thrown => {
  if (isIpamError(thrown) || thrown instanceof SagaFailed) return new Thrown(thrown, thrown)
  const code = typeof thrown === "object" && thrown !== null && "code" in thrown ? String(thrown.code) : undefined
  const name = thrown instanceof Error ? thrown.name : typeof thrown
  return new Thrown(new SagaFailed({ step, thrown: name, message: messageOf(thrown), code }), thrown)
}

/** Waits for a promise; interrupted, it aborts the signal and waits until the promise has settled all the same. */
const settling = <A>(start: (signal: AbortSignal) => Promise<A>, step?: string): Effect.Effect<A, Thrown> =>
  Effect.callback((resume) => {
    const aborting = new AbortController()
    const promise = (async () => start(aborting.signal))()
    promise.then(
      (answer) => resume(Effect.succeed(answer)),
      (thrown: unknown) => resume(isMistake(thrown) ? Effect.die(thrown) : Effect.fail(toThrown(thrown, step))),
    )
    return Effect.suspend(() => {
      aborting.abort()
      return Effect.promise(() => promise.then(nothing, nothing))
    })
  })

const nothing = () => undefined

const failureJson = Schema.toCodecJson(Schema.Union([IpamError, SagaFailed]))
const encodeFailure = Schema.encodeEffect(failureJson)
const decodeFailure = Schema.decodeUnknownEffect(failureJson)

const thrownCoding = {
  encode: ({ failure }: Thrown) => Effect.orDie(encodeFailure(failure)),
  decode: (json: unknown) => Effect.map(Effect.orDie(decodeFailure(json)), (failure) => new Thrown(failure, failure)),
}
const jsonCoding = {
  encode: (value: Schema.Json) => Effect.succeed(value),
  decode: (json: unknown) => Effect.succeed(json as Schema.Json),
}

/** The step whose `do` or `undo` calls. */
const within = new AsyncLocalStorage<string>()

const runStep = (name: string, step: AsyncStep<unknown>) =>
  Effect.flatMap(CurrentRun, (run) => {
    const { undo } = step
    return run.step<Schema.Json, Thrown>({
      name,
      do: (context) =>
        Effect.map(
          settling((signal) => within.run(name, () => step.do({ ...context, signal })), name),
          (answer) => plainJson(answer, "answer"),
        ),
      undo:
        undo === undefined
          ? undefined
          : (context) => settling((signal) => within.run(name, () => undo({ ...context, signal })), name),
      result: jsonCoding,
      error: thrownCoding,
      repeat: ({ thrown }) => (step.repeat ?? isRepeatable)(thrown),
      repeatFor: (step.repeatForSeconds ?? 600) * 1000,
    })
  }).pipe(Effect.mapError(({ failure }) => failure))

const runBody = (
  body: Body,
  payload: unknown,
): Effect.Effect<Schema.Json, IpamError | SagaFailed, Allocator | CurrentRun> =>
  Effect.scoped(
    Effect.gen(function* () {
      const run = yield* CurrentRun
      const fork = yield* FiberSet.runtime(yield* FiberSet.make())<Allocator | CurrentRun>()
      /** A promise that never settles once the run has halted. */
      const promised = <A>(name: string, work: Effect.Effect<A, unknown, Allocator | CurrentRun>): Promise<A> => {
        const outer = within.getStore()
        // A mistake, and not a promise that never settles: the step around it would wait for that.
        if (outer !== undefined) return Promise.reject(new TypeError(withinText(name, outer)))
        const promise = new Promise<A>((resolve, reject) => {
          fork(work).addObserver((exit) => {
            if (Exit.isSuccess(exit)) resolve(exit.value)
            else if (!Cause.hasInterruptsOnly(exit.cause)) reject(Cause.squash(exit.cause))
          })
        })
        // Of a step that the function does not wait for: it is undone by then, and no reason to end the process.
        promise.catch(nothing)
        return promise
      }
      const context: SagaContext = {
        operationId: run.operationId,
        step: (name, step) => promised(name, runStep(name, step)) as Promise<never>,
        allocateStep: (name, options) => promised(name, allocateStep(name, options)),
        sleep: (name, seconds) => promised(name, sleep(name, seconds)),
      }
      const answered = Effect.tryPromise({
        try: () => body(context, payload),
        catch: (thrown) => thrown,
      })
      return plainJson(
        yield* Effect.catch(answered, (thrown) =>
          isMistake(thrown) ? Effect.die(thrown) : Effect.fail(toThrown(thrown).failure),
        ),
        "answer",
      )
    }),
  )

/** A value as JSON has it; throws where JSON would change more than leave out what is `undefined`. */
const plainJson = (value: unknown, path: string): Schema.Json => {
  if (value === undefined) return null
  if (value === null || typeof value === "string" || typeof value === "boolean") return value
  if (typeof value === "number" && Number.isFinite(value)) return value
  if (Array.isArray(value)) return value.map((one: unknown, index) => plainJson(one, `${path}[${index}]`))
  if (typeof value === "object") {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) {
      return Object.fromEntries(
        Object.entries(value)
          .filter(([, one]) => one !== undefined)
          .map(([key, one]) => [key, plainJson(one, `${path}.${key}`)]),
      )
    }
  }
  const kind = typeof value === "object" ? value.constructor.name : typeof value
  throw new TypeError(`${path}: must be plain JSON, and is of type ${kind}`)
}
