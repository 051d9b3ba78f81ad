/** `saga-ipam worker` and `saga-ipam saga`: flows as people and programs start, read, cancel and resume them. */
import { createServer, type AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { startFakeDatacenter, type FakeDatacenter } from "../../src/saga/reference/fakeDatacenter.ts"
import { freePort, pools } from "../saga/support.ts"
import { useDatabase, type Session } from "../support/database.ts"
import { useCommand, type Started } from "./command.ts"

const database = useDatabase()
const { begin, cli, answer, refusal } = useCommand(database)
let session: Session
let devices: FakeDatacenter

const create = (request: string, fields: object = {}): string =>
  JSON.stringify({ request, instance: request, pools, temper: "ok", ...fields })
const start = ["saga", "start", "InstanceCreate"] as const
/** Of an operation, whatever else of it a test names. */
const operation = (fields: object) => ({
  operationId: expect.stringMatching(/^[0-9a-f-]{36}$/),
  vrf: "default",
  kind: "InstanceCreate",
  sequence: expect.stringMatching(/^\d+$/),
  begunAt: expect.any(String),
  ...fields,
})
const ended = async (...args: ReadonlyArray<string>): Promise<Record<string, unknown>> => {
  const { code, out, err } = await cli(...args, "--json")
  expect(err).toBe("")
  return { code, ...(JSON.parse(out) as object) }
}
const detached = async (payload: string): Promise<string> => {
  const { operationId } = (await answer(...start, payload, "--detach")) as { readonly operationId: string }
  return operationId
}
const reached = (operationId: string, condition: string) =>
  session.until(`select from ipam.operation where operation_id = $1 and ${condition}`, [operationId])
const startWorker = async (listen: string, ...args: ReadonlyArray<string>): Promise<Started> => {
  const started = begin("worker", "--listen", listen, ...args)
  await started.said(`saga-ipam worker: running on ${listen}`)
  return started
}
/** While something else listens on the port; 0 is any free one. */
const withServer = async (port: number, use: (port: number) => Promise<void>): Promise<void> => {
  const server = createServer()
  await new Promise<void>((done, fail) => server.once("error", fail).listen(port, "127.0.0.1", done))
  try {
    await use((server.address() as AddressInfo).port)
  } finally {
    await new Promise((done) => server.close(done))
  }
}

beforeAll(async () => {
  session = database().session()
  devices = await startFakeDatacenter()
  const ranges = { v4: "10.0.0.0/24", v6: "fd00::/64", external: "192.0.2.0/28", one: "198.51.100.1" }
  for (const [name, range] of Object.entries(ranges)) {
    await session.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [name, range])
  }
})
afterAll(() => devices.close())

describe("a worker", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "ends on %s, and leaves neither a connection nor its port",
    async (signal) => {
      const port = await freePort()
      const one = await startWorker(`127.0.0.1:${port}`)
      one.child.kill(signal)
      const err = `saga-ipam worker: running on 127.0.0.1:${port}; Ctrl-C ends it, its flows go on with the next one\n`
      expect(await one.ended).toEqual({ code: 130, out: "", err })
      await session.until(
        `select where not exists (select from pg_stat_activity
         where datname = current_database() and application_name like 'saga-ipam%')`,
      )
      await withServer(port, async () => undefined)
    },
  )

  test("is refused a port in use, an address that is none, and a takeover too short", async () => {
    await withServer(0, async (port) => {
      const listen = `127.0.0.1:${port}`
      expect(await refusal("worker", "--listen", listen)).toMatchObject({
        code: 2,
        error: "InvalidInput",
        field: "listen",
        message: `listen: ${listen} cannot be listened on`,
      })
    })
    for (const malformed of ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:34431", ":80"]) {
      expect(await refusal("worker", "--listen", malformed)).toMatchObject({ code: 2, field: "listen" })
    }
    expect(await refusal("worker", "--takeover", "2.9")).toMatchObject({ code: 2, field: "takeover" })
    expect(await refusal("worker", "--takeover", "soon")).toMatchObject({ code: 2, field: "takeover" })
  })
})

describe("without a worker", () => {
  test("a detached start answers at once that it waits, and the flow runs once a worker comes", async () => {
    const waiting = await answer(...start, create("early"), "--detach")
    expect(waiting).toEqual({ operationId: expect.any(String), state: "waiting" })
    const { operationId } = waiting as { readonly operationId: string }
    expect(await refusal("saga", "status", operationId)).toMatchObject({ code: 3, error: "NotFound" })
    expect(await answer("saga", "list")).toEqual([])
    await startWorker(`127.0.0.1:${await freePort()}`, "--devices", devices.url)
    await reached(operationId, "state = 'succeeded'")
    expect(await answer("saga", "status", operationId)).toMatchObject(operation({ operationId, state: "succeeded" }))
  })
})

describe("a flow that is started", () => {
  test("succeeds in about a second beside a worker, and answers the same when it is started again", async () => {
    const began = performance.now()
    const first = await answer(...start, create("quick"))
    expect(performance.now() - began).toBeLessThan(4000)
    const addresses = [expect.stringMatching(/^10\.0\.0\./), expect.any(String), expect.any(String)]
    expect(first).toMatchObject(
      operation({
        state: "succeeded",
        targets: [{ vrf: "default", kind: "instance", id: "quick" }],
        result: { instance: "quick", addresses },
        error: null,
        stuck: null,
      }),
    )
    expect(await answer(...start, create("quick"))).toEqual(first)
    const other = create("quick", { instance: "other" })
    expect(await refusal(...start, other)).toMatchObject({ code: 5, error: "KeyReused" })
  })

  test("that unwinds ends with the code of its error, and answers the same when it is started again", async () => {
    const failures = [
      { request: "nowhere", fields: { pools: { ...pools, v6: "nowhere" } }, code: 3, _tag: "UnknownPool" },
      { request: "full", fields: { pools: { ...pools, external: "one" } }, code: 4, _tag: "PoolExhausted" },
      { request: "broken", fields: { temper: "fail" }, code: 5, _tag: "DeviceRefused" },
      { request: "again", fields: { instance: "quick" }, code: 5, _tag: "InstanceExists" },
    ]
    await session.rows("select from ipam.allocate('default', 'one', gen_random_uuid())")
    for (const { request, fields, code, _tag } of failures) {
      const first = await ended(...start, create(request, fields))
      expect(first).toMatchObject(operation({ code, state: "unwound", result: null, error: { _tag } }))
      expect(await ended(...start, create(request, fields))).toEqual(first)
    }
    expect(await answer("list", "--pool", "v4")).toHaveLength(2)
  })

  test("is refused where what it is started with makes no sense, and the field is named", async () => {
    const refused = async (flow: string, payload: string) => refusal("saga", "start", flow, payload)
    const field = (name: string) => ({ code: 2, error: "InvalidInput", field: name })
    expect(await refused("InstanceCreate", "{request: r}")).toMatchObject(field("payload"))
    expect(await refused("InstanceMove", create("r"))).toMatchObject(field("flow"))
    expect(await refused("InstanceCreate", '{"request":"r"}')).toMatchObject(field("instance"))
    expect(await refused("InstanceCreate", create("r", { pools: { v4: "v4" } }))).toMatchObject(field("pools.v6"))
    expect(await refused("InstanceCreate", create("r", { temper: "mild" }))).toMatchObject(field("temper"))
    expect(await refused("InstanceCreate", create("r", { ttl: 3 }))).toMatchObject(field("ttl"))
    expect(await refused("InstanceCreate", "null")).toMatchObject(field(""))
  })
})
