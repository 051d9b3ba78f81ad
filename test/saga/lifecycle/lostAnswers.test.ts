/** The answer to a statement of a worker is lost after it was committed, or comes while the worker ends: no saga is left to nobody. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Database } from "../../../src/database/Database.ts"
import { DatabaseUnavailable } from "../../../src/errors/errors.ts"
import { layer } from "../../../src/layer.ts"
import * as Saga from "../../../src/saga/Saga.ts"
import { SagaWorker, type SagaWorkerOptions } from "../../../src/saga/SagaWorker.ts"
import { step } from "../../../src/saga/step.ts"
import { Allocator } from "../../../src/services/Allocator.ts"
import { Operations } from "../../../src/services/Operations.ts"
import { useDatabase, type Session } from "../../harness/database.ts"

const database = useDatabase()
let owner: Session

const Create = Saga.make("Create", {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }) => id,
  targets: ({ id }) => [{ kind: "instance", id }],
})
/** What the step of each saga does, by the id of its payload. */
const does = new Map<string, Effect.Effect<void>>()
const CreateLive = Create.toLayer(({ id }) => step("do", { do: does.get(id) ?? Effect.void }))

/** What becomes of the answer to each statement, by the name of its call. */
type Lose = (call: string) => Effect.Effect<void, DatabaseUnavailable>
const losing = (lose: Lose): Layer.Layer<Database, never, Database> =>
  Layer.effect(
    Database,
    Effect.map(Database, (inner) =>
      Database.of({
        ...inner,
        query: (statement, parameters, context) =>
          Effect.tap(inner.query(statement, parameters, context), (rows) =>
            rows.length === 0 ? Effect.void : lose(context.call),
          ),
      }),
    ),
  )

const makeWorker = (
  lose: Lose = () => Effect.void,
  options: SagaWorkerOptions = {},
  clock: Effect.Effect<Clock.Clock> = Clock.clockWith(Effect.succeed),
) =>
  ManagedRuntime.make(
    CreateLive.pipe(
      Layer.provideMerge(Layer.provide(SagaWorker.layer(options), Layer.effect(Clock.Clock, clock))),
      Layer.provideMerge(Layer.mergeAll(Allocator.layer, Operations.layer)),
      Layer.provideMerge(Layer.provide(losing(lose), layer({ url: database().url("ipam_allocator") }))),
    ),
  )

/** Loses the first answer to this call that has any rows. */
const once = (lost: string): Lose => {
  let isLost = false
  return (call) => {
    if (call !== lost || isLost) return Effect.void
    isLost = true
    return Effect.fail(new DatabaseUnavailable({ call, reason: "the connection was lost" }))
  }
}

let starter: ManagedRuntime.ManagedRuntime<Layer.Success<ReturnType<typeof layer>>, unknown>
beforeAll(async () => {
  owner = database().session()
  starter = ManagedRuntime.make(layer({ url: database().url("ipam_allocator") }))
})
afterAll(() => starter.dispose())

const succeeded = async (id: string) => {
  await starter.runPromise(Create.execute({ id }))
  return owner.rows("select state from ipam.operation where operation_id = $1", [Create.operationIdFor({ id })])
}

test("a saga whose claim was answered to nobody is claimed again by that worker", async () => {
  await starter.runPromise(Create.start({ id: "claimed" }))
  const worker = makeWorker(once("claim_sagas"))
  await worker.runPromise(Effect.void)
  expect(await succeeded("claimed")).toEqual([{ state: "succeeded" }])
  await worker.dispose()
})

test("a saga whose start was answered to nobody is claimed again by the worker that it was started for", async () => {
  const worker = makeWorker(once("start_saga"))
  await worker.runPromise(Effect.void)
  // From then on it holds a lease, and is given what is started beside it.
  await owner.until("select from ipam.saga_worker where lease_until > now()")
  const exit = await worker.runPromiseExit(Create.start({ id: "started" }))
  expect(exit._tag).toBe("Failure")
  expect(await succeeded("started")).toEqual([{ state: "succeeded" }])
  await worker.dispose()
})

test("a saga whose starter is interrupted after it was sent is executed all the same", async () => {
  const reached = Promise.withResolvers<void>()
  const worker = makeWorker((call) =>
    call === "start_saga" ? Effect.andThen(Effect.sync(reached.resolve), Effect.never) : Effect.void,
  )
  await worker.runPromise(Effect.void)
  await owner.until("select from ipam.saga_worker where lease_until > now()")
  const starting = worker.runFork(Create.start({ id: "interrupted" }))
  await reached.promise
  await Effect.runPromise(Fiber.interrupt(starting))
  expect(await succeeded("interrupted")).toEqual([{ state: "succeeded" }])
  await worker.dispose()
})

test("a worker that ends keeps its lease on what it still executes", async () => {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  let runs = 0
  does.set(
    "last",
    Effect.promise(() => {
      runs += 1
      reached.resolve()
      return opened.promise
    }),
  )
  // A third of that passes between two renewals; the whole of it is what a slow machine may stand still.
  const worker = makeWorker(undefined, { takeoverSeconds: 9, graceSeconds: 600 })
  await worker.runPromise(Create.start({ id: "last" }))
  await reached.promise
  const ended = worker.dispose()
  const next = makeWorker()
  await next.runPromise(Effect.void)
  const [before] = await owner.rows("select clock_timestamp()::text as now")
  await owner.until(
    `select from ipam.saga_run r join ipam.saga_worker w using (worker_id)
    where r.operation_id = $1 and w.renewed_at > $2::text::timestamptz`,
    [Create.operationIdFor({ id: "last" }), String(before?.["now"])],
  )
  expect(
    await owner.rows(
      "select r.epoch, w.lease_until > clock_timestamp() as held from ipam.saga_run r join ipam.saga_worker w using (worker_id) where r.operation_id = $1",
      [Create.operationIdFor({ id: "last" })],
    ),
  ).toEqual([{ epoch: 1, held: true }])
  opened.resolve()
  await ended
  expect(await succeeded("last")).toEqual([{ state: "succeeded" }])
  expect(runs).toBe(1)
  await next.dispose()
})

test("a saga whose claim is answered when the lease has just been lost is waited for by nobody in vain", async () => {
  await starter.runPromise(Create.start({ id: "late" }))
  const operationId = Create.operationIdFor({ id: "late" })
  const passed = Promise.withResolvers<void>()
  const waited = Promise.withResolvers<unknown>()
  let jumpNanos = 0n
  let checks = 0
  // The check of the lease comes in the turn in which the claim is answered, and finds that the lease has passed.
  const clock = Clock.clockWith((inner) =>
    Effect.succeed<Clock.Clock>({
      ...inner,
      currentTimeMillisUnsafe: () => inner.currentTimeMillisUnsafe(),
      currentTimeNanosUnsafe: () => inner.currentTimeNanosUnsafe(),
      currentTimeMillis: inner.currentTimeMillis,
      currentTimeNanos: inner.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => inner.monotonicTimeNanosUnsafe() + jumpNanos,
      monotonicTimeNanos: Effect.map(inner.monotonicTimeNanos, (now) => now + jumpNanos),
      sleep: (duration) => {
        if (jumpNanos !== 0n || Duration.toMillis(duration) !== 250) return inner.sleep(duration)
        checks += 1
        return Effect.promise(() => passed.promise)
      },
    }),
  )
  const worker = makeWorker(
    (call) =>
      Effect.sync(() => {
        if (call !== "claim_sagas" || jumpNanos !== 0n) return
        jumpNanos = 3_600_000_000_000n
        passed.resolve()
        setImmediate(() => waited.resolve(worker.runPromise(SagaWorker.use(({ ending }) => ending(operationId)))))
      }),
    {},
    clock,
  )
  await worker.runPromise(Effect.void)
  expect(await waited.promise).toBeUndefined()
  expect(checks).toBe(1)
  expect(await succeeded("late")).toEqual([{ state: "succeeded" }])
  await worker.dispose()
})
