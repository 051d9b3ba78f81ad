/** What the tests of sagas share: a database with pools and devices, workers as processes, and what the world looks like from outside. */
import { startFakeDatacenter, type FakeDatacenter } from "./datacenter/fakeDatacenter.ts"
import { createDatabase, type Session, type TestDatabase } from "../harness/database.ts"
import { end, startProgram, type Program } from "../harness/programs.ts"
import type { Orders } from "./child.ts"
import type { Create } from "./instance.ts"

export type { Create } from "./instance.ts"

export const pools = { v4: "v4", v6: "v6", external: "external" }

/** A saga that creates an instance of the name of its request. */
export const creating = (request: string, faultMode: Create["faultMode"] = "ok"): Create => ({
  request,
  vrf: "default",
  instance: request,
  pools,
  faultMode,
})

export interface World {
  readonly database: TestDatabase
  readonly session: Session
  readonly devices: FakeDatacenter
  /** What is left of each operation, in a few words each. */
  readonly states: () => Promise<Map<string, string>>
  readonly doctor: () => Promise<ReadonlyArray<Record<string, unknown>>>
  readonly close: () => Promise<void>
}

/** A database of its own with three pools of 256, 2^64 and 256 units, and devices. */
export const openWorld = async (
  ranges = ["10.0.0.0-10.0.0.255", "fd00::/64", "192.0.2.0-192.0.2.255"],
): Promise<World> => {
  const database = await createDatabase()
  const session = database.session()
  for (const [index, name] of ["v4", "v6", "external"].entries()) {
    await session.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [
      name,
      ranges[index] ?? "",
    ])
  }
  const devices = await startFakeDatacenter()
  return {
    database,
    session,
    devices,
    states: async () => {
      const rows = await session.rows(statesText)
      return new Map(
        rows.map(({ operation_id: id, words }) => [
          String(id),
          `${String(words)}${wordsOf(devices, String(id), rows)}`,
        ]),
      )
    },
    doctor: () => session.rows("select * from ipam.doctor()"),
    close: async () => {
      await devices.close()
      await database.drop()
    },
  }
}

const statesText = `select o.operation_id, o.payload ->> 'instance' as instance,
  concat_ws(', ', o.state,
    (select string_agg(a.state || ' ' || n, ' ' order by a.state)
       from (select case when released_at is not null then 'released' when expires_at is null then 'confirmed' else 'provisional' end as state, count(*) as n
               from ipam.allocation where request_id = o.operation_id group by 1) a),
    (select 'instance ' || state from reference.instance i where i.operation_id = o.operation_id)) as words
from ipam.operation o`

/** What the devices have of an operation, after a comma each. */
const wordsOf = (devices: FakeDatacenter, id: string, rows: ReadonlyArray<Record<string, unknown>>): string => {
  const machine = devices.machines.get(id)?.state
  const instance = rows.find((row) => row["operation_id"] === id)?.["instance"]
  const connected = [...devices.ports.values()].filter((port) => port.instance === instance).length
  return `${machine === undefined ? "" : `, machine ${machine}`}, ports ${connected}`
}

/** The words of a saga that succeeded, and of one that unwound. */
export const succeeded = "succeeded, confirmed 3, instance running, machine running, ports 3"
export const unwound = /^unwound(, released [1-3])?(, instance gone)?(, machine removed)?, ports 0$/

export interface Worker {
  readonly process: Program
  /** Resolves with true when the operation stands still where it was to, or with nothing once the worker is gone. */
  readonly held: (operationId: string) => Promise<true | undefined>
  /** Resolves when the saga of the request has an end as the worker sees it, or the worker is gone. */
  readonly ended: (request: string) => Promise<string | undefined>
  readonly ready: Promise<void>
  readonly gone: Promise<NodeJS.Signals | null>
}

/** A worker in a process of its own; see `child.ts`. */
export const startWorker = (world: World, orders: Omit<Orders, "url" | "devices">): Worker => {
  const whole: Orders = { url: world.database.url(), devices: world.devices.url, ...orders }
  const child = startProgram("test/saga/child.ts", [JSON.stringify(whole)])
  child.stderr.setEncoding("utf8").on("data", (text: string) => console.error(text))
  const ends = new Map<string, string>()
  const held = new Set<string>()
  const waiting = new Set<() => void>()
  let rest = ""
  let isReady = false
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = `${rest}${text}`.split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) {
      const [word, id = "", ...how] = line.split(" ")
      if (word === "ready") isReady = true
      if (word === "held") held.add(id)
      if (word === "ended") ends.set(id, how.join(" "))
    }
    for (const wake of waiting) wake()
  })
  const gone = new Promise<NodeJS.Signals | null>((resolve) => child.once("exit", (_, signal) => resolve(signal)))
  const until = <A>(look: () => A | undefined): Promise<A | undefined> =>
    new Promise((resolve) => {
      const wake = () => {
        const found = look()
        if (found === undefined) return
        waiting.delete(wake)
        resolve(found)
      }
      waiting.add(wake)
      void gone.then(() => resolve(undefined))
      wake()
    })
  return {
    process: child,
    held: (operationId) => until(() => held.has(operationId) || undefined),
    ended: (request) => until(() => ends.get(request)),
    ready: until(() => isReady || undefined).then(() => undefined),
    gone,
  }
}

/** Ends a worker at once. */
export const kill = (worker: Worker): Promise<void> => end(worker.process)
