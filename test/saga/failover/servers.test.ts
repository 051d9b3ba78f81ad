/** Two servers, one of which goes down: the VRFs of the other one do not notice, and its own go on when it is back. */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { connect, DatabaseUnreachable, InvalidInput, isRepeatable, saga, type Ipam } from "../../../src/promise.ts"
import { useDatabase, type Session } from "../../harness/database.ts"
import { openOwnWorld, type OwnWorld } from "./ownServer.ts"

interface Payload {
  readonly id: string
  readonly vrf: string
  /** Where its addresses are; where the saga is when left out. */
  readonly elsewhere?: string
}

const database = useDatabase()
let session: Session
let blue: OwnWorld
let ipam: Ipam
/** What the sagas that are held wait for. */
const held = Promise.withResolvers<void>()
const reached = Promise.withResolvers<void>()

const payloadOf = (value: unknown): Payload => value as Payload
const Create = saga(
  "Create",
  {
    payload: { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: payloadOf(value) }) } },
    idempotencyKey: ({ id }) => id,
    targets: ({ id, vrf }) => [{ vrf, kind: "instance", id }],
    vrf: ({ vrf }) => vrf,
  },
  async ({ allocateStep, step }, { id, vrf, elsewhere = vrf }) => {
    const [nic] = await allocateStep("nic", { vrf: elsewhere, slots: [{ slot: "v4", pool: "web" }] })
    await step("boot", {
      do: async () => {
        if (!id.startsWith("held")) return
        reached.resolve()
        await held.promise
      },
    })
    return nic?.address
  },
)

const connectBoth = () => connect({ url: database().url(), servers: { blue: blue.database.url() } })
const anyId = () => crypto.randomUUID()

beforeAll(async () => {
  session = database().session()
  blue = await openOwnWorld()
  ipam = await connectBoth()
  await ipam.createPool({ name: "web", ranges: ["10.0.0.0/24"] })
  await ipam.createPool({ vrf: "blue", name: "web", ranges: ["10.0.0.0/24"] })
  await ipam.startWorker({ sagas: [Create], takeoverSeconds: 1, graceSeconds: 0 })
})
afterAll(async () => {
  await ipam.close()
  await blue.close()
})

test("a worker executes the sagas of all servers, each in the log of its own", async () => {
  for (const vrf of ["default", "blue"]) {
    expect(await ipam.executeSaga(Create, { id: `first-${vrf}`, vrf })).toMatch(/^10\.0\.0\./)
  }
  const text = "select o.vrf::text as vrf, o.state from ipam.operation o"
  expect(await session.rows(text)).toEqual([{ vrf: "default", state: "succeeded" }])
  expect(await blue.session.rows(text)).toEqual([{ vrf: "blue", state: "succeeded" }])
})

test("a saga that allocates in a VRF of another server is refused by name, and unwinds", async () => {
  const strayed = ipam.executeSaga(Create, { id: "strayed", vrf: "default", elsewhere: "blue" })
  await expect(strayed).rejects.toBeInstanceOf(InvalidInput)
  await expect(strayed).rejects.toMatchObject({
    message: expect.stringContaining('VRF "blue" is on another server than VRF "default"'),
  })
  expect(await ipam.list({ vrf: "blue", pool: "web" })).toHaveLength(1)
})

describe("while one server is down", () => {
  let before: Awaited<ReturnType<Ipam["startSaga"]>>

  beforeAll(async () => {
    before = await ipam.startSaga(Create, { id: "held", vrf: "blue" })
    await reached.promise
    await blue.cut()
  })

  test("calls and sagas of the other's VRFs succeed", async () => {
    const requestId = anyId()
    expect(await ipam.allocate({ pool: "web", requestId })).toMatchObject({ outcome: "allocated" })
    expect(await ipam.release({ requestId })).toMatchObject({ freed: true })
    expect(await ipam.listPools({ vrf: "default" })).toHaveLength(1)
    expect(await ipam.executeSaga(Create, { id: "second", vrf: "default" })).toMatch(/^10\.0\.0\./)
    const { operationId } = await ipam.startSaga(Create, { id: "second", vrf: "default" })
    expect(await ipam.getOperation({ operationId })).toMatchObject({ state: "succeeded" })
    expect(await ipam.hasPendingOperation({ vrf: "default", kind: "instance", id: "second" })).toBe(false)
  })

  test("a program that starts then serves the other's VRFs", async () => {
    const late = await connectBoth()
    expect(await late.allocate({ pool: "web", requestId: anyId() })).toMatchObject({ outcome: "allocated" })
    await late.close()
  })

  test("its own calls, and those that need every server, fail as repeatable and name it", async () => {
    const calls = [
      () => ipam.allocate({ vrf: "blue", pool: "web", requestId: anyId() }),
      () => ipam.listPools(),
      () => ipam.list({ allVrfs: true }),
      () => ipam.doctor(),
      () => ipam.who({ address: "10.0.0.200" }),
    ]
    const errors = await Promise.all(calls.map((call) => call().catch((thrown: unknown) => thrown)))
    for (const error of errors) {
      expect(isRepeatable(error)).toBe(true)
      expect(error).toMatchObject({ vrf: "blue" })
    }
    await expect(ipam.ping()).rejects.toSatisfy(isRepeatable)
    expect(await ipam.hasPendingOperation({ kind: "instance", id: "second" })).toBe(true)
  })

  test("upkeep of the other goes on, and then says that it was not all", async () => {
    const requestId = anyId()
    await ipam.allocate({ pool: "web", requestId, owner: { kind: "instance", id: "gone" }, ttlSeconds: 60 })
    await session.rows("update ipam.allocation set expires_at = now() where request_id = $1", [requestId])
    await expect(ipam.reclaimExpired()).rejects.toSatisfy(isRepeatable)
    expect(await ipam.get({ requestId })).toMatchObject({ state: "released", releaseReason: "expired" })
  })

  test("its sagas go on when it is back", async () => {
    await blue.start()
    held.resolve()
    expect(await ipam.executeSaga(Create, { id: "held", vrf: "blue" })).toMatch(/^10\.0\.0\./)
    const { operationId } = before
    expect(await ipam.getOperation({ operationId })).toMatchObject({ vrf: "blue", state: "succeeded" })
    expect(await ipam.doctor()).toEqual([])
  })
})

test("where no server is there, nothing was sent", async () => {
  const nowhere = await connect({ url: "postgres://127.0.0.1:1/a", servers: { blue: "postgres://127.0.0.1:1/b" } })
  await expect(nowhere.allocate({ pool: "web", requestId: anyId() })).rejects.toBeInstanceOf(DatabaseUnreachable)
  await nowhere.close()
})
