/** A database with pools, devices and commands on flows, for the tests of what people start and look at. */
import { afterAll, beforeAll, expect } from "vitest"
import { startFakeDatacenter, type FakeDatacenter } from "../../src/saga/reference/fakeDatacenter.ts"
import { freePort, pools } from "../saga/world.ts"
import { useDatabase, type Session } from "../harness/database.ts"
import { useCommand, type Started } from "./command.ts"

/** What `InstanceCreate` is started with: an instance of the name of its request. */
export const create = (request: string, fields: object = {}): string =>
  JSON.stringify({ request, instance: request, pools, ...fields })

export const start = ["saga", "start", "InstanceCreate"] as const

/** An operation as JSON shows it, whatever else of it a test names. */
export const operation = (fields: object) => ({
  operationId: expect.stringMatching(/^[0-9a-f-]{36}$/),
  vrf: "default",
  kind: "InstanceCreate",
  sequence: expect.stringMatching(/^\d+$/),
  begunAt: expect.any(String),
  ...fields,
})

/** The pools are those of `create`, and `one` of a single address. */
const ranges = { v4: "10.0.0.0/24", v6: "fd00::/64", external: "192.0.2.0/28", one: "198.51.100.1" }

export const useFlows = () => {
  const database = useDatabase()
  const command = useCommand(database)
  let made: { readonly session: Session; readonly devices: FakeDatacenter } | undefined
  beforeAll(async () => {
    const session = database().session()
    for (const [name, range] of Object.entries(ranges)) {
      await session.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [name, range])
    }
    made = { session, devices: await startFakeDatacenter() }
  })
  afterAll(() => made?.devices.close())
  const here = () => {
    if (made === undefined) throw new Error("the flows are there only while tests run")
    return made
  }
  return {
    ...command,
    here,
    /** On the devices of this file; killed after its last test. */
    startWorker: async (): Promise<Started> => {
      const listen = `127.0.0.1:${await freePort()}`
      const worker = command.begin("worker", "--listen", listen, "--devices", here().devices.url)
      await worker.said(`running on ${listen}`)
      return worker
    },
    /** What is on stdout, with the exit code: a flow that unwound is an answer, and no success. */
    ended: async (...args: ReadonlyArray<string>): Promise<Record<string, unknown>> => {
      const { code, out, err } = await command.cli(...args, "--json")
      expect(err).toBe("")
      return { code, ...(JSON.parse(out) as object) }
    },
    /** Starts a flow and does not wait; its operation. */
    detached: async (payload: string): Promise<string> => {
      const answered = await command.answer(...start, payload, "--detach")
      return (answered as { readonly operationId: string }).operationId
    },
    /** Resolves once the operation's row is so. */
    reached: (operationId: string, condition: string) =>
      here().session.until(`select from ipam.operation where operation_id = $1 and ${condition}`, [operationId]),
  }
}
