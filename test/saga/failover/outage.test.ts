/** The database server is cut off and started again while a flow is under way: the same worker brings it to its end. */
import { setTimeout as pause } from "node:timers/promises"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { startFlow } from "../../../src/saga/reference/starter.ts"
import { disagreements, holdRequests } from "./chaos.ts"
import { openOwnWorld, type OwnWorld } from "./ownServer.ts"
import { creating, freePort, idsOf, kill, startWorker, type Create } from "../world.ts"

/** How long the server is away: long enough for calls to meet it so, and for the worker to look for messages. */
const AWAY_MS = 1500
/** Longer than a third of the takeover time: a worker gives up flows whose answers it could not record, and takes them again. */
const LONG_MS = 8000

let world: OwnWorld
/** The same for all: a worker that is started again at its port goes on at once. */
let port: number

beforeAll(async () => {
  world = await openOwnWorld()
  port = await freePort()
})
afterAll(() => world?.close())

const forward = { way: "forward", temper: "ok", requests: /^PUT ports/, end: "succeeded, held 3" } as const
const back = { way: "back", temper: "fail", requests: /^DELETE ports/, end: "unwound, held 0" } as const

test.each([
  { ...forward, when: "while" },
  { ...forward, when: "after" },
  { ...back, when: "while" },
  { ...back, when: "after" },
])(
  "a flow on its way $way, whose step goes on $when the server is away, is ended by the same worker",
  async ({ way, temper, requests, end, when }) => {
    const payload = creating(`${way}-${when}`, temper)
    const held = holdRequests(world.devices, requests, "after")
    const worker = startWorker(world, { port, start: [payload] })
    try {
      await held.reached
      await world.cut()
      if (when === "while") held.open()
      await pause(AWAY_MS)
      await world.start()
      held.open()
      expect(await worker.ended(payload.request)).toMatch(temper === "ok" ? /^succeeded$/ : /DeviceRefused/)
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

test.each([forward, back])(
  "a flow on its way $way, whose worker has given it up in a long outage, is ended by it all the same",
  async ({ way, temper, requests, end }) => {
    const payload = creating(`${way}-long`, temper)
    const held = holdRequests(world.devices, requests, "after")
    const worker = startWorker(world, { port, start: [payload], takeoverSeconds: 3 })
    try {
      await held.reached
      await world.cut()
      await pause(7000)
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

/** A worker, and flows that others start on it and do not wait for. */
const withWorker = async (takeoverSeconds: number | undefined, work: () => Promise<void>): Promise<void> => {
  const worker = startWorker(world, { port, start: [], ...(takeoverSeconds === undefined ? {} : { takeoverSeconds }) })
  try {
    await worker.ready
    await work()
  } finally {
    await kill(worker)
  }
}
const startDetached = (payload: Create, url = world.database.url()) =>
  Effect.runPromise(startFlow({ url }, "InstanceCreate", payload, true))
const untilSucceeded = async (payload: Create) =>
  world.session.until("select from ipam.operation where operation_id = $1 and state = 'succeeded'", [
    (await idsOf(payload)).operationId,
  ])

test("a message that was claimed as the server went away, which nobody heard, is claimed again", () =>
  withWorker(undefined, async () => {
    const payload = creating("unheard")
    // Commits wait for a standby that is not there: they are on disk, and nobody hears of it.
    await world.session.run("alter system set synchronous_standby_names = 'nobody'")
    await world.session.rows("select pg_reload_conf()")
    await world.session.until("select from pg_settings where name = 'synchronous_standby_names' and setting = 'nobody'")
    await world.session.run("alter system reset synchronous_standby_names")
    await startDetached(payload, `${world.database.url()}&options=${encodeURIComponent("-c synchronous_commit=local")}`)
    await world.session.until(
      "select from pg_stat_activity where wait_event = 'SyncRep' and query like '%SET last_read%'",
    )
    await world.cut()
    await world.start()
    await untilSucceeded(payload)
  }))

test("a message that somebody claimed who does not deal with it is claimed again after the time of a takeover", () =>
  withWorker(3, async () => {
    const payload = creating("unheeded")
    await world.session.run(`
      create function claim() returns trigger language plpgsql as $$ begin new.last_read := now(); return new; end $$;
      create trigger claim before insert on ipam_engine.engine_messages for each row execute function claim();
    `)
    await startDetached(payload)
    await world.session.run("drop function claim cascade")
    await untilSucceeded(payload)
  }))

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
  { workers: 1, awayMs: AWAY_MS },
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
