/** A database with pools, a datacenter, and the sagas of an example, for the tests of what people start and look at. */
import { join } from "node:path"
import { afterAll, beforeAll, expect } from "vitest"
import { startFakeDatacenter, type FakeDatacenter } from "../../examples/datacenter/fake.ts"
import { useDatabase, type Session } from "../harness/database.ts"
import { useCommand, type Started } from "./command.ts"

/** The module that a worker executes and `saga start` reads. */
export const sagas = join(import.meta.dirname, "../../examples/instance-create/createInstance.ts")

const pools = { v4: "v4", v6: "v6", external: "external" }

/** What `InstanceCreate` is started with: an instance of the name of its request. */
export const create = (request: string, fields: object = {}): string =>
  JSON.stringify({ request, instance: request, pools: { ...pools, ...fields } })

/** The words that start an instance with a payload. */
export const starting = (payload: string): ReadonlyArray<string> => [
  "saga",
  "start",
  "InstanceCreate",
  payload,
  "--file",
  sagas,
]

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

/** Where the datacenter stands still: at a request such as `PUT ports` for an instance. */
interface Hold {
  readonly reached: Promise<void>
  readonly open: () => void
}

export const useFlows = () => {
  const database = useDatabase()
  const command = useCommand(database)
  const failing = new Set<string>()
  const holds = new Map<string, { readonly reached: () => void; readonly opened: Promise<void> }>()
  let made: { readonly session: Session; readonly datacenter: FakeDatacenter } | undefined
  beforeAll(async () => {
    const session = database().session()
    for (const [name, range] of Object.entries(ranges)) {
      await session.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [name, range])
    }
    const datacenter = await startFakeDatacenter({
      isBroken: (instance) => instance.startsWith("broken"),
      hook: async (when, request, instance) => {
        const point = `${when} ${request} ${instance}`
        if (failing.has(point)) throw new Error("the datacenter is out of order")
        const hold = holds.get(point)
        hold?.reached()
        await hold?.opened
      },
    })
    made = { session, datacenter }
  })
  afterAll(() => made?.datacenter.close())
  const here = () => {
    if (made === undefined) throw new Error("the datacenter is there only while tests run")
    return made
  }
  return {
    ...command,
    database,
    here,
    /** Holds a request until it is opened: `before PUT machines i-1`. */
    hold: (point: string): Hold => {
      const reached = Promise.withResolvers<void>()
      const opened = Promise.withResolvers<void>()
      holds.set(point, { reached: reached.resolve, opened: opened.promise })
      return { reached: reached.promise, open: opened.resolve }
    },
    /** Makes a request fail until it is repaired. */
    breaking: (point: string) => {
      failing.add(point)
      return { repair: () => failing.delete(point) }
    },
    /** In the datacenter of this file; killed after its last test. */
    startWorker: async (...words: ReadonlyArray<string>): Promise<Started> => {
      const worker = command.beginWith({ DATACENTER_URL: here().datacenter.url }, "worker", sagas, ...words)
      await worker.said("running the sagas of")
      return worker
    },
    /** What is on stdout, with the exit code: a saga that unwound is an answer, and no success. */
    ended: async (...args: ReadonlyArray<string>): Promise<Record<string, unknown>> => {
      const { code, out, err } = await command.cli(...args, "--json")
      expect(err).toBe("")
      return { code, ...(JSON.parse(out) as object) }
    },
    /** Starts a saga and does not wait; its operation. */
    detached: async (payload: string): Promise<string> => {
      const answered = await command.answer(...starting(payload), "--detach")
      return (answered as { readonly operationId: string }).operationId
    },
    /** Resolves once the operation's row is so. */
    reached: (operationId: string, condition: string) =>
      here().session.until(`select from ipam.operation where operation_id = $1 and ${condition}`, [operationId]),
  }
}
