/** Activities that are annotated `WithTransaction`: what they allocate commits together with the engine's record of their answer. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import * as ClusterSchema from "effect/cluster/ClusterSchema"
import type { SqlClient } from "effect/sql/SqlClient"
import * as Activity from "effect/workflow/Activity"
import * as Workflow from "effect/workflow/Workflow"
import type { WorkflowEngine } from "effect/workflow/WorkflowEngine"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Allocator } from "../../src/services/Allocator.ts"
import { Allocation } from "../../src/contract/allocation.ts"
import { IpamError } from "../../src/errors/errors.ts"
import { workerLayer } from "../../src/saga/engine.ts"
import { operationIdOf } from "../../src/saga/operationId.ts"
import { allOrNothing, sqlAllocatorLayer } from "../../src/saga/sqlAllocator.ts"
import { until } from "../harness/until.ts"
import { openWorld, freePort, type World } from "./world.ts"

const payload = { name: Schema.String, how: Schema.Literals(["answer", "refuse", "fail"]) }
const Take = Workflow.make("Take", {
  payload,
  success: Schema.Array(Allocation),
  error: Schema.Union([IpamError, Schema.Literal("no")]),
  idempotencyKey: ({ name }) => name,
})

/** How often the activity of a flow was begun, by the flow's name. */
const begun = new Map<string, number>()

const takeLayer = Take.toLayer(({ name, how }, executionId) => {
  const requestId = operationIdOf(executionId)
  const body = Effect.gen(function* () {
    begun.set(name, (begun.get(name) ?? 0) + 1)
    const allocator = yield* Allocator
    const first = yield* allocator.allocate({ pool: "v6", requestId, slot: "first" })
    if (how === "fail") return yield* Effect.fail("no" as const)
    const pool = how === "refuse" ? "nowhere" : "v4"
    return [first, yield* allocator.allocate({ pool, requestId, slot: "second" })]
  })
  return Activity.make({
    name: "take",
    success: Take.successSchema,
    error: Take.errorSchema,
    execute: allOrNothing(body),
  }).annotate(ClusterSchema.WithTransaction, true)
})

let world: World
let runtime: ManagedRuntime.ManagedRuntime<WorkflowEngine | SqlClient, unknown>

beforeAll(async () => {
  world = await openWorld()
  const listen = { host: "127.0.0.1", port: await freePort() }
  const worker = workerLayer({ url: world.database.url(), listen })
  runtime = ManagedRuntime.make(
    takeLayer.pipe(
      Layer.provide(sqlAllocatorLayer),
      Layer.provideMerge(worker),
      Layer.provide(Logger.layer([])),
    ) as Layer.Layer<WorkflowEngine | SqlClient, unknown>,
  )
  await runtime.context()
})
afterAll(async () => {
  expect(await world.doctor()).toEqual([])
  await runtime.dispose()
  await world.close()
})

const start = (name: string, how: (typeof Take.payloadSchema.Type)["how"]) =>
  runtime.runPromiseExit(Take.execute({ name, how }))
const executionIdOf = (name: string) => Effect.runPromise(Take.executionId({ name, how: "answer" }))

const held = async (name: string) => {
  const requestId = operationIdOf(await executionIdOf(name))
  const rows = await world.session.rows("select slot from ipam.list_by_request('default', $1) order by slot", [
    requestId,
  ])
  return rows.map((row) => row["slot"])
}
/** The answers that the engine has of the activity of a flow. */
const replies = async (name: string) =>
  world.session.rows(
    `select r.payload from ipam_engine.engine_replies r join ipam_engine.engine_messages m on m.request_id = r.request_id
     where m.tag = 'activity' and m.entity_id = $1`,
    [await executionIdOf(name)],
  )

test("an activity that succeeds holds what it answers, and its answer is recorded", async () => {
  const exit = await start("succeeds", "answer")
  expect(exit).toMatchObject({ value: [{ slot: "first" }, { slot: "second" }] })
  expect(await held("succeeds")).toEqual(["first", "second"])
  expect(await replies("succeeds")).toHaveLength(1)
  expect(begun.get("succeeds")).toBe(1)
})

test.each([
  ["fails", "fail", "no"],
  ["is refused", "refuse", { _tag: "UnknownPool" }],
] as const)(
  "an activity that %s after it allocated holds nothing, and its failure is recorded",
  async (name, how, error) => {
    const exit = await start(name, how)
    expect(Exit.isFailure(exit) ? exit.cause.reasons : exit).toMatchObject([{ _tag: "Fail", error }])
    expect(await held(name)).toEqual([])
    expect(await replies(name)).toHaveLength(1)
    expect(begun.get(name)).toBe(1)
  },
)

test("an activity that meets contention is done again by the engine, and until then nothing is held", async () => {
  const blocker = world.database.session()
  await blocker.run(
    "begin; select from ipam.free_extent e join ipam.pool p using (pool_id) where p.name = 'v4' for update of e",
  )
  const ended = start("waits", "answer")
  await until("it was begun twice", () => begun.get("waits") === 2)
  expect(await held("waits")).toEqual([])
  expect(await replies("waits")).toEqual([])
  await blocker.run("rollback")
  expect(await ended).toMatchObject({ _tag: "Success" })
  expect(await held("waits")).toEqual(["first", "second"])
  expect(await replies("waits")).toHaveLength(1)
})

test("where its answer cannot be recorded, nothing is held", async () => {
  await world.session.run(`create function public.refuse() returns trigger language plpgsql as $$
    begin raise exception 'not now'; end $$;
    create trigger refuse before insert on ipam_engine.engine_replies for each row execute function public.refuse()`)
  const ended = start("unrecorded", "answer")
  await until("it was begun twice", () => begun.get("unrecorded") === 2)
  expect(await held("unrecorded")).toEqual([])
  await world.session.run("drop trigger refuse on ipam_engine.engine_replies")
  expect(await ended).toMatchObject({ _tag: "Success" })
  expect(await held("unrecorded")).toEqual(["first", "second"])
  expect(await replies("unrecorded")).toHaveLength(1)
})
