/**
 * A worker of the saga log: it claims what is due of the sagas that it serves, runs it, and keeps its lease on it.
 *
 * A worker that cannot renew its lease in time, since the database is away or its process stood still, stops everything that it has
 * and touches nothing; whoever claims it next, which may be the same worker, continues. No port, no session of the database.
 */
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { decodeInput } from "../contract/input.ts"
import { between } from "../contract/requests.ts"
import type { Operation } from "../contract/operation.ts"
import { Database } from "../database/Database.ts"
import { serversOf } from "../database/servers.ts"
import type { InvalidInput } from "../errors/errors.ts"
import { Operations } from "../services/Operations.ts"
import { makeExecution, type Execution, type Runnable } from "./execute.ts"
import { persist } from "./run.ts"
import type { ClaimedSaga, Served } from "../contract/sagaCalls.ts"
import { makeSagaLog, type SagaLog } from "./SagaLog.ts"

export interface SagaWorkerOptions {
  /**
   * How long the sagas of a worker that died, or that cannot be reached, wait until another one takes them over, in seconds: 1 to 3600,
   * 10 when left out. A worker that ends hands its sagas back at once.
   */
  readonly takeoverSeconds?: number | undefined
  /** How many sagas it runs at a time, of each server; 64 when left out. What waits counts for none. */
  readonly concurrency?: number | undefined
  /** How long a worker that is told to end lets its sagas go on before it hands them back, in seconds; 10 when left out. */
  readonly graceSeconds?: number | undefined
}

/** What is to be run under which claim; what of it a start in this process knows. */
type Born = Pick<ClaimedSaga, "operationId" | "vrf" | "name" | "version" | "payload">

interface Running {
  readonly execution: Execution
  readonly epoch: number
  /** The operation once it has ended here; nothing where this worker does not have it any more. */
  readonly ended: Deferred.Deferred<Operation | undefined>
  readonly fiber: Fiber.Fiber<unknown>
  woken: boolean
}

const POLL_MS = 250
/** How long what was stopped may take to end before its saga is handed back all the same. */
const STOP_MS = 1000

export class SagaWorker extends Context.Service<
  SagaWorker,
  {
    /** Serves a saga from now on. */
    readonly register: (saga: Runnable) => Effect.Effect<void>
    /** The id under which a saga may be started as claimed; `null` where this worker has no room or does not serve it. */
    readonly claimant: (name: string, version: number, vrf: string) => string | null
    /** Runs what was started as claimed by this worker under that id. */
    readonly run: (workerId: string, born: Born) => Effect.Effect<void>
    /** The operation once it has ended in this process; `undefined` where it is not here, or no longer. */
    readonly ending: (operationId: string) => Effect.Effect<Operation | undefined>
    /** Tells the run of an operation in this process, if any, that it was cancelled or resumed. */
    readonly wake: (operationId: string, cancelled: boolean) => Effect.Effect<void>
  }
>()("saga-ipam/saga/SagaWorker") {
  static readonly layer = (
    options: SagaWorkerOptions = {},
  ): Layer.Layer<SagaWorker, InvalidInput, Database | Operations> => Layer.effect(SagaWorker, make(options))
}

const secondsFrom = (minimum: number, maximum: number) =>
  Schema.Number.check(
    Schema.makeFilter((value: number) =>
      value >= minimum && value <= maximum ? undefined : `must be a number of seconds from ${minimum} to ${maximum}`,
    ),
  )

const checkOptions = decodeInput(
  Schema.Struct({
    takeoverSeconds: Schema.optional(secondsFrom(1, 3600)),
    concurrency: Schema.optional(between(1, 10_000)),
    graceSeconds: Schema.optional(secondsFrom(0, 86_400)),
  }),
)

const monotonicMs = Clock.clockWith((clock) => Effect.succeed(Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)))

/** The worker of one server. `end` hands its sagas back. */
const makeThere = Effect.fnUntraced(function* (
  { takeoverSeconds = 10, concurrency = 64, graceSeconds = 10 }: SagaWorkerOptions,
  log: SagaLog,
) {
  const leaseMs = takeoverSeconds * 1000
  const graceMs = graceSeconds * 1000
  const label = `${hostname()} ${process.pid}`.slice(0, 200)
  const operations = yield* Operations
  const sagas = new Map<string, Runnable>()
  const running = new Map<string, Running>()
  /** Another one after each lease that was lost: what that one had is claimed anew, by whoever is first. */
  let workerId: string = randomUUID()
  let leaseUntil = Number.NEGATIVE_INFINITY
  let closing = false

  const served = (): Served =>
    [...sagas.values()].map(({ name, version, anyVersion }) => ({ name, version: anyVersion ? null : version }))
  const room = () => (closing ? 0 : concurrency - running.size)

  const runClaimed = (claimed: ClaimedSaga) =>
    Effect.gen(function* () {
      const saga = sagas.get(claimed.name)
      if (saga === undefined) return
      // What an earlier claim of this process began must have settled before anything of it is done or undone again.
      const before = running.get(claimed.operationId)
      // The answer to a start came after that to a later claim.
      if (before !== undefined && before.epoch >= claimed.epoch) return
      const execution = makeExecution(log, operations, saga, claimed)
      const ended = Deferred.makeUnsafe<Operation | undefined>()
      const work = (before === undefined ? Effect.void : Effect.asVoid(Fiber.await(before.fiber))).pipe(
        Effect.andThen(execution.done),
        Effect.catchTag("LeaseLost", () => Effect.succeed(undefined)),
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.succeed(undefined)
            : Effect.logError(`Operation ${claimed.operationId} met with a defect of the worker`, cause).pipe(
                Effect.andThen(Effect.exit(persist(log.park(claimed, [], { retrySeconds: 5 })))),
                Effect.as(undefined),
              ),
        ),
      )
      const fiber = yield* Effect.forkDetach(work, { startImmediately: false })
      running.set(claimed.operationId, { execution, epoch: claimed.epoch, ended, fiber, woken: false })
      // A finalizer would not run where it is interrupted before it has started.
      fiber.addObserver((exit) => {
        if (running.get(claimed.operationId)?.ended === ended) running.delete(claimed.operationId)
        Deferred.doneUnsafe(ended, Effect.succeed(exit._tag === "Success" ? exit.value : undefined))
      })
    })

  const wake = (operationId: string, cancelled: boolean) =>
    Effect.suspend(() => {
      const run = running.get(operationId)?.execution.current()
      if (run === undefined) return Effect.void
      return cancelled ? run.halt({ _tag: "Unwinds", failure: null }) : Effect.asVoid(run.wake)
    })

  /** Stops a run as it is: halted first, since what a body interrupts by itself would be undone. */
  const stop = ({ execution, fiber }: Running) => {
    execution.current()?.haltUnsafe({ _tag: "LeaseLost" })
    fiber.interruptUnsafe()
  }

  /** Stops what it has under a lease that is no longer its own, without waiting for it. */
  const abandon = Effect.suspend(() => {
    const count = running.size
    workerId = randomUUID()
    leaseUntil = Number.NEGATIVE_INFINITY
    for (const one of running.values()) stop(one)
    return count === 0 ? Effect.void : Effect.logWarning(`The lease on ${count} sagas was lost; they are claimed anew`)
  })

  const renew = Effect.gen(function* () {
    const sent = yield* monotonicMs
    const id = workerId
    yield* log.renew({ workerId: id, label, served: served(), leaseSeconds: leaseMs / 1000 })
    if (id === workerId) leaseUntil = sent + leaseMs
  })

  const checkLease = Effect.flatMap(monotonicMs, (now) =>
    now > leaseUntil && leaseUntil !== Number.NEGATIVE_INFINITY ? abandon : Effect.void,
  )

  /** The lease is checked here, too: a process that stood still finds out before it claims anything. */
  const poll = Effect.gen(function* () {
    yield* checkLease
    if (leaseUntil === Number.NEGATIVE_INFINITY) yield* renew
    if (sagas.size === 0) return false
    const request = { workerId, served: served(), maxRuns: room(), known: [...running.keys()] }
    const answers = yield* log.claim(request)
    const claimed = answers.flatMap((one) => ("claimed" in one ? [one.claimed] : []))
    for (const one of answers.flatMap((each) => ("woken" in each ? [each.woken] : []))) {
      const known = running.get(one.operationId)
      const isNews = known !== undefined && !known.woken && known.epoch === one.epoch
      if (!isNews || known.execution.current() === undefined) continue
      known.woken = true
      yield* wake(one.operationId, one.state === "unwinding")
    }
    yield* Effect.forEach(claimed, runClaimed, { discard: true })
    return claimed.length > 0
  })

  const quietly = <A>(what: string, work: Effect.Effect<A, unknown>, otherwise: A) =>
    Effect.catchCause(work, (cause) =>
      Effect.as(Effect.logWarning(`${what} failed and is tried again`, cause), otherwise),
    )

  const polling = Effect.gen(function* () {
    for (;;) {
      const more = yield* quietly("Claiming sagas", poll, false)
      if (!more || room() === 0) yield* Effect.sleep(POLL_MS * (yield* Random.nextBetween(0.8, 1.2)))
    }
  })
  const renewing = quietly("Renewing the lease", renew, undefined).pipe(Effect.repeat(Schedule.spaced(leaseMs / 3)))
  /** Beside calls that wait for the database. */
  const watching = Effect.repeat(checkLease, Schedule.spaced(POLL_MS))

  const untilEnded = (limitMs: number) =>
    Effect.suspend(() => Effect.timeoutOption(Fiber.awaitAll([...running.values()].map(({ fiber }) => fiber)), limitMs))

  // Begun before the end is registered, so that it outlasts what is still executed then: the lease is kept, and a cancel heard of.
  const upkeep = yield* Effect.forkScoped(
    Effect.all([polling, renewing, watching], { concurrency: "unbounded", discard: true }),
  )

  const end = Effect.gen(function* () {
    closing = true
    yield* untilEnded(graceMs)
    for (const one of running.values()) stop(one)
    // What ignores that is left to itself: its saga is another worker's from here on.
    yield* untilEnded(STOP_MS)
    yield* Fiber.interrupt(upkeep)
    yield* quietly("Handing sagas back", log.retire(workerId), undefined)
  })

  const worker = SagaWorker.of({
    register: (saga) =>
      Effect.suspend(() => {
        if (sagas.has(saga.name)) return Effect.die(new Error(`The saga ${JSON.stringify(saga.name)} is defined twice`))
        sagas.set(saga.name, saga)
        return Effect.void
      }),
    claimant: (name, version) => {
      const saga = sagas.get(name)
      const isServed = saga !== undefined && (saga.anyVersion || saga.version === version)
      return isServed && room() > 0 && leaseUntil !== Number.NEGATIVE_INFINITY ? workerId : null
    },
    run: (id, born) =>
      id === workerId && !closing
        ? runClaimed({
            ...born,
            epoch: 1,
            fence: 1n,
            state: "pending",
            failure: null,
            stuckStep: null,
            steps: [],
            hasKeys: false,
            mustWait: false,
          })
        : Effect.void,
    ending: (operationId) =>
      Effect.suspend(() => {
        const known = running.get(operationId)
        return known === undefined ? Effect.succeed(undefined) : Deferred.await(known.ended)
      }),
    wake,
  })
  return { worker, end }
})

/** A worker on each server by itself: those of one that is down take no room from the others. */
const make = Effect.fnUntraced(function* (options: SagaWorkerOptions) {
  const checked = yield* checkOptions(options)
  const database = yield* Database
  const workers = yield* Effect.forEach(serversOf(database), (server) => {
    const serves = (vrf: string) => serversOf(database, vrf).includes(server)
    return Effect.map(makeThere(checked, makeSagaLog(server, serves)), (made) => ({ ...made, serves }))
  })
  yield* Effect.addFinalizer(() =>
    Effect.forEach(workers, ({ end }) => end, { concurrency: "unbounded", discard: true }),
  )
  const workerOf = (vrf: string) => workers.find(({ serves }) => serves(vrf))?.worker
  return SagaWorker.of({
    register: (saga) => Effect.forEach(workers, ({ worker }) => worker.register(saga), { discard: true }),
    claimant: (name, version, vrf) => workerOf(vrf)?.claimant(name, version, vrf) ?? null,
    run: (id, born) => workerOf(born.vrf)?.run(id, born) ?? Effect.void,
    ending: Effect.fnUntraced(function* (operationId) {
      for (const { worker } of workers) {
        const ended = yield* worker.ending(operationId)
        if (ended !== undefined) return ended
      }
      return undefined
    }),
    wake: (operationId, cancelled) =>
      Effect.forEach(workers, ({ worker }) => worker.wake(operationId, cancelled), { discard: true }),
  })
})
