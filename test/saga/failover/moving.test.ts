/** A worker joins while flows of the first one unwind: those that move to it are ended by it, and those that stay by the first. */
import { expect, test } from "vitest"
import { disagreements, holdRequests, TAKEOVER_SECONDS } from "./chaos.ts"
import { creating, freePort, idsOf, kill, openWorld, startWorker, unwound } from "../world.ts"
import { locks } from "../storages.ts"

const FLOWS = 24

test.each([
  ["while an undo of each is under way", "before"],
  ["when an undo of each has had its effect", "after"],
] as const)("flows move %s, and all end", async (_, at) => {
  const world = await openWorld()
  const payloads = Array.from({ length: FLOWS }, (_, number) => creating(`moved-${number}`, "fail"))
  const held = holdRequests(world.devices, /^DELETE ports/, at)
  const takeoverSeconds = TAKEOVER_SECONDS
  const first = startWorker(world, { port: await freePort(), start: payloads, takeoverSeconds })
  await first.ready
  await world.session.until("select 1 from ipam.operation where state = 'unwinding' having count(*) = $1", [FLOWS])
  const second = startWorker(world, { port: await freePort(), start: [], takeoverSeconds })
  try {
    await second.ready
    await world.session.until("select 1 from ipam_engine.engine_runners where healthy having count(*) = 2")
    // As soon as the second one has a part of the flows, those of the other parts have been told to stop.
    await world.session.until(`select 1 ${locks} having count(distinct pid) = 2`)
    held.open()
    await world.session.until("select 1 from ipam.operation where not pending having count(*) = $1", [FLOWS])
    const states = await world.states()
    for (const payload of payloads) expect(states.get((await idsOf(payload)).operationId)).toMatch(unwound)
    expect(await disagreements(world)).toEqual([])
    expect(await world.doctor()).toEqual([])
  } finally {
    held.open()
    await kill(first)
    await kill(second)
    await world.close()
  }
})
