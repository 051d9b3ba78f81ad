/** The saga log as its users call it: sagas in the process of the test, on a database of their own. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { layer } from "../../../src/layer.ts"
import { allocateStep } from "../../../src/saga/allocateStep.ts"
import type { IpamError } from "../../../src/errors/errors.ts"
import type { CurrentRun } from "../../../src/saga/run.ts"
import * as Saga from "../../../src/saga/Saga.ts"
import { SagaWorker, type SagaWorkerOptions } from "../../../src/saga/SagaWorker.ts"
import { sagaStatus } from "../../../src/saga/status.ts"
import { sleep, step } from "../../../src/saga/step.ts"
import type { Allocator } from "../../../src/services/Allocator.ts"
import { useDatabase, type Session } from "../../harness/database.ts"
import { until } from "../../harness/until.ts"

const database = useDatabase()
let owner: Session

class Refused extends Schema.TaggedError<Refused>()("Refused", { step: Schema.String }) {}

type Body = Effect.Effect<ReadonlyArray<string>, IpamError | Refused | Saga.SagaCancelled, Allocator | CurrentRun>

const options = {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }: { readonly id: string }) => id,
  targets: ({ id }: { readonly id: string }) => [{ kind: "instance", id }] as const,
  success: Schema.Array(Schema.String),
  error: Refused,
}
const Create = Saga.make("Create", options)
const InTurn = Saga.make("InTurn", { ...options, access: "in turn" })
const Alone = Saga.make("Alone", { ...options, access: "exclusive" })

/** What each saga does, by the id of its payload. */
const bodies = new Map<string, Body>()
/** What was done, in that order. */
let done: Array<string> = []
const does = (what: string) => Effect.sync(() => void done.push(what))
const undoable = (name: string) => step(name, { do: does(name), undo: does(`undo ${name}`) })
const refusing = (name: string) =>
  step(name, {
    do: Effect.andThen(does(name), Effect.fail(new Refused({ step: name }))),
    undo: does(`undo ${name}`),
    error: Refused,
  })
const nic = (name: string, pool: string, waitSeconds = 0) =>
  Effect.map(allocateStep(name, { slots: [{ slot: "v4", pool }], waitSeconds }), (all) => all.map((one) => one.address))

const bodyOf = ({ id }: { readonly id: string }): Body => bodies.get(id) ?? Effect.die(new Error(`no body of ${id}`))

const makeWorker = (worker?: SagaWorkerOptions) =>
  ManagedRuntime.make(
    Layer.mergeAll(Create.toLayer(bodyOf), InTurn.toLayer(bodyOf), Alone.toLayer(bodyOf)).pipe(
      Layer.provideMerge(SagaWorker.layer(worker)),
      Layer.provideMerge(layer({ url: database().url("ipam_allocator") })),
    ),
  )
type Worker = ReturnType<typeof makeWorker>
let worker: Worker
let number = 0
let id: string

/** Executes the saga of this test; what it answers, or the tag of its error. */
const execute = (body?: Body, saga: typeof Create | typeof InTurn | typeof Alone = Create): Promise<unknown> => {
  if (body !== undefined) bodies.set(id, body)
  return worker.runPromise(
    Effect.match(saga.execute({ id }), { onFailure: ({ _tag }) => _tag, onSuccess: (value): unknown => value }),
  )
}
const operationId = () => Create.operationIdFor({ id })
const stateOf = async () =>
  (await owner.rows("select state, stuck_step from ipam.operation where operation_id = $1", [operationId()]))[0]
const steps = async () =>
  (
    await owner.rows("select name, state from ipam.saga_step where operation_id = $1 order by ordinal", [operationId()])
  ).map(({ name, state }) => `${String(name)} ${String(state)}`)
/** Lets the time come that the saga of this test sleeps for. */
const passTime = async () => {
  await owner.rows(
    "update ipam.saga_step set until = clock_timestamp() where operation_id = $1 and until is not null",
    [operationId()],
  )
  await owner.rows("update ipam.saga_run set due_at = clock_timestamp() where operation_id = $1", [operationId()])
}
const untilStuck = () =>
  owner.until(
    "select stuck_step, stuck_error from ipam.operation where operation_id = $1 and stuck_since is not null",
    [operationId()],
  )
const held = async () =>
  (
    await owner.rows(
      "select slot from ipam.allocation where request_id = $1 and released_at is null and confirmed_at is not null order by slot",
      [operationId()],
    )
  ).map(({ slot }) => slot)

beforeAll(async () => {
  owner = database().session()
  for (const [name, range] of [
    ["web", "10.0.0.0-10.0.0.255"],
    ["full", "10.1.0.0-10.1.0.0"],
  ] as const) {
    await owner.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [name, range])
  }
  await owner.rows("select from ipam.allocate('default', 'full', gen_random_uuid(), 'default')")
  // However busy the machine is, this one keeps its lease.
  worker = makeWorker({ takeoverSeconds: 600 })
  await worker.runPromise(Effect.void)
})
beforeEach(() => {
  id = `saga-${++number}`
  done = []
})
afterEach(async () => {
  expect(
    await owner.rows("select check_name, detail from ipam.doctor() where check_name <> 'operation stuck'"),
  ).toEqual([])
})
afterAll(() => worker.dispose())

test("a saga succeeds, with its addresses confirmed, and answers the same when it is executed again", async () => {
  const body = Effect.gen(function* () {
    yield* undoable("record")
    const addresses = yield* nic("nic", "web")
    yield* undoable("boot")
    return addresses
  })
  const first = await execute(body)
  expect(first).toEqual([expect.stringMatching(/^10\.0\.0\.\d+$/)])
  expect(await execute()).toEqual(first)
  expect(done).toEqual(["record", "boot"])
  expect(await steps()).toEqual(["record done", "boot done"])
  expect(await held()).toEqual(["nic/v4"])
  expect(await owner.rows("select from ipam.saga_run")).toEqual([])
})

test("a saga that fails is undone, the last step first, and holds nothing", async () => {
  const body = Effect.gen(function* () {
    yield* undoable("record")
    yield* undoable("port")
    yield* nic("nic", "web")
    yield* refusing("boot")
    return []
  })
  expect(await execute(body)).toBe("Refused")
  expect(done).toEqual(["record", "port", "boot", "undo boot", "undo port", "undo record"])
  expect(await steps()).toEqual(["record undone", "port undone", "boot undone"])
  expect(await held()).toEqual([])
})

test("a failed step that the body catches is undone, and what it does instead stays", async () => {
  const body = Effect.gen(function* () {
    yield* Effect.ignore(refusing("first host"))
    yield* undoable("second host")
    return yield* Effect.catch(nic("external", "full"), () => nic("internal", "web"))
  })
  expect(await execute(body)).toHaveLength(1)
  expect(done).toEqual(["first host", "undo first host", "second host"])
  expect(await held()).toEqual(["internal/v4"])
  expect(await steps()).toEqual(["first host undone", "second host done", "external failed"])
})

test("steps that run at once are each recorded, and a failure of one undoes all that were begun", async () => {
  const body = Effect.gen(function* () {
    yield* Effect.all([undoable("a"), undoable("b"), undoable("c")], { concurrency: "unbounded" })
    const reached = Promise.withResolvers<void>()
    const endless = step("endless", {
      do: Effect.andThen(Effect.sync(reached.resolve), Effect.never),
      undo: does("undo endless"),
    })
    const late = Effect.andThen(
      Effect.promise(() => reached.promise),
      refusing("late"),
    )
    yield* Effect.all([endless, late], { concurrency: "unbounded" })
    return []
  })
  expect(await execute(body)).toBe("Refused")
  expect(done.filter((what) => what.startsWith("undo")).toSorted()).toEqual(
    ["a", "b", "c", "endless", "late"].map((name) => `undo ${name}`),
  )
  expect((await steps()).every((one) => one.endsWith("undone"))).toBe(true)
})

test("what the body interrupts is undone, or its addresses given back, before the body goes on", async () => {
  const reached = Promise.withResolvers<void>()
  const body = Effect.gen(function* () {
    const endless = step("endless", {
      do: Effect.andThen(Effect.sync(reached.resolve), Effect.never),
      undo: does("undo endless"),
    })
    const first = Effect.andThen(
      Effect.promise(() => reached.promise),
      undoable("first"),
    )
    yield* Effect.raceFirst(endless, first)
    yield* Effect.raceFirst(nic("waiting", "full", 3600), undoable("second"))
    return yield* nic("nic", "web")
  })
  expect(await execute(body)).toHaveLength(1)
  expect(done).toEqual(["first", "undo endless", "second"])
  expect(await held()).toEqual(["nic/v4"])
})

test("a sleep holds no worker, and the saga continues after it with what it had", async () => {
  const body = Effect.gen(function* () {
    const before = yield* nic("nic", "web")
    yield* undoable("before")
    yield* sleep("a while", 1)
    yield* undoable("after")
    return before
  })
  const answer = execute(body)
  await owner.until("select from ipam.saga_run where operation_id = $1 and worker_id is null and due_at > now()", [
    operationId(),
  ])
  expect(await answer).toHaveLength(1)
  expect(done).toEqual(["before", "after"])
  expect(await steps()).toEqual(["before done", "a while done", "after done"])
})

test("a saga waits for an exhausted pool, for so long and no longer", async () => {
  expect(
    await execute(Effect.catchTag(nic("nic", "full", 1.5), "PoolExhausted", () => Effect.succeed(["none"]))),
  ).toEqual(["none"])
  expect(await steps()).toEqual(["nic failed"])
})

test("a saga that is cancelled while a step runs interrupts that step, and undoes it", async () => {
  const reached = Promise.withResolvers<void>()
  let signal: AbortSignal | undefined
  const body = Effect.gen(function* () {
    yield* undoable("record")
    yield* step("endless", {
      do: (context) =>
        Effect.suspend(() => {
          signal = context.signal
          reached.resolve()
          return Effect.never
        }),
      undo: does("undo endless"),
    })
    return []
  })
  const answer = execute(body)
  await reached.promise
  const cancelled = await worker.runPromise(Create.cancel({ id }))
  expect(cancelled).toMatchObject({ outcome: "cancelled", state: "unwinding" })
  expect(await answer).toBe("SagaCancelled")
  expect(signal?.aborted).toBe(true)
  expect(done).toEqual(["record", "undo endless", "undo record"])
})

test("a saga that sleeps can be cancelled, and so can one that was never started", async () => {
  const body = Effect.andThen(undoable("record"), Effect.as(sleep("a year", 31_536_000), []))
  const answer = execute(body)
  await owner.until("select from ipam.saga_run where operation_id = $1 and worker_id is null", [operationId()])
  await worker.runPromise(Create.cancel({ id }))
  expect(await answer).toBe("SagaCancelled")
  expect(done).toEqual(["record", "undo record"])

  id = `${id} never started`
  expect(await worker.runPromise(Create.cancel({ id }))).toMatchObject({ outcome: "cancelled", state: "unwound" })
  expect(await execute(body)).toBe("SagaCancelled")
})

test("a defect undoes nothing: the saga is stuck until it is resumed, and then continues", async () => {
  let broken = true
  const body = Effect.gen(function* () {
    yield* undoable("record")
    yield* step("odd", { do: Effect.suspend(() => (broken ? Effect.die(new Error("odd")) : does("odd"))) })
    return []
  })
  const answer = execute(body)
  expect(await untilStuck()).toEqual({ stuck_step: "odd", stuck_error: "Error: odd" })
  expect(done).toEqual(["record"])
  broken = false
  expect(await worker.runPromise(Create.resume({ id }))).toMatchObject({ outcome: "resumed" })
  expect(await answer).toEqual([])
  expect(done).toEqual(["record", "odd"])
  expect(await stateOf()).toEqual({ state: "succeeded", stuck_step: null })
})

test("a result that the log cannot keep is a defect, and cancelling undoes what led there", async () => {
  const body = Effect.gen(function* () {
    yield* undoable("record")
    yield* step("large", { do: Effect.succeed("x".repeat(1_100_000)), success: Schema.String })
    return []
  })
  const answer = execute(body)
  expect(await untilStuck()).toMatchObject({ stuck_step: "large" })
  await worker.runPromise(Create.cancel({ id }))
  expect(await answer).toBe("SagaCancelled")
  expect(done).toEqual(["record", "undo record"])
})

test("a step that ignores that it was interrupted is shown and waited for, and undone after it has ended", async () => {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  const deaf = step("deaf", {
    do: Effect.uninterruptible(
      Effect.sync(reached.resolve).pipe(
        Effect.andThen(Effect.promise(() => opened.promise)),
        Effect.andThen(does("deaf")),
      ),
    ),
    undo: does("undo deaf"),
  })
  const answer = execute(Effect.as(deaf, []))
  await reached.promise
  await worker.runPromise(Create.cancel({ id }))
  expect(await untilStuck()).toEqual({ stuck_step: "deaf", stuck_error: "ignores that it was interrupted" })
  expect(done).toEqual([])
  opened.resolve()
  expect(await answer).toBe("SagaCancelled")
  expect(done).toEqual(["deaf", "undo deaf"])
})

test("a step that interrupts itself is stuck, and so is a body that does", async () => {
  const answer = execute(Effect.as(step("odd", { do: Effect.interrupt }), []))
  expect(await untilStuck()).toMatchObject({ stuck_step: "odd" })
  await worker.runPromise(Create.cancel({ id }))
  expect(await answer).toBe("SagaCancelled")
  id = `${id} body`
  const other = execute(Effect.interrupt)
  expect(await untilStuck()).toMatchObject({ stuck_step: "the body" })
  await worker.runPromise(Create.cancel({ id }))
  expect(await other).toBe("SagaCancelled")
})

test("an undo that fails is shown as stuck and repeated until it succeeds", async () => {
  let fails = true
  const body = Effect.gen(function* () {
    yield* step("port", {
      do: does("port"),
      undo: Effect.suspend(() => (fails ? Effect.fail(new Error("the switch is down")) : does("undo port"))),
    })
    yield* refusing("boot")
    return []
  })
  const answer = execute(body)
  expect(await untilStuck()).toEqual({ stuck_step: "port/undo", stuck_error: "Error: the switch is down" })
  fails = false
  await worker.runPromise(Create.resume({ id }))
  expect(await answer).toBe("Refused")
  expect(done.at(-1)).toBe("undo port")
})

test("a name that is used twice, and a body that ends without what was recorded, are stuck", async () => {
  const twice = execute(Effect.andThen(undoable("same"), Effect.as(undoable("same"), [])))
  expect(await untilStuck()).toMatchObject({ stuck_step: "same" })
  await worker.runPromise(Create.cancel({ id }))
  expect(await twice).toBe("SagaCancelled")

  id = `${id} changed`
  const changed = execute(Effect.andThen(undoable("old"), Effect.as(sleep("an hour", 3600), [])))
  await owner.until("select from ipam.saga_run where operation_id = $1 and worker_id is null", [operationId()])
  bodies.set(id, Effect.as(sleep("an hour", 3600), []))
  await passTime()
  expect(await untilStuck()).toEqual({
    stuck_step: "the end",
    stuck_error: "this version does not ask for what was recorded: old",
  })
  bodies.set(id, Effect.andThen(undoable("old"), Effect.as(sleep("an hour", 3600), [])))
  await worker.runPromise(Create.resume({ id }))
  expect(await changed).toEqual([])
})

test("a step within a step is stuck", async () => {
  const nested = execute(Effect.as(step("outer", { do: undoable("inner") }), []))
  expect(await untilStuck()).toMatchObject({
    stuck_step: "inner",
    stuck_error: expect.stringMatching(/within the step outer/),
  })
  await worker.runPromise(Create.cancel({ id }))
  expect(await nested).toBe("SagaCancelled")
  expect(done).toEqual([])
})

test("an exclusive saga is refused while another works on its target; one in turn waits for it", async () => {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  bodies.set(
    id,
    Effect.as(
      step("held", {
        do: Effect.andThen(
          Effect.sync(reached.resolve),
          Effect.promise(() => opened.promise),
        ),
      }),
      [],
    ),
  )
  const first = execute()
  await reached.promise
  expect(await execute(undefined, Alone)).toBe("TargetBusy")
  const next = worker.runPromise(InTurn.execute({ id }))
  await owner.until("select from ipam.saga_run where name = 'InTurn' and epoch > 0 and worker_id is null")
  opened.resolve()
  expect(await first).toEqual([])
  expect(await next).toEqual([])
})

test("a saga of another version waits for a worker of it, shown as stuck, unless its definition says that it continues", async () => {
  const Next = Saga.make("Create", { ...options, version: 2 })
  bodies.set(id, Effect.as(undoable("record"), []))
  // Whoever renews its lease looks for what nobody serves.
  const older = makeWorker({ takeoverSeconds: 3 })
  await older.runPromise(Effect.void)
  const starter = ManagedRuntime.make(layer({ url: database().url("ipam_allocator") }))
  await starter.runPromise(Next.start({ id }))
  expect(await untilStuck()).toEqual({ stuck_step: "its version", stuck_error: "no worker serves version 2 of Create" })
  const newer = ManagedRuntime.make(
    Next.toLayer(bodyOf).pipe(
      Layer.provideMerge(SagaWorker.layer()),
      Layer.provideMerge(layer({ url: database().url("ipam_allocator") })),
    ),
  )
  expect(await newer.runPromise(Next.execute({ id }))).toEqual([])
  await newer.dispose()
  await older.dispose()

  id = `${id} continued`
  const Continued = Saga.make("Continued", options)
  const Later = Saga.make("Continued", { ...options, version: 2, otherVersions: "continue" })
  bodies.set(id, Effect.as(undoable("record"), []))
  await starter.runPromise(Continued.start({ id }))
  const later = ManagedRuntime.make(
    Later.toLayer(bodyOf).pipe(
      Layer.provideMerge(SagaWorker.layer()),
      Layer.provideMerge(layer({ url: database().url("ipam_allocator") })),
    ),
  )
  await later.runPromise(Effect.void)
  expect(await starter.runPromise(Continued.execute({ id }))).toEqual([])
  await later.dispose()
  await starter.dispose()
})

test("the status of a saga tells its steps with their attempts, and what it waits for", async () => {
  let attempts = 0
  const statusOf = async () => (await worker.runPromise(sagaStatus([operationId()]))).get(operationId())
  const body = Effect.gen(function* () {
    yield* step("flaky", {
      do: Effect.suspend(() => (attempts++ < 2 ? Effect.fail(new Refused({ step: "flaky" })) : Effect.void)),
      error: Refused,
      repeat: () => true,
    })
    return yield* Effect.as(sleep("a year", 31_536_000), [])
  })
  const answer = execute(body)
  await owner.until("select from ipam.saga_run where operation_id = $1 and worker_id is null and due_at > now()", [
    operationId(),
  ])
  expect(await statusOf()).toMatchObject({
    phase: "waiting",
    version: 1,
    worker: null,
    epoch: 1,
    dueAt: expect.stringMatching(/^\d{4}-/),
    steps: [
      { name: "flaky", state: "done", attempts: 2, lastError: expect.stringContaining("Refused") },
      { name: "a year", state: "begun", attempts: 0 },
    ],
  })
  await worker.runPromise(Create.cancel({ id }))
  expect(await answer).toBe("SagaCancelled")
  expect(await statusOf()).toMatchObject({ phase: "ended", version: null })
})

test("the same key with another payload is refused at once", async () => {
  const Other = Saga.make("Create", { ...options, payload: { id: Schema.String, more: Schema.String } })
  await execute(Effect.succeed([]))
  const exit = await worker.runPromiseExit(Other.start({ id, more: "x" }))
  expect(Exit.isFailure(exit) && String(exit.cause)).toContain("KeyReused")
})

test("a worker that ends hands its sagas back as they are, and another continues them", async () => {
  const reached = Promise.withResolvers<void>()
  let held = true
  const body = Effect.gen(function* () {
    yield* undoable("record")
    yield* step("slow", {
      do: Effect.suspend(() => {
        reached.resolve()
        return held ? Effect.never : does("slow")
      }),
      undo: does("undo slow"),
    })
    return yield* nic("nic", "web")
  })
  bodies.set(id, body)
  // The only worker, so that it is the one that claims the saga.
  await worker.dispose()
  const ending = makeWorker({ graceSeconds: 0 })
  await ending.runPromise(Create.start({ id }))
  await reached.promise
  held = false
  await ending.dispose()
  expect(await steps()).toEqual(["record done", "slow begun"])
  worker = makeWorker()
  expect(await execute()).toHaveLength(1)
  expect(done).toEqual(["record", "slow"])
})

test("a worker that loses its lease stops at once, undoes nothing, and the saga continues", async () => {
  const reached = Promise.withResolvers<void>()
  let runs = 0
  const body = Effect.gen(function* () {
    yield* undoable("record")
    yield* step("slow", {
      do: Effect.suspend(() => {
        reached.resolve()
        return runs++ === 0 ? Effect.never : does("slow")
      }),
      undo: does("undo slow"),
    })
    return []
  })
  bodies.set(id, body)
  const Lonely = Saga.make("Lonely", options)
  const other = ManagedRuntime.make(
    Lonely.toLayer(bodyOf).pipe(
      Layer.provideMerge(SagaWorker.layer({ takeoverSeconds: 1 })),
      Layer.provideMerge(layer({ url: database().url("ipam_allocator") })),
    ),
  )
  const answer = other.runPromise(Lonely.execute({ id }))
  await reached.promise
  // Each renewal waits for this lock, for longer than the lease lasts.
  const blocker = database().session()
  await blocker.run("begin; lock table ipam.saga_worker in access exclusive mode")
  await until("the lease is lost", async () => {
    const [row] = await blocker.rows(
      "select clock_timestamp() > max(w.lease_until) + interval '1 second' as lost from ipam.saga_worker w where names = '{Lonely}'",
    )
    return row?.["lost"] === true
  })
  await blocker.run("commit")
  expect(await answer).toEqual([])
  expect(done).toEqual(["record", "slow"])
  await other.dispose()
})
