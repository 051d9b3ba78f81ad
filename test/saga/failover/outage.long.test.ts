/**
 * Outages so long that a worker gives its flows up, and some that meet a crowd anywhere; those of `outage.test.ts` are short and meet one
 * flow at its point. How long is what is tried here: more than a third of the time of a takeover.
 */
import { setTimeout as pause } from "node:timers/promises"
import { expect, test } from "vitest"
import { disagreements, holdRequests } from "./chaos.ts"
import { back, forward, port, startDetached, untilSucceeded, withWorker, world } from "./outages.ts"
import { creating, freePort, idsOf, kill, startWorker } from "../world.ts"

const LONG_MS = 8000

test.each([forward, back])(
  "a flow on its way $way, whose worker has given it up in a long outage, is ended by it all the same",
  async ({ way, temper, requests, end }) => {
    const payload = creating(`${way}-long`, temper)
    const held = holdRequests(world.devices, requests, "after")
    const worker = startWorker(world, { port, start: [payload], takeoverSeconds: 3 })
    try {
      await held.reached
      await world.cut()
      await pause(LONG_MS)
      held.open()
      await world.start()
      expect(await worker.ended(payload.request)).toMatch(temper === "ok" ? /^succeeded$/ : /DeviceRefused/)
      const { operationId } = await idsOf(payload)
      expect((await world.states()).get(operationId)).toBe(end)
      expect(await disagreements(world)).toEqual([])
    } finally {
      held.open()
      await kill(worker)
    }
  },
)

test("a flow that nobody waits for, whose step ended as the server went away for a while, has its end", async () => {
  const payload = creating("unawaited")
  const held = holdRequests(world.devices, /^PUT ports/, "after")
  await withWorker(undefined, async () => {
    // A step that is interrupted would turn the flow back.
    await world.session.run(`
        create table public.interrupted (request_id bigint);
        create function public.note() returns trigger language plpgsql as
          $$ begin insert into public.interrupted values (new.request_id); return new; end $$;
        create trigger note before insert on ipam_engine.engine_messages
          for each row when (new.kind = 2) execute function public.note();
      `)
    await startDetached(payload)
    await held.reached
    await world.cut()
    held.open()
    await pause(LONG_MS)
    await world.start()
    await untilSucceeded(payload)
    expect(await world.session.rows("select * from public.interrupted")).toEqual([])
  }).finally(held.open)
})

test.each([
  { workers: 1, awayMs: 1500 },
  { workers: 2, awayMs: LONG_MS },
])(
  "a crowd of flows on $workers workers, which an outage of $awayMs ms meets anywhere, is ended by them",
  async ({ workers, awayMs }) => {
    const payloads = Array.from({ length: 32 }, (_, number) =>
      creating(`crowd-${workers}-${number}`, number % 3 === 0 ? "fail" : "ok"),
    )
    const amid = Promise.withResolvers<void>()
    let requests = 0
    world.devices.hook = () => {
      requests += 1
      if (requests === 60) amid.resolve()
    }
    const crowd = await Promise.all(
      Array.from({ length: workers }, async (_, index) => {
        const start = payloads.filter((_, number) => number % workers === index)
        return { start, worker: startWorker(world, { port: index === 0 ? port : await freePort(), start }) }
      }),
    )
    try {
      await amid.promise
      await world.cut()
      await pause(awayMs)
      await world.start()
      await Promise.all(crowd.flatMap(({ start, worker }) => start.map(({ request }) => worker.ended(request))))
      const states = await world.states()
      for (const payload of payloads) {
        const { operationId } = await idsOf(payload)
        expect(states.get(operationId), payload.request).toBe(
          payload.temper === "ok" ? "succeeded, held 3" : "unwound, held 0",
        )
      }
      expect(await disagreements(world)).toEqual([])
      expect(await world.doctor()).toEqual([])
    } finally {
      await Promise.all(crowd.map(({ worker }) => kill(worker)))
    }
  },
)
