/** Sagas that are written or started wrongly: refused at once or stuck with words, and never a leak, a hang, or the end of the process. */
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { connect, InvalidInput, saga, type Ipam, type SagaContext } from "../../../src/promise.ts"
import { useDatabase, type Session } from "../../harness/database.ts"

const database = useDatabase()
let owner: Session
let ipam: Ipam
let number = 0
let id: string
let body: (context: SagaContext) => Promise<unknown>

const define = (name: string) =>
  saga(
    name,
    {
      payload: Schema.toStandardSchemaV1(Schema.Struct({ id: Schema.String, text: Schema.optional(Schema.String) })),
      idempotencyKey: (payload) => payload.id,
      targets: () => [{ kind: "instance", id: "i-1" }],
    },
    (context) => body(context),
  )
const Odd = define("Odd")
const stuck = async () =>
  owner.until(
    "select stuck_step, stuck_error from ipam.operation where payload ->> 'id' = $1 and stuck_since is not null",
    [id],
  )
const end = async () => {
  await ipam.cancelSaga(Odd, { id })
  await owner.until("select from ipam.operation where payload ->> 'id' = $1 and state = 'unwound'", [id])
}

beforeAll(async () => {
  owner = database().session()
  ipam = await connect({ url: database().url("ipam_allocator") })
  await ipam.startWorker({ sagas: [Odd], graceSeconds: 0 })
})
beforeEach(() => {
  id = `odd-${++number}`
})
afterAll(() => ipam.close())

test.each([
  ["U+0000", "a\u0000b"],
  ["half of a surrogate pair", "a\ud800b"],
  ["more than 1 MiB", "x".repeat(1_048_577)],
  ["much more than 1 MiB", "x".repeat(20_000_000)],
])("a payload with %s is refused, and starts nothing", async (_, text) => {
  await expect(ipam.startSaga(Odd, { id, text })).rejects.toBeInstanceOf(InvalidInput)
  expect(await owner.rows("select from ipam.operation where payload ->> 'id' = $1", [id])).toEqual([])
})

const usable = {
  payload: Schema.toStandardSchemaV1(Schema.Struct({ id: Schema.String })),
  idempotencyKey: ({ id: key }: { readonly id: string }) => key,
  targets: () => [{ kind: "instance", id: "i-1" }] as const,
}
const noSchema = "saga Bad: payload must be a schema of the Standard Schema specification"

test.each([
  ["payload", { payload: undefined }, noSchema],
  ["payload", { payload: { id: "string" } }, noSchema],
  ["idempotencyKey", { idempotencyKey: undefined }, "saga Bad: idempotencyKey must be a function"],
  ["targets", { targets: [{ kind: "instance", id: "i-1" }] }, "saga Bad: targets must be a function"],
])("a saga without a usable %s cannot be defined", (_, change, message) => {
  // As JavaScript allows it.
  const options = { ...usable, ...change } as unknown as typeof usable
  expect(() => saga("Bad", options, async () => undefined)).toThrow(new TypeError(message))
})

test("a saga without a body cannot be defined", () => {
  const none = undefined as unknown as () => Promise<void>
  expect(() => saga("Bad", usable, none)).toThrow(new TypeError("saga Bad: its body must be a function"))
})

test.each([
  ["no name", "", "must not be empty"],
  ["a name of 201 characters", "x".repeat(201), "must have at most 200 characters"],
  ["U+0000 in its name", "a\u0000b", "must not contain a NUL character"],
])("a step with %s leaves its saga stuck, and cancelling ends it", async (_, name, stuck_error) => {
  let isDone = false
  body = (context) =>
    context.step(name, {
      do: async () => {
        isDone = true
      },
    })
  await ipam.startSaga(Odd, { id })
  expect(await stuck()).toEqual({
    stuck_step: "the name of a step",
    stuck_error,
  })
  expect(isDone).toBe(false)
  await end()
})

test.each(["step", "sleep", "allocateStep"] as const)("a %s within a step leaves its saga stuck", async (kind) => {
  body = ({ step, sleep, allocateStep }) =>
    step("outer", {
      do: async () => {
        if (kind === "step") await step("inner", { do: async () => undefined })
        if (kind === "sleep") await sleep("inner", 1)
        if (kind === "allocateStep") await allocateStep("inner", { slots: [{ slot: "v4", pool: "web" }] })
      },
    })
  await ipam.startSaga(Odd, { id })
  expect(await stuck()).toEqual({
    stuck_step: "outer",
    stuck_error: expect.stringMatching(/^TypeError: the step inner is within the step outer, /),
  })
  await end()
})

test("what the function does not wait for is undone before the saga ends", async () => {
  const done: Array<string> = []
  const reached = Promise.withResolvers<void>()
  body = async (context) => {
    void context.step("forgotten", {
      do: ({ signal }) =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => resolve(done.push("aborted")))
          reached.resolve()
        }),
      undo: async () => done.push("undone"),
    })
    await reached.promise
    return "over"
  }
  expect(await ipam.executeSaga(Odd, { id })).toBe("over")
  expect(done).toEqual(["aborted", "undone"])
})

test("a step that is called after its saga has ended does nothing", async () => {
  let late: (() => Promise<unknown>) | undefined
  let isDone = false
  body = async (context) => {
    late = () =>
      context.step("late", {
        do: async () => {
          isDone = true
        },
      })
    return "over"
  }
  expect(await ipam.executeSaga(Odd, { id })).toBe("over")
  void late?.()
  body = async () => "next"
  expect(await ipam.executeSaga(Odd, { id: `${id} next` })).toBe("next")
  expect(isDone).toBe(false)
})

test.each([
  { takeoverSeconds: 0 },
  { takeoverSeconds: Number.NaN },
  { takeoverSeconds: 3601 },
  { concurrency: 0 },
  { concurrency: 1.5 },
  { graceSeconds: -1 },
])("a worker with %o is refused, and another may be started", async (options) => {
  const other = await connect({ url: database().url("ipam_allocator") })
  await expect(other.startWorker({ sagas: [], ...options })).rejects.toBeInstanceOf(InvalidInput)
  await expect(other.startWorker({ sagas: [Odd, define("Odd")] })).rejects.toThrow("defined twice")
  await (await other.startWorker({ sagas: [] })).stop()
  await other.close()
})

test("a connection that closes while a saga is executed hands it back, and whoever waits for it there is told", async () => {
  const Slow = define("Slow")
  const other = await connect({ url: database().url("ipam_allocator") })
  await other.startWorker({ sagas: [Slow], graceSeconds: 0 })
  const reached = Promise.withResolvers<void>()
  let runs = 0
  body = (context) =>
    context.step("slow", {
      do: ({ signal }) =>
        new Promise((resolve) => {
          if (++runs > 1) return resolve("done")
          reached.resolve()
          signal.addEventListener("abort", () => resolve("aborted"))
        }),
    })
  const executing = expect(other.executeSaga(Slow, { id })).rejects.toMatchObject({ _tag: "DatabaseUnreachable" })
  await reached.promise
  await other.close()
  await executing
  const next = await connect({ url: database().url("ipam_allocator") })
  await next.startWorker({ sagas: [Slow] })
  expect(await next.executeSaga(Slow, { id })).toBe("done")
  await next.close()
})
