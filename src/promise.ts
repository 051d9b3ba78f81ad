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
import * as ManagedRuntime from "effect/ManagedRuntime"
import { Allocator } from "./services/Allocator.ts"
import { Doctor } from "./services/Doctor.ts"
import { layer } from "./layer.ts"
import { Pools } from "./services/Pools.ts"
import { Database } from "./database/Database.ts"
import type { ConnectOptions } from "./database/locate.ts"
import { InvalidInput } from "./errors/errors.ts"
import { Operations } from "./services/Operations.ts"
import type { OwnerAnswer, OwnerAsked } from "./services/owners.ts"
import type { Pruned } from "./services/pruning.ts"
import { Reconciler, type Reconciled } from "./services/Reconciler.ts"
import { forgetExecutions } from "./saga/forget.ts"
import type { Finding, Repair } from "./errors/errors.ts"

export type { ConnectOptions } from "./database/locate.ts"
export type { AddressRecord, Allocation, FreeAddress, KeyRecord, Released, Tombstone } from "./contract/allocation.ts"
export type { Operation, OperationState, Target } from "./contract/operation.ts"
export type { OwnerAnswer, OwnerAsked } from "./services/owners.ts"
export type { Pruned } from "./services/pruning.ts"
export type { Reconciled } from "./services/Reconciler.ts"
export type { Pool, PoolRange, Reservation } from "./contract/pool.ts"
export { isRepeatable } from "./errors/errorFacts.ts"
export * from "./errors/errors.ts"
export { operationIdOf } from "./saga/operationId.ts"

/** An aborted `signal` cancels the call on the server; it rejects with the signal's reason once nothing of it runs any more. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** A call of a service as a promise, with the signal among the fields of its request. */
type Promised<Call> = Call extends (request: infer Request) => Effect.Effect<infer Answer, infer _Error>
  ? (request: Request & CallOptions) => Promise<Answer>
  : never
/** The same, of a call that needs no request. */
type PromisedAlone<Call> = Call extends (request?: infer Request) => Effect.Effect<infer Answer, infer _Error>
  ? (request?: Request & CallOptions) => Promise<Answer>
  : never

type OfAllocator = Allocator["Service"]
type OfPools = Pools["Service"]
type OfOperations = Operations["Service"]
type OfReconciler = Reconciler["Service"]

/** One connected allocator. Its methods need no `this`; what each does stands at `Allocator`, `Pools`, `Operations` and `Reconciler`. */
export interface Ipam {
  readonly allocate: Promised<OfAllocator["allocate"]>
  readonly allocateMany: Promised<OfAllocator["allocateMany"]>
  readonly confirm: Promised<OfAllocator["confirm"]>
  readonly confirmMany: Promised<OfAllocator["confirmMany"]>
  readonly extend: Promised<OfAllocator["extend"]>
  readonly extendMany: Promised<OfAllocator["extendMany"]>
  readonly release: Promised<OfAllocator["release"]>
  readonly releaseMany: Promised<OfAllocator["releaseMany"]>
  readonly releaseAll: Promised<OfAllocator["releaseAll"]>
  readonly reclaimExpired: PromisedAlone<OfAllocator["reclaimExpired"]>
  readonly get: Promised<OfAllocator["get"]>
  readonly list: PromisedAlone<OfAllocator["list"]>
  readonly who: Promised<OfAllocator["who"]>
  readonly describeAddress: Promised<OfAllocator["describeAddress"]>
  readonly createPool: Promised<OfPools["createPool"]>
  readonly listPools: PromisedAlone<OfPools["listPools"]>
  readonly getPool: Promised<OfPools["getPool"]>
  readonly addRange: Promised<OfPools["addRange"]>
  readonly removeRange: Promised<OfPools["removeRange"]>
  readonly updatePool: Promised<OfPools["updatePool"]>
  readonly drain: Promised<OfPools["drain"]>
  readonly undrain: Promised<OfPools["undrain"]>
  readonly reserve: Promised<OfPools["reserve"]>
  readonly unreserve: Promised<OfPools["unreserve"]>
  readonly listReservations: Promised<OfPools["listReservations"]>
  readonly deletePool: Promised<OfPools["deletePool"]>
  /** For the steps of another engine: begin before anything else, with the id that is the request id of every key. */
  readonly beginOperation: Promised<OfOperations["beginOperation"]>
  readonly unwindOperation: Promised<OfOperations["unwindOperation"]>
  readonly finishOperation: Promised<OfOperations["finishOperation"]>
  readonly cancelOperation: Promised<OfOperations["cancelOperation"]>
  readonly getOperation: Promised<OfOperations["getOperation"]>
  /** Rejects rather than being empty where it cannot read. */
  readonly pendingOperations: Promised<OfOperations["pendingOperations"]>
  /** The gate: also true where it cannot read. */
  readonly hasPendingOperation: Promised<OfOperations["hasPendingOperation"]>
  readonly listOperations: Promised<OfOperations["listOperations"]>
  /** The VRF of an owner or target that is known by kind and id alone. */
  readonly identify: Promised<OfOperations["identify"]>
  /** Releases what has expired and what is held for owners that `owners` says are gone; see `Reconciler`. */
  readonly reconcile: (
    owners: (asked: ReadonlyArray<OwnerAsked>, signal: AbortSignal) => Promise<ReadonlyArray<OwnerAnswer>>,
    request?: Parameters<OfReconciler["reconcile"]>[1] & CallOptions,
  ) => Promise<Reconciled>
  /** Forgets what ended longer ago than the horizon, with what the engine of `saga-ipam/saga` keeps of it. */
  readonly prune: (request?: Parameters<OfOperations["prune"]>[0] & CallOptions) => Promise<Pruned>
  /** What is off in the tables; empty when all is well. */
  readonly doctor: (options?: CallOptions) => Promise<ReadonlyArray<typeof Finding.Type>>
  /** Repairs what the doctor finds and no person must decide; answers what it did. What is left, the doctor says. */
  readonly repair: (options?: CallOptions) => Promise<ReadonlyArray<typeof Repair.Type>>
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
  const start = Effect.runPromiseExitWith(services)

  const run = async <A>(effect: Effect.Effect<A, unknown, Services>, signal: AbortSignal | undefined): Promise<A> => {
    const exit = await start(effect, { signal })
    if (Exit.isSuccess(exit)) return exit.value
    throw rejection(exit.cause, signal)
  }

  const promised =
    <Request extends object, A>(call: (request: Request) => Effect.Effect<A, unknown>) =>
    async (request: Request & CallOptions): Promise<A> => {
      const { signal, ...fields } = request ?? {}
      return run(call(fields as Request), checkSignal(signal))
    }
  const alone =
    <Request extends object, A>(call: (request?: Request) => Effect.Effect<A, unknown>) =>
    async (request?: Request & CallOptions): Promise<A> => {
      const { signal, ...fields } = request ?? {}
      return run(call(fields as Request), checkSignal(signal))
    }
  const bare =
    <A>(effect: Effect.Effect<A, unknown>) =>
    async (options: CallOptions = {}): Promise<A> =>
      run(effect, checkSignal(options.signal))

  const allocator = Context.get(services, Allocator)
  const pools = Context.get(services, Pools)
  const operations = Context.get(services, Operations)
  const reconciler = Context.get(services, Reconciler)
  const doctor = Context.get(services, Doctor)
  const database = Context.get(services, Database)
  return {
    allocate: promised(allocator.allocate),
    allocateMany: promised(allocator.allocateMany),
    confirm: promised(allocator.confirm),
    confirmMany: promised(allocator.confirmMany),
    extend: promised(allocator.extend),
    extendMany: promised(allocator.extendMany),
    release: promised(allocator.release),
    releaseMany: promised(allocator.releaseMany),
    releaseAll: promised(allocator.releaseAll),
    reclaimExpired: alone(allocator.reclaimExpired),
    get: promised(allocator.get),
    list: alone(allocator.list),
    who: promised(allocator.who),
    describeAddress: promised(allocator.describeAddress),
    createPool: promised(pools.createPool),
    listPools: alone(pools.listPools),
    getPool: promised(pools.getPool),
    addRange: promised(pools.addRange),
    removeRange: promised(pools.removeRange),
    updatePool: promised(pools.updatePool),
    drain: promised(pools.drain),
    undrain: promised(pools.undrain),
    reserve: promised(pools.reserve),
    unreserve: promised(pools.unreserve),
    listReservations: promised(pools.listReservations),
    deletePool: promised(pools.deletePool),
    beginOperation: promised(operations.beginOperation),
    unwindOperation: promised(operations.unwindOperation),
    finishOperation: promised(operations.finishOperation),
    cancelOperation: promised(operations.cancelOperation),
    getOperation: promised(operations.getOperation),
    pendingOperations: promised(operations.pendingOperations),
    hasPendingOperation: promised(operations.hasPendingOperation),
    listOperations: promised(operations.listOperations),
    identify: promised(operations.identify),
    reconcile: async (owners, { signal, ...request } = {}) =>
      run(
        reconciler.reconcile(
          (asked) => Effect.tryPromise({ try: (aborted) => owners(asked, aborted), catch: (error) => error }),
          request,
        ),
        checkSignal(signal),
      ),
    prune: async ({ signal, ...request } = {}) => run(operations.prune(request, forgetExecutions), checkSignal(signal)),
    doctor: bare(doctor.doctor),
    repair: bare(doctor.repair),
    ping: bare(database.ping),
    close,
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
