/** One pool that many want at once: transactions that stay open, and a snapshot that somebody keeps open meanwhile. */
import { setTimeout } from "node:timers/promises"
import type { Bench } from "./database.ts"
import { makeFloor, makeOurs, rateOf, type Contender } from "./floor.ts"
import { inTurn, median, ratioOf } from "./measure.ts"
import { pgbench, withoutPgbench } from "./pgbench.ts"
import { grouped, leftOut, table, type Section } from "./report.ts"

const heldOpen = `begin;
select outcome from ipam.allocate('default', 'wide', gen_random_uuid());
select pg_sleep(0.005);
commit;
`

/** 32 clients who each hold their transaction open for 5 ms, against one. */
export const contention = async (bench: Bench): Promise<Section> => {
  if (pgbench === undefined) return leftOut(withoutPgbench)
  const { url, short } = bench
  const ours: Contender = { ...(await makeOurs(bench)), script: heldOpen }
  const rate = (clients: number) => () => rateOf(ours, { url, clients, seconds: short ? 1 : 3 })
  const rates = await inTurn(short ? 1 : 5, { one: rate(1), many: rate(32) })
  const ratio = ratioOf(rates.many, rates.one)
  const row = [grouped(median(rates.one)), grouped(median(rates.many)), ratio.toFixed(1)]
  return {
    blocks: [table(["1 client /s", "32 clients /s", "ratio"], [row])],
    goals: [{ what: "32 clients to 1, transactions held for 5 ms", figure: ratio, atLeast: 15 }],
  }
}

interface Loss {
  readonly before: number
  readonly after: number
}

const secondsOf = ({ short }: Bench) => (short ? { calm: 2, open: 2 } : { calm: 8, open: 60 })

/** The rate of 8 clients before a snapshot is opened elsewhere, and in the last seconds of so many under it. */
const underSnapshot = async (bench: Bench, contender: Contender): Promise<Loss> => {
  const { calm, open } = secondsOf(bench)
  const told = bench.short ? 1 : 5
  const rates: Array<number> = []
  const other = bench.driver(1)
  // The first second is spent on connecting and on cold caches.
  const run = rateOf(contender, {
    url: bench.url,
    clients: 8,
    seconds: calm + open,
    onSecond: (rate) => rates.push(rate),
  })
  const looking = setTimeout(calm * 1000).then(async () => {
    // The begin alone takes no snapshot: the first query does.
    await other.unsafe("begin isolation level repeatable read; select count(*) from ipam.pool").simple()
  })
  await Promise.all([run, looking])
  await other.unsafe("rollback").simple()
  return { before: median(rates.slice(1, calm)), after: median(rates.slice(-told)) }
}

/** What an old snapshot costs us, and what it costs the floor: both leave dead rows that nobody may remove meanwhile. */
export const snapshot = async (bench: Bench): Promise<Section> => {
  if (pgbench === undefined) return leftOut(withoutPgbench)
  const floor = await underSnapshot(bench, await makeFloor(bench.sql))
  const ours = await underSnapshot(bench, await makeOurs(bench))
  const slower = ({ before, after }: Loss) => before / after
  const row = (name: string, loss: Loss) => [name, grouped(loss.before), grouped(loss.after), slower(loss).toFixed(2)]
  return {
    blocks: [
      table(
        ["8 clients", "before /s", `${secondsOf(bench).open} s into the snapshot /s`, "times slower"],
        [row("floor", floor), row("allocate", ours)],
      ),
    ],
    goals: [
      {
        what: "slowing under an open snapshot, ours to the floor's",
        figure: slower(ours) / slower(floor),
        atMost: 1.5,
      },
    ],
  }
}
