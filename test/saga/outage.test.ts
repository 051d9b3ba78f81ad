/** The database server is cut off and started again while a flow is under way: the same worker brings it to its end. */
import { setTimeout as pause } from "node:timers/promises"
import { afterAll, beforeAll, expect, test } from "vitest"
import { disagreements, holdRequests } from "./chaos.ts"
import { openOwnWorld, type OwnWorld } from "./ownServer.ts"
import { creating, freePort, idsOf, kill, startWorker } from "./support.ts"

/** How long the server is away: long enough for calls to meet it so, and for the worker to look for messages. */
const AWAY_MS = 1500

let world: OwnWorld

beforeAll(async () => {
  world = await openOwnWorld()
})
afterAll(() => world?.close())

const cases = [
  { way: "forward", temper: "ok", requests: /^PUT ports/, end: "succeeded, held 3" },
  { way: "back", temper: "fail", requests: /^DELETE ports/, end: "unwound, held 0" },
] as const

test.each(cases.flatMap((one) => (["while", "after"] as const).map((when) => ({ ...one, when }))))(
  "a flow on its way $way, whose step goes on $when the server is away, is ended by the same worker",
  { timeout: 60_000 },
  async ({ way, temper, requests, end, when }) => {
    const payload = creating(`${way}-${when}`, temper)
    const held = holdRequests(world.devices, requests, "after")
    const worker = startWorker(world, { port: await freePort(), start: [payload] })
    try {
      await held.reached
      await world.cut()
      if (when === "while") held.open()
      await pause(AWAY_MS)
      await world.start()
      held.open()
      const began = performance.now()
      expect(await worker.ended(payload.request)).toMatch(temper === "ok" ? /^succeeded$/ : /DeviceRefused/)
      console.info(way, when, performance.now() - began)
      const { operationId } = await idsOf(payload)
      expect((await world.states()).get(operationId)).toBe(end)
      expect(await disagreements(world)).toEqual([])
      expect(await world.doctor()).toEqual([])
    } finally {
      held.open()
      await kill(worker)
    }
  },
)
