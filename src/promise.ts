/**
 * saga-ipam for everybody who does not use Effect: the same calls, as promises.
 *
 * A refused call rejects with the error class of its name, told apart by `_tag`. Those of which `isRepeatable` is true
 * mean: make the same call again, with the same key. Anything else that a call rejects with is a bug of ours.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Scope from "effect/Scope"
import { Allocator } from "./services/Allocator.ts"
import { Doctor } from "./services/Doctor.ts"
import { layer } from "./layer.ts"
import { Pools } from "./services/Pools.ts"
import { Database } from "./database/Database.ts"
import type { ConnectOptions } from "./database/locate.ts"
import { DatabaseUnreachable, InvalidInput } from "./errors/errors.ts"
import { Operations } from "./services/Operations.ts"
import type { OwnerAnswer, OwnerAsked } from "./services/owners.ts"
import { Reconciler, type Reconciled } from "./services/Reconciler.ts"
import type { AsyncSaga } from "./saga/asyncSaga.ts"
import { SagaWorker, type SagaWorkerOptions } from "./saga/SagaWorker.ts"
import type { Operation } from "./contract/operation.ts"

export type { ConnectOptions } from "./database/locate.ts"
export type { AddressRecord, Allocation, FreeAddress, KeyRecord, Released, Tombstone } from "./contract/allocation.ts"
export type { Operation, OperationState, Target } from "./contract/operation.ts"
export type { OwnerAnswer, OwnerAsked } from "./services/owners.ts"
export type { Pruned } from "./services/pruning.ts"
export type { Reconciled } from "./services/Reconciler.ts"
export type { Pool, PoolRange, Reservation } from "./contract/pool.ts"
export { isRepeatable } from "./errors/errorFacts.ts"
export * from "./errors/errors.ts"
export {
  saga,
  SagaFailed,
  type AsyncSaga,
  type AsyncSagaOptions,
  type AsyncStep,
  type SagaContext,
} from "./saga/asyncSaga.ts"
export { SagaCancelled } from "./saga/Saga.ts"
export { operationIdOf } from "./saga/operationId.ts"

/**
 * An aborted `signal` cancels the call on the server; it rejects with the signal's reason once nothing of it runs any more. One that was
 * sent together with others cannot be cancelled: it rejects at once, and may still take effect.
 */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** The methods of a service as promises, with the signal among the fields of their requests. */
type Promised<Service> = {
  readonly [Name in keyof Service]: Service[Name] extends (
    ...request: infer Given
  ) => Effect.Effect<infer Answer, infer _Error>
    ? Asked<Given, Answer>
    : never
}
type Asked<Given extends ReadonlyArray<unknown>, Answer> = Given extends readonly []
  ? (options?: CallOptions) => Promise<Answer>
  : Given extends readonly [infer Request]
    ? (request: Request & CallOptions) => Promise<Answer>
    : Given extends readonly [(infer Request)?]
      ? (request?: Request & CallOptions) => Promise<Answer>
      : never

/** A worker of this process: it executes sagas until it is stopped. */
export interface Worker {
  /** Lets what it executes go on for `graceSeconds` more, then hands it back to other workers. */
  readonly stop: () => Promise<void>
}

export interface WorkerOptions extends SagaWorkerOptions {
  readonly sagas: ReadonlyArray<AsyncSaga<never, unknown>>
}

type OfReconciler = Reconciler["Service"]

/**
 * One connected allocator: the methods of the services `Allocator`, `Pools`, `Operations` and `Doctor` as promises, and those below.
 * They need no `this`.
 */
export interface Ipam
  extends
    Promised<Allocator["Service"]>,
    Promised<Pools["Service"]>,
    Promised<Operations["Service"]>,
    Promised<Doctor["Service"]> {
  /** Releases what has expired and what is held for owners that `owners` says are gone; see `Reconciler`. */
  readonly reconcile: (
    owners: (asked: ReadonlyArray<OwnerAsked>, signal: AbortSignal) => Promise<ReadonlyArray<OwnerAnswer>>,
    request?: Parameters<OfReconciler["reconcile"]>[1] & CallOptions,
  ) => Promise<Reconciled>
  /**
   * Starts a saga and does not wait: from then on it can be seen, gated on and cancelled, and any worker that serves it executes it. The
   * same payload again answers the operation as it is by now; `KeyReused`: the same idempotency key with another payload.
   */
  readonly startSaga: <Given>(
    saga: AsyncSaga<Given, unknown>,
    payload: Given,
    options?: CallOptions,
  ) => Promise<Operation>
  /**
   * Starts a saga and waits for its end, in whichever process; one that has ended answers as it did. Rejects with the error that it
   * unwound with: one of this library, `SagaFailed`, or `SagaCancelled`.
   */
  readonly executeSaga: <Given, Answer>(
    saga: AsyncSaga<Given, Answer>,
    payload: Given,
    options?: CallOptions,
  ) => Promise<Answer>
  /** Cancels the saga of a payload: it unwinds; one that was never started never will be. Answers as `cancelOperation`. */
  readonly cancelSaga: <Given>(
    saga: AsyncSaga<Given, unknown>,
    payload: Given,
    options?: CallOptions,
  ) => Promise<Operation>
  /** Lets the saga of a payload continue where it is stuck. Answers as `resumeOperation`. */
  readonly resumeSaga: <Given>(
    saga: AsyncSaga<Given, unknown>,
    payload: Given,
    options?: CallOptions,
  ) => Promise<Operation>
  /** Executes sagas in this process, those started elsewhere too, until it is stopped or the connection is closed. One at a time. */
  readonly startWorker: (options: WorkerOptions) => Promise<Worker>
  /** Resolves when the database answers and its schema fits this library. */
  readonly ping: (options?: CallOptions) => Promise<void>
  /**
   * Serves the calls made before it for five seconds more, those that wait for a connection too, cancels the rest, and leaves
   * nothing open that keeps a process alive. A call made after it rejects at once with `DatabaseUnreachable`, and so does, at
   * its next statement, one that takes several: `list` and `listPools` over many pages, `reconcile`, `prune`.
   */
  readonly close: () => Promise<void>
}

/**
 * Connects to the database of `url`, or else of `DATABASE_URL`, or else to the embedded server in the folder `data` or, with
 * `embedded: true`, in `SAGA_IPAM_DATA` or the default folder. The embedded one is started and migrated when it needs to be, and stopped
 * by the last program that closes, or dies.
 *
 * Rejects with `InvalidInput` (an option), `SchemaTooOld`, `SchemaTooNew`, or why there is no database: `DatabaseUnreachable`,
 * `DatabaseMisconfigured`, `NotPermitted`, `DiskFull` or `DatabaseUnavailable`.
 */
export const connect = async (options: ConnectOptions = {}): Promise<Ipam> => {
  const runtime = ManagedRuntime.make(layer(options))
  const built = await Effect.runPromiseExit(runtime.contextEffect)
  if (Exit.isFailure(built)) {
    await runtime.dispose()
    throw rejection(built.cause, undefined)
  }
  return toPromises(built.value, () => runtime.dispose())
}

type Services = Allocator | Pools | Doctor | Operations | Reconciler | Database

const toPromises = (services: Context.Context<Services>, close: () => Promise<void>): Ipam => {
  const fork = Effect.runForkWith(services)

  const settle = <A>(
    effect: Effect.Effect<A, unknown, Services>,
    signal: AbortSignal | undefined,
    resolve: (answer: A) => void,
    reject: (error: unknown) => void,
  ): void => {
    fork(effect, { signal }).addObserver((exit) => {
      if (Exit.isSuccess(exit)) resolve(exit.value)
      else reject(rejection(exit.cause, signal))
    })
  }
  const run = <A>(effect: Effect.Effect<A, unknown, Services>, signal: AbortSignal | undefined): Promise<A> =>
    new Promise((resolve, reject) => settle(effect, signal, resolve, reject))

  // The only promise of a call; what is thrown in it rejects it.
  const promised =
    (call: (request: object) => Effect.Effect<unknown, unknown>) =>
    (request?: CallOptions): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const { signal, ...fields } = checkRequest(request ?? {})
        settle(call(fields), checkSignal(signal), resolve, reject)
      })
  // What each takes and answers is what `Promised` says, which a list of them has lost.
  const all = <Service extends object>(service: Service): Promised<Service> =>
    Object.fromEntries(Object.entries(service).map(([name, call]) => [name, promised(call)])) as Promised<Service>

  const closing = new AbortController()
  let isClosed = false
  /** The worker from the moment that it is asked for until it has stopped, and what it serves while it runs. */
  let starting: Promise<Worker> | undefined
  let worker: { readonly services: Context.Context<SagaWorker>; readonly stop: () => Promise<void> } | undefined
  /** What a saga does here, with the worker of this process, if there is one. */
  const runSaga = <A>(work: Effect.Effect<A, unknown, Services>, options: CallOptions = {}): Promise<A> =>
    run(worker === undefined ? work : Effect.provideContext(work, worker.services), checkSignal(options.signal))
  const launchWorker = async ({ sagas, ...options }: WorkerOptions): Promise<Worker> => {
    const scope = Scope.makeUnsafe()
    const serving = sagas.reduce<Layer.Layer<never, never, SagaWorker | Allocator>>(
      (all, one) => Layer.merge(all, one.layer),
      Layer.empty,
    )
    const workerLayer = Layer.provideMerge(serving, SagaWorker.layer(options))
    const stop = async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      if (worker?.stop !== stop) return
      worker = undefined
      starting = undefined
    }
    try {
      worker = { services: await run(Layer.buildWithScope(workerLayer, scope), undefined), stop }
    } catch (error) {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      throw error
    }
    return { stop }
  }
  const startWorker = async (options: WorkerOptions): Promise<Worker> => {
    checkSagas(options.sagas)
    if (isClosed) throw closedBefore("startWorker")
    if (starting !== undefined) {
      throw new InvalidInput({ field: "sagas", message: "sagas: this connection has a worker already; stop it first" })
    }
    starting = launchWorker(options)
    try {
      return await starting
    } catch (error) {
      starting = undefined
      throw error
    }
  }

  const operations = Context.get(services, Operations)
  const reconciler = Context.get(services, Reconciler)
  const database = Context.get(services, Database)
  return {
    ...all(Context.get(services, Allocator)),
    ...all(Context.get(services, Pools)),
    ...all(operations),
    ...all(Context.get(services, Doctor)),
    reconcile: async (owners, { signal, ...request } = {}) =>
      run(
        reconciler.reconcile(
          (asked) => Effect.tryPromise({ try: (aborted) => owners(asked, aborted), catch: (error) => error }),
          request,
        ),
        checkSignal(signal),
      ),
    startSaga: async (saga, payload, options) => runSaga(checkSaga(saga).start(payload), options),
    executeSaga: async (saga, payload, options) => {
      const signal = checkSignal(options?.signal)
      const ends = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal])
      return runSaga(checkSaga(saga).execute(payload), { signal: ends })
    },
    cancelSaga: async (saga, payload, options) => runSaga(checkSaga(saga).cancel(payload), options),
    resumeSaga: async (saga, payload, options) => runSaga(checkSaga(saga).resume(payload), options),
    startWorker,
    ping: async ({ signal } = {}) => run(database.ping, checkSignal(signal)),
    close: async () => {
      isClosed = true
      await starting?.then(
        ({ stop }) => stop(),
        () => undefined,
      )
      // It waits through outages, which this is none of.
      closing.abort(closedBefore("executeSaga"))
      await close()
    },
  }
}

const closedBefore = (call: string) => new DatabaseUnreachable({ call, reason: "the connections were closed" })

const checkRequest = (request: CallOptions): CallOptions => {
  if (typeof request !== "object" || Array.isArray(request)) {
    throw new InvalidInput({ field: "", message: "The input: must be an object" })
  }
  return request
}

const isSaga = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "layer" in value && Layer.isLayer(value.layer)

const checkSaga = <Given, Answer>(saga: AsyncSaga<Given, Answer>): AsyncSaga<Given, Answer> => {
  if (!isSaga(saga)) throw new InvalidInput({ field: "saga", message: "saga: must be what `saga` defined" })
  return saga
}

const checkSagas = (sagas: ReadonlyArray<unknown>): void => {
  if (!Array.isArray(sagas) || !sagas.every(isSaga)) {
    throw new InvalidInput({ field: "sagas", message: "sagas: must be a list of what `saga` defined" })
  }
}

const checkSignal = (signal: AbortSignal | undefined): AbortSignal | undefined => {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new InvalidInput({ field: "signal", message: "signal: must be an AbortSignal" })
  }
  signal?.throwIfAborted()
  return signal
}

/** What a promise rejects with: the error itself, not what Effect wraps around it. */
const rejection = (cause: Cause.Cause<unknown>, signal: AbortSignal | undefined): unknown => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail") return reason.error
    if (reason._tag === "Die") return reason.defect
  }
  return signal?.reason ?? new Error("The call was interrupted")
}
