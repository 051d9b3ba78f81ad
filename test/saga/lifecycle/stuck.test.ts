/**
 * What cannot go on by itself is marked as stuck and stays pending to every gate; once its cause is mended it goes on, by itself or
 * when it is resumed.
 */
import { setTimeout as pause } from "node:timers/promises"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Operations } from "../../../src/services/Operations.ts"
import { allocateStep } from "../../../src/saga/addresses.ts"
import { InstanceCreate } from "../reference/InstanceCreate.ts"
import { cancelFlow, resumeFlow } from "../reference/starter.ts"
import * as Saga from "../../../src/saga/Saga.ts"
import { step } from "../../../src/saga/step.ts"
import { startInProcess, type InProcess } from "../inProcess.ts"
import { creating, idsOf, openWorld, succeeded, unwound, type World } from "../world.ts"

/** What the steps of `Brittle` meet with; a test mends it. */
const broken = { body: false, step: false }

const Brittle = Saga.make("Brittle", {
  payload: { request: Schema.String, breaks: Schema.Literals(["step", "names", "body"]) },
  idempotencyKey: ({ request }) => request,
  targets: ({ request }) => [{ kind: "brittle", id: request }],
})
const undone: Array<string> = []
const BrittleLive = Brittle.toLayer(
  Effect.fnUntraced(function* ({ request, breaks }) {
    yield* step("first", { do: Effect.void, undo: Effect.sync(() => undone.push(request)) })
    yield* step("second", {
      do: Effect.sync(() => {
        if (breaks === "step" && broken.step) throw new Error("the second step is broken")
      }),
    })
    if (breaks === "names") yield* step("first", { do: Effect.void })
    if (breaks === "body" && broken.body) throw new Error("the body is broken")
  }),
)

/** Its payload decides what it asks for. */
const Asking = Saga.make("Asking", {
  payload: { request: Schema.String, slots: Schema.Array(Schema.String), ttlSeconds: Schema.Number },
  idempotencyKey: ({ request }) => request,
  targets: ({ request }) => [{ kind: "asking", id: request }],
})
const AskingLive = Asking.toLayer(({ slots, ttlSeconds }) =>
  Effect.asVoid(allocateStep("nic", { slots: slots.map((slot) => ({ slot, pool: "v4" })), ttlSeconds })),
)

let world: World
let worker: InProcess

beforeAll(async () => {
  world = await openWorld()
  worker = await startInProcess(world, { flows: Layer.merge(BrittleLive, AskingLive) })
})
afterAll(async () => {
  await worker?.close()
  await world?.close()
})

const isPending = async (kind: string, id: string) => {
  const [row] = await world.session.rows("select ipam.has_pending_operation('default', $1, $2) as found", [kind, id])
  return row?.["found"]
}
const untilStuck = (operationId: string) =>
  world.session.until("select stuck_since from ipam.operation where operation_id = $1 and stuck_since is not null", [
    operationId,
  ])
const stuckOf = async (operationId: string) => {
  const [row] = await world.session.rows(
    "select state, stuck_since, stuck_step as step, stuck_error as error from ipam.operation where operation_id = $1",
    [operationId],
  )
  return row
}
const notStuck = { stuck_since: null, step: null, error: null }
const outcomeOf = (flow: ReturnType<typeof Brittle.execute>) =>
  worker.run(Effect.match(flow, { onFailure: ({ _tag }) => _tag as string, onSuccess: () => "succeeded" }))

test("an undo that does not go is marked, and pending to every gate, until it goes", async () => {
  const payload = creating("switch down", "fail")
  const { executionId, operationId } = await idsOf(payload)
  world.devices.hook = (when, request) => {
    if (when === "before" && request.startsWith("DELETE ports")) throw new Error("the switch is down")
  }
  const answer = worker.create(payload)
  const { stuck_since: since } = await untilStuck(operationId)
  const error = expect.stringMatching(/^DeviceUnavailable: The device did not answer DELETE ports/) as unknown
  expect(await stuckOf(operationId)).toEqual({ state: "unwinding", stuck_since: since, step: "switch/undo", error })
  expect(await isPending("instance", payload.instance)).toBe(true)
  expect(worker.done(executionId).slice(-3)).toEqual(["saga/unwind", "boot/undo", "switch/undo"])
  expect((await world.states()).get(operationId)).toBe(
    "unwinding, provisional 3, instance creating, machine removed, ports 3",
  )
  // Another failure does not change since when; then the switch answers.
  const again = Promise.withResolvers<void>()
  world.devices.hook = (when, request) => {
    if (when !== "before" || !request.startsWith("DELETE ports")) return
    again.resolve()
    throw new Error("the switch is down")
  }
  await again.promise
  expect((await stuckOf(operationId))?.["stuck_since"]).toEqual(since)
  // The mark goes with the next answer, before the flow has its end.
  const hold = worker.hold(executionId, "external/undo", "before")
  world.devices.hook = undefined
  await hold.reached
  expect(await stuckOf(operationId)).toEqual({ state: "unwinding", ...notStuck })
  expect(await isPending("instance", payload.instance)).toBe(true)
  hold.open()
  expect(await answer).toBe("DeviceRefused")
  expect(await stuckOf(operationId)).toEqual({ state: "unwound", ...notStuck })
  expect(await isPending("instance", payload.instance)).toBe(false)
  expect((await world.states()).get(operationId)).toMatch(unwound)
})

test.each([
  ["step", "second", "the second step is broken"],
  ["body", "the body", "the body is broken"],
] as const)(
  "a defect in the %s suspends its flow, which goes on when mended and resumed",
  async (breaks, at, error) => {
    broken[breaks] = true
    const given = { request: breaks, breaks }
    const { operationId } = await Effect.runPromise(Brittle.ids(given))
    const answer = outcomeOf(Brittle.execute(given))
    await untilStuck(operationId)
    expect(await stuckOf(operationId)).toMatchObject({ state: "pending", step: at, error: `Error: ${error}` })
    expect(await isPending("brittle", breaks)).toBe(true)
    broken[breaks] = false
    await worker.run(Brittle.resume(given))
    expect(await answer).toBe("succeeded")
    expect(undone).toEqual([])
    expect(await stuckOf(operationId)).toEqual({ state: "succeeded", ...notStuck })
  },
)

test("a flow that is resumed before the engine has put it aside goes on all the same", async () => {
  broken.body = true
  const given = { request: "early", breaks: "body" } as const
  const { executionId, operationId } = await Effect.runPromise(Brittle.ids(given))
  const hold = worker.hold(executionId, "second/do", "after")
  const answer = outcomeOf(Brittle.execute(given))
  await hold.reached
  const other = world.database.session()
  await other.run("begin; lock table ipam_engine.engine_replies in exclusive mode")
  hold.open()
  await untilStuck(operationId)
  broken.body = false
  const resumed = worker.run(Brittle.resume(given))
  await Promise.race([resumed, pause(500)])
  await other.run("commit")
  await resumed
  expect(await answer).toBe("succeeded")
  expect(await stuckOf(operationId)).toEqual({ state: "succeeded", ...notStuck })
})

test.each([
  ["resumed", resumeFlow, "pending", "succeeded"],
  ["cancelled", cancelFlow, "unwinding", "FlowCancelled"],
] as const)(
  "a flow is %s by its operation, from a program that does not have it",
  async (request, byId, state, end) => {
    const given = { request, breaks: "body" } as const
    broken.body = true
    const answer = outcomeOf(Brittle.execute(given))
    const { operationId } = await Effect.runPromise(Brittle.ids(given))
    await untilStuck(operationId)
    broken.body = false
    const act = () => Effect.runPromise(byId({ url: world.database.url() }, operationId))
    expect(await act()).toMatchObject({ operationId, kind: "Brittle", outcome: request, state })
    expect(await answer).toBe(end)
    const ended = await worker.run(Operations.use(({ getOperation }) => getOperation({ operationId })))
    expect(await act()).toEqual({ ...ended, outcome: "operation_ended" })
  },
)

test("an operation of another engine is cancelled in the ledger, and cannot be resumed here", async () => {
  const operationId = crypto.randomUUID()
  const targets = [{ kind: "brittle", id: operationId }]
  const beginning = { operationId, kind: "Elsewhere", targets, executionId: "elsewhere" }
  await worker.run(Operations.use(({ beginOperation }) => beginOperation(beginning)))
  const options = { url: world.database.url() }
  const refused = await Effect.runPromise(Effect.flip(resumeFlow(options, operationId)))
  expect(refused).toMatchObject({ _tag: "InvalidInput", field: "operation" })
  expect(await Effect.runPromise(cancelFlow(options, operationId))).toMatchObject({ state: "unwinding" })
  await worker.run(Operations.use(({ finishOperation }) => finishOperation({ operationId, state: "unwound" })))
})

test("a step name used twice suspends its flow, which unwinds when it is cancelled", async () => {
  const given = { request: "names", breaks: "names" } as const
  const { operationId } = await Effect.runPromise(Brittle.ids(given))
  const answer = outcomeOf(Brittle.execute(given))
  await untilStuck(operationId)
  const error = `Error: The step name "first" is used twice in one flow`
  expect(await stuckOf(operationId)).toMatchObject({ state: "pending", step: "first", error })
  expect(undone).not.toContain("names")
  await worker.run(Brittle.cancel(given))
  expect(await answer).toBe("FlowCancelled")
  expect(undone.filter((one) => one === "names")).toEqual(["names"])
  expect(await stuckOf(operationId)).toEqual({ state: "unwound", ...notStuck })
})

test("a creation whose table is gone is stuck in its first step until it is resumed", async () => {
  await world.session.run("alter table reference.instance rename to mislaid")
  const payload = creating("mislaid")
  const { operationId } = await idsOf(payload)
  const answer = worker.create(payload)
  await untilStuck(operationId)
  expect(await stuckOf(operationId)).toMatchObject({ state: "pending", step: "record" })
  await world.session.run("alter table reference.mislaid rename to instance")
  await worker.run(InstanceCreate.resume(payload))
  expect(await answer).toBe("succeeded")
  expect((await world.states()).get(operationId)).toBe(succeeded)
  expect(await world.doctor()).toEqual([])
})

test.each([
  ["no slots", [], 60],
  ["a slot twice", ["a", "a"], 60],
  ["too many slots", Array.from({ length: 257 }, (_, number) => `${number}`), 60],
  ["a slot too long with its step", ["x".repeat(199)], 60],
  ["a ttl of none", ["a"], 0],
])("a flow that asks for %s unwinds with that as its error", async (request, slots, ttlSeconds) => {
  const asked = worker.run(Effect.flip(Asking.execute({ request, slots, ttlSeconds })))
  expect(await asked).toMatchObject({ _tag: "InvalidInput" })
  const { operationId } = await Effect.runPromise(Asking.ids({ request, slots, ttlSeconds }))
  expect(await stuckOf(operationId)).toEqual({ state: "unwound", ...notStuck })
})

test.each([
  ["no id", ""],
  ["an id too long", "x".repeat(201)],
  ["an id with U+0000", "a\u0000b"],
  ["an id with half of a surrogate pair", "a\ud800"],
])("a flow whose target has %s is refused before a worker is asked, and ends at one that is", async (_, instance) => {
  const payload = creating(instance)
  const refused = { _tag: "InvalidInput" }
  expect(await worker.run(Effect.flip(InstanceCreate.start(payload)))).toMatchObject(refused)
  expect(await worker.run(Effect.flip(InstanceCreate.execute(payload)))).toMatchObject(refused)
  // As a starter of another version would.
  expect(await worker.run(Effect.flip(InstanceCreate.workflow.execute(payload)))).toMatchObject(refused)
})
