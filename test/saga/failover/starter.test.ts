/** A program that starts flows and goes away while they run. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { expect, test } from "vitest"
import { InstanceCreate } from "../reference/InstanceCreate.ts"
import { disagreements, holdRequests, openStarter, TAKEOVER_SECONDS } from "./chaos.ts"
import { creating, freePort, idsOf, kill, openWorld, startWorker, succeeded, unwound } from "../world.ts"

test("flows whose starter is interrupted go on to their ends", async () => {
  const world = await openWorld()
  const starter = openStarter(world.database.url())
  const worker = startWorker(world, { port: await freePort(), start: [], takeoverSeconds: TAKEOVER_SECONDS })
  try {
    await worker.ready
    const payloads = Array.from({ length: 8 }, (_, number) =>
      creating(`left-${number}`, number % 2 === 0 ? "ok" : "fail"),
    )
    const first = holdRequests(world.devices, /^PUT ports/, "after")
    const waiting = starter.runFork(
      Effect.forEach(payloads, (payload) => Effect.exit(InstanceCreate.execute(payload)), { concurrency: "unbounded" }),
    )
    await first.reached
    await world.session.until("select 1 from ipam.operation having count(*) = 8")
    await Effect.runPromise(Fiber.interrupt(waiting))
    await starter.dispose()
    first.open()
    await world.session.until("select 1 from ipam.operation where not pending having count(*) = 8")
    const states = await world.states()
    for (const payload of payloads) {
      expect(states.get((await idsOf(payload)).operationId), payload.request).toMatch(
        payload.temper === "ok" ? new RegExp(`^${succeeded}$`) : unwound,
      )
    }
    expect(await disagreements(world)).toEqual([])
    expect(await world.doctor()).toEqual([])
  } finally {
    await starter.dispose()
    await kill(worker)
    await world.close()
  }
})
