/**
 * A thousand flows on two workers, of which one is killed half-way: a crowd, where `moving`, `zombie` and `crashMatrix` have a few flows
 * held at their points. So it meets the points that nobody thought of.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { expect, test } from "vitest"
import { InstanceCreate } from "../reference/InstanceCreate.ts"
import { disagreements, openStarter, TAKEOVER_SECONDS } from "./chaos.ts"
import { creating, freePort, idsOf, kill, openWorld, startWorker, succeeded, unwound, type World } from "../world.ts"

const FLOWS = 1000
const AT_A_TIME = 32
/** Three of ten machines fail to start. */
const fails = (number: number) => number % 10 < 3

const startAt = (world: World, port: number) =>
  startWorker(world, { port, start: [], takeoverSeconds: TAKEOVER_SECONDS })

test("a thousand flows, 30 % failing, on two workers of which one is killed: 700 hold everything, 300 nothing", async () => {
  const world = await openWorld(["10.0.0.0-10.0.15.255", "fd00::/64", "198.18.0.0-198.18.15.255"])
  const starter = openStarter(world.database.url())
  const ports = [await freePort(), await freePort()] as const
  const workers = ports.map((port) => startAt(world, port))
  try {
    await Promise.all(workers.map(({ ready }) => ready))
    const payloads = Array.from({ length: FLOWS }, (_, number) =>
      creating(`i-${number}`, fails(number) ? "fail" : "ok"),
    )
    let underWay = 0
    const killed: Array<number> = []
    const crash = async () => {
      const [first] = workers
      if (first === undefined) return
      killed.push(underWay)
      await kill(first)
      workers[0] = startAt(world, ports[0])
    }
    const began = performance.now()
    const left = payloads.entries()
    let interlude = Promise.resolve()
    const ends = new Map<string, boolean>()
    await Promise.all(
      Array.from({ length: AT_A_TIME }, async () => {
        for (const [number, payload] of left) {
          if (number === FLOWS / 2) interlude = crash()
          underWay += 1
          const exit = await starter.runPromise(Effect.exit(InstanceCreate.execute(payload)))
          underWay -= 1
          ends.set(payload.request, Exit.isSuccess(exit))
        }
      }),
    )
    await interlude
    const seconds = (performance.now() - began) / 1000
    console.info(`${FLOWS} flows in ${seconds.toFixed(1)} s: ${(FLOWS / seconds).toFixed(0)} a second`)

    expect(killed[0], "flows were under way when the worker was killed").toBeGreaterThan(AT_A_TIME / 2)
    expect([...ends.values()].filter((success) => success)).toHaveLength(700)
    const states = await world.states()
    expect(states.size).toBe(FLOWS)
    for (const [number, payload] of payloads.entries()) {
      const state = states.get((await idsOf(payload)).operationId) ?? "never begun"
      if (fails(number)) expect(state, payload.request).toMatch(unwound)
      else expect(state, payload.request).toBe(succeeded)
      expect(ends.get(payload.request), payload.request).toBe(!fails(number))
    }
    const [counts] = await world.session.rows(
      "select count(*)::int as held, count(distinct unit)::int as addresses from ipam.allocation where released_at is null",
    )
    expect(counts).toEqual({ held: 2100, addresses: 2100 })
    const connected = Map.groupBy(world.devices.ports.values(), ({ instance }) => instance)
    connected.delete(null)
    expect(connected.size).toBe(700)
    expect([...connected.values()].filter((all) => all.length !== 3)).toEqual([])
    expect(await disagreements(world)).toEqual([])
    expect(await world.doctor()).toEqual([])
  } finally {
    await starter.dispose()
    await Promise.all(workers.map(kill))
    await world.close()
  }
})
