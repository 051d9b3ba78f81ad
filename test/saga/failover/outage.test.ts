/** The database server is cut off and started again while a flow is under way: the same worker brings it to its end. */
import { expect, test } from "vitest"
import { disagreements, holdRequests } from "./chaos.ts"
import { back, forward, port, startDetached, untilSucceeded, withWorker, world } from "./outages.ts"
import { creating, idsOf, kill, startWorker } from "../world.ts"

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
      await world.missed(4)
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
