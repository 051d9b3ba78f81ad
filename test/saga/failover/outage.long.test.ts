/**
 * The database server is ended without a checkpoint while sagas run, and started again: the same worker brings them to their ends. A server
 * of its own for each run takes its time.
 */
import { afterAll, beforeAll, expect, test } from "vitest"
import { disagreements, holdRequests } from "./disagreements.ts"
import { openOwnWorld, type OwnWorld } from "./ownServer.ts"
import { creating, kill, startWorker } from "../world.ts"
import { InstanceCreate } from "../instance.ts"

let world: OwnWorld

beforeAll(async () => {
  world = await openOwnWorld()
})
afterAll(() => world?.close())

const forward = { way: "forward", faultMode: "ok", requests: /^PUT ports/, end: "succeeded, held 3" } as const
const back = { way: "back", faultMode: "fail", requests: /^DELETE ports/, end: "unwound, held 0" } as const
const each = [forward, back].flatMap((saga) =>
  [60, 1].flatMap((takeoverSeconds) => [
    { saga, takeoverSeconds, when: "while" },
    { saga, takeoverSeconds, when: "after" },
  ]),
)

test.each(each)(
  "a saga on its way $saga.way, whose step ends $when the server is away, under a lease of $takeoverSeconds s, is ended by its worker",
  async ({ saga: { way, faultMode, requests, end }, takeoverSeconds, when }) => {
    const payload = creating(`${way}-${when}-${takeoverSeconds}`, faultMode)
    const held = holdRequests(world.devices, requests, "after")
    const process = startWorker(world, {
      start: [payload],
      worker: { takeoverSeconds },
    })
    try {
      await held.reached
      await world.cut()
      if (when === "while") held.open()
      await world.missed(4)
      await world.start()
      world.devices.hook = undefined
      held.open()
      expect(await process.ended(payload.request)).toMatch(faultMode === "ok" ? /^succeeded$/ : /DeviceRefused/)
      expect((await world.states()).get(InstanceCreate.operationIdFor(payload))).toBe(end)
      expect(await disagreements(world)).toEqual([])
      expect(await world.doctor()).toEqual([])
    } finally {
      held.open()
      await kill(process)
    }
  },
)
