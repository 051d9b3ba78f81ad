/** Sagas as async functions, by the promise API alone: what they answer, how they fail, and how another worker continues them. */
import * as Schema from "effect/Schema"
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import {
  connect,
  InvalidInput,
  PoolExhausted,
  saga,
  SagaCancelled,
  SagaFailed,
  type Ipam,
  type SagaContext,
} from "../../../src/promise.ts"
import { useDatabase, type Session } from "../../harness/database.ts"

const database = useDatabase()
let owner: Session
let ipam: Ipam
let number = 0
let id: string

type Body = (context: SagaContext, payload: { readonly id: string; readonly cores: number }) => Promise<unknown>
let body: Body

const Payload = Schema.toStandardSchemaV1(
  Schema.Struct({ id: Schema.String, cores: Schema.NumberFromString.check(Schema.isGreaterThan(0)) }),
)
const Create = saga(
  "Create",
  {
    payload: Payload,
    idempotencyKey: (payload) => payload.id,
    targets: (payload) => [{ kind: "instance", id: payload.id }],
  },
  (context, payload): Promise<unknown> => body(context, payload),
)

const payload = () => ({ id, cores: "4" })
const execute = (as: Body) => {
  body = as
  return ipam.executeSaga(Create, payload())
}
const stateOf = async () => {
  const rows = await owner.rows(
    `select o.state, o.stuck_step, (select count(*)::int from ipam.allocation a
        where a.request_id = o.operation_id and a.released_at is null and a.expires_at is null and a.unit is not null) as confirmed
      from ipam.operation o where o.payload ->> 'id' = $1`,
    [id],
  )
  return rows[0]
}
const untilStuck = () =>
  owner.until("select from ipam.operation o where o.payload ->> 'id' = $1 and o.stuck_step is not null", [id])

beforeAll(async () => {
  owner = database().session()
  const operator = await connect({ url: database().url("ipam_operator") })
  await operator.createPool({ name: "web", ranges: ["10.0.0.0/24"] })
  await operator.createPool({ name: "full", ranges: ["10.1.0.1"] })
  await operator.allocate({ pool: "full", requestId: crypto.randomUUID() })
  await operator.close()
})
beforeEach(async () => {
  id = `i-${++number}`
  ipam = await connect({ url: database().url("ipam_allocator") })
  await ipam.startWorker({ sagas: [Create], graceSeconds: 0 })
})
afterEach(() => ipam.close())

const nic = (context: SagaContext, pool = "web") =>
  context.allocateStep(pool, { slots: [{ slot: "v4", pool }], owner: { kind: "instance", id } })

test("answers what its function answers, and holds what it has allocated", async () => {
  const answer = await execute(async (context, { cores }) => {
    const [one] = await nic(context)
    const [left, right] = await Promise.all([
      context.step("left", { do: async ({ key }) => ({ key, cores }) }),
      context.step("right", { do: async () => "right" }),
    ])
    await context.sleep("pause", 0.01)
    return { address: one?.address, left, right, nothing: undefined }
  })
  const operationId = (await ipam.startSaga(Create, payload())).operationId
  expect(answer).toEqual({
    address: expect.stringMatching(/^10\.0\.0\./),
    left: { key: `${operationId}/left`, cores: 4 },
    right: "right",
  })
  expect(await ipam.executeSaga(Create, payload())).toEqual(answer)
  expect(await stateOf()).toEqual({ state: "succeeded", stuck_step: null, confirmed: 1 })
})

test("what a step throws undoes it, then everything before it, and is what the saga fails with", async () => {
  const done: Array<string> = []
  const failing = execute(async (context) => {
    await nic(context)
    await context.step("disk", { do: async () => done.push("disk"), undo: async () => done.push("undo disk") })
    await context.step("boot", {
      do: async () => {
        throw Object.assign(new Error("no capacity"), { code: "E_FULL" })
      },
      undo: async () => done.push("undo boot"),
    })
  })
  await expect(failing).rejects.toEqual(
    new SagaFailed({ step: "boot", thrown: "Error", message: "no capacity", code: "E_FULL" }),
  )
  expect(done).toEqual(["disk", "undo boot", "undo disk"])
  expect(await stateOf()).toEqual({ state: "unwound", stuck_step: null, confirmed: 0 })
})

test("an error that the function catches is the same in every run", async () => {
  const seen: Array<unknown> = []
  const answer = await execute(async (context) => {
    const refused = await nic(context, "full").catch((error: unknown) => error)
    const failed = await context
      .step("first host", { do: () => Promise.reject(new Error("away")) })
      .catch((error: unknown) => error)
    seen.push(refused instanceof PoolExhausted, failed instanceof SagaFailed && failed.message)
    // It is put back, and run from its top once the time has come.
    await context.sleep("pause", 0.1)
    const [one] = await nic(context)
    return one?.address
  })
  expect(answer).toMatch(/^10\.0\.0\./)
  expect(seen).toEqual([true, "away", true, "away"])
})

test("another worker continues where a stopped one was, with what was recorded", async () => {
  const done: Array<string> = []
  const reached = Promise.withResolvers<void>()
  body = async (context) => {
    const token = await context.step("token", {
      do: async () => {
        done.push("token")
        return crypto.randomUUID()
      },
    })
    const second = await context.step("second", {
      do: async ({ signal }) => {
        if (done.push("second") > 2) return "done"
        reached.resolve()
        return new Promise<string>((_, reject) => {
          signal.addEventListener("abort", () => reject(new Error("aborted")))
        })
      },
    })
    return { token, second }
  }
  const { operationId } = await ipam.startSaga(Create, payload())
  await reached.promise
  await ipam.close()
  ipam = await connect({ url: database().url("ipam_allocator") })
  await ipam.startWorker({ sagas: [Create] })
  const answer = await ipam.executeSaga(Create, payload())
  expect(answer).toEqual({ token: expect.any(String), second: "done" })
  expect(done).toEqual(["token", "second", "second"])
  expect(await ipam.getOperation({ operationId })).toMatchObject({ state: "succeeded", result: answer })
})

test("a saga that is cancelled aborts what runs, waits until that has settled, and undoes it", async () => {
  const done: Array<string> = []
  const running = Promise.withResolvers<void>()
  const executing = execute((context) =>
    context.step("slow", {
      do: ({ signal }) =>
        new Promise((resolve) => {
          running.resolve()
          signal.addEventListener("abort", () => {
            done.push("aborted")
            setImmediate(() => resolve(done.push("settled")))
          })
        }),
      undo: async () => done.push("undone"),
    }),
  )
  const cancelled = expect(executing).rejects.toBeInstanceOf(SagaCancelled)
  await running.promise
  expect(await ipam.cancelSaga(Create, payload())).toMatchObject({ outcome: "cancelled" })
  await cancelled
  expect(done).toEqual(["aborted", "settled", "undone"])
})

test.each([
  ["a mistake in the program", () => JSON.parse("no JSON")],
  ["an answer that JSON would change", () => ({ generation: 1n })],
])("%s leaves it stuck until it is resumed", async (_, answer) => {
  let isRepaired = false
  const executing = execute((context) => context.step("odd", { do: async () => (isRepaired ? "fine" : answer()) }))
  await untilStuck()
  expect(await stateOf()).toMatchObject({ state: "pending", stuck_step: "odd" })
  isRepaired = true
  await ipam.resumeSaga(Create, payload())
  expect(await executing).toBe("fine")
})

test("a payload that its schema refuses starts nothing", async () => {
  const wrong = { id, cores: "none" }
  await expect(ipam.startSaga(Create, wrong)).rejects.toBeInstanceOf(InvalidInput)
  await expect(ipam.startSaga(Create, wrong)).rejects.toThrow(/^payload\.cores: /)
  const notJson = { id, cores: "1", since: new Date() } as ReturnType<typeof payload>
  await expect(ipam.startSaga(Create, notJson)).rejects.toThrow(
    "payload.since: must be plain JSON, and is of type Date",
  )
  expect(await stateOf()).toBeUndefined()
})

test("what is started without a worker waits for one, and a connection has one worker at a time", async () => {
  const starter = await connect({ url: database().url("ipam_allocator") })
  body = async () => "late"
  const Other = saga(
    "Other",
    { payload: Payload, idempotencyKey: (one) => one.id, targets: (one) => [{ kind: "instance", id: one.id }] },
    async () => "late",
  )
  expect(await starter.startSaga(Other, payload())).toMatchObject({ state: "pending", outcome: "begun" })
  await expect(ipam.startWorker({ sagas: [Other] })).rejects.toThrow("has a worker already")
  const worker = await starter.startWorker({ sagas: [Other] })
  expect(await starter.executeSaga(Other, payload())).toBe("late")
  await worker.stop()
  await starter.close()
})

test("what is no saga is refused by name, wherever one is expected", async () => {
  const noSaga: typeof Create = Object.create(null)
  const refused = { _tag: "InvalidInput", field: "saga" }
  await expect(ipam.startSaga(noSaga, payload())).rejects.toMatchObject(refused)
  await expect(ipam.executeSaga(noSaga, payload())).rejects.toMatchObject(refused)
  await expect(ipam.cancelSaga(noSaga, payload())).rejects.toMatchObject(refused)
  await expect(ipam.resumeSaga(noSaga, payload())).rejects.toMatchObject(refused)
  await expect(ipam.startWorker({ sagas: [noSaga] })).rejects.toMatchObject({ ...refused, field: "sagas" })
})
