/** Set-up for tests of the commands on sagas: a database with pools, fake devices, and helpers to start and await sagas. */
import { afterAll, beforeAll, expect } from "vitest"
import { startFakeDatacenter, type FakeDatacenter } from "../../src/saga/reference/fakeDatacenter.ts"
import { freePort, pools } from "../saga/world.ts"
import { useDatabase, type Session } from "../harness/database.ts"
import { useCommand, type Started } from "./command.ts"

/** The payload of an `InstanceCreate`, whose instance has the name of its request. */
export const create = (request: string, fields: object = {}): string =>
  JSON.stringify({ request, instance: request, pools, ...fields })

export const start = ["saga", "start", "InstanceCreate"] as const

/** The JSON of an operation, with the fields that a test expects. */
export const operation = (fields: object) => ({
  operationId: expect.stringMatching(/^[0-9a-f-]{36}$/),
  vrf: "default",
  kind: "InstanceCreate",
  sequence: expect.stringMatching(/^\d+$/),
  begunAt: expect.any(String),
  ...fields,
})

/** The ranges of the pools that `create` uses, and of `one`, which has a single address. */
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
    if (made === undefined) throw new Error("the set-up exists only while tests run")
    return made
  }
  return {
    ...command,
    here,
    /** Starts a worker with the devices of this file; it is killed after the last test. */
    startWorker: async (): Promise<Started> => {
      const listen = `127.0.0.1:${await freePort()}`
      const worker = command.begin("worker", "--listen", listen, "--devices", here().devices.url)
      await worker.said(`running on ${listen}`)
      return worker
    },
    /** Runs a command and returns its answer with the exit code: a saga that unwound is an answer, but not a success. */
    ended: async (...args: ReadonlyArray<string>): Promise<Record<string, unknown>> => {
      const { code, out, err } = await command.cli(...args, "--json")
      expect(err).toBe("")
      return { code, ...(JSON.parse(out) as object) }
    },
    /** Starts a saga without waiting; returns its operation id. */
    detached: async (payload: string): Promise<string> => {
      const answered = await command.answer(...start, payload, "--detach")
      return (answered as { readonly operationId: string }).operationId
    },
    /** Resolves when the row of the operation meets the condition. */
    reached: (operationId: string, condition: string) =>
      here().session.until(`select from ipam.operation where operation_id = $1 and ${condition}`, [operationId]),
  }
}
