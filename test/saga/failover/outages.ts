/** What the short and the long tests of outages begin with: a server of their own, and a worker that is there all the time. */
import * as Effect from "effect/Effect"
import { afterAll, beforeAll } from "vitest"
import { startFlow } from "../reference/starter.ts"
import { openOwnWorld, type OwnWorld } from "./ownServer.ts"
import { freePort, idsOf, kill, startWorker, type Create } from "../world.ts"

export let world: OwnWorld
/** The same for all: a worker that is started again at its port goes on at once. */
export let port: number

beforeAll(async () => {
  world = await openOwnWorld()
  port = await freePort()
})
afterAll(() => world?.close())

export const forward = { way: "forward", temper: "ok", requests: /^PUT ports/, end: "succeeded, held 3" } as const
export const back = { way: "back", temper: "fail", requests: /^DELETE ports/, end: "unwound, held 0" } as const

/** A worker, and flows that others start on it and do not wait for. */
export const withWorker = async (takeoverSeconds: number | undefined, work: () => Promise<void>): Promise<void> => {
  const worker = startWorker(world, { port, start: [], ...(takeoverSeconds === undefined ? {} : { takeoverSeconds }) })
  try {
    await worker.ready
    await work()
  } finally {
    await kill(worker)
  }
}
export const startDetached = (payload: Create, url = world.database.url()) =>
  Effect.runPromise(startFlow({ url }, "InstanceCreate", payload, true))
export const untilSucceeded = async (payload: Create) =>
  world.session.until("select from ipam.operation where operation_id = $1 and state = 'succeeded'", [
    (await idsOf(payload)).operationId,
  ])
