/** One pool under contention: by transactions that stay open, and beside a snapshot that stays open. */
import { setTimeout } from "node:timers/promises"
import type { Bench } from "./database.ts"
import { makeFloor, makeAllocate, rateOf, type Contender } from "./floor.ts"
import { inTurn, median, ratioOf, timed } from "./measure.ts"
import { pgbench, withoutPgbench } from "./pgbench.ts"
import { grouped, leftOut, table, type Section } from "./report.ts"
import { allocate, release } from "./timedCalls.ts"

const heldOpen = `begin;
select outcome from ipam.allocate('default', 'wide', gen_random_uuid());
select pg_sleep(0.005);
commit;
`

/** 32 clients against one, each of which keeps its transaction open for 5 ms. */
export const contention = async (bench: Bench): Promise<Section> => {
  if (pgbench === undefined) return leftOut(withoutPgbench)
  const { url, short } = bench
  const subject: Contender = { ...(await makeAllocate(bench)), script: heldOpen }
  const rate = (clients: number) => () => rateOf(subject, { url, clients, seconds: short ? 1 : 3 })
  const rates = await inTurn(short ? 1 : 5, { one: rate(1), many: rate(32) })
  const ratio = ratioOf(rates.many, rates.one)
  const row = [grouped(median(rates.one)), grouped(median(rates.many)), ratio.toFixed(1)]
  return {
    blocks: [table(["1 client /s", "32 clients /s", "ratio"], [row])],
    goals: [{ name: "32 clients to 1, transactions held for 5 ms", figure: ratio, atLeast: 15 }],
  }
}

/** Transactions per second before the snapshot was opened, and at the end. */
interface Slowdown {
  readonly before: number
  readonly after: number
}

const secondsOf = ({ short }: Bench) => (short ? { calm: 2, open: 2 } : { calm: 8, open: 60 })

/** The rates of 8 clients before another session opens a snapshot, and in the last seconds under it. */
const underSnapshot = async (bench: Bench, contender: Contender): Promise<Slowdown> => {
  const { calm, open } = secondsOf(bench)
  const lastSeconds = bench.short ? 1 : 5
  const rates: Array<number> = []
  const other = bench.driver(1)
  // The first second is lost to connecting and cold caches.
  const run = rateOf(contender, {
    url: bench.url,
    clients: 8,
    seconds: calm + open,
    onSecond: (rate) => rates.push(rate),
  })
  const opening = setTimeout(calm * 1000).then(async () => {
    // BEGIN alone takes no snapshot; the first query does.
    await other.unsafe("begin isolation level repeatable read; select count(*) from ipam.pool").simple()
  })
  await Promise.all([run, opening])
  await other.unsafe("rollback").simple()
  return { before: median(rates.slice(1, calm)), after: median(rates.slice(-lastSeconds)) }
}

/**
 * The times in ms that one caller's cycles of allocate and release take beside an open snapshot, in a pool that has seen thousands of
 * them since the snapshot was taken, and alternately in new pools, by another session.
 */
const aloneUnderSnapshot = async (bench: Bench) => {
  const { aged, batch } = bench.short ? { aged: 100, batch: 10 } : { aged: 15_000, batch: 50 }
  const [old, one, other] = [bench.driver(1), bench.driver(1), bench.driver(1)]
  const create = async (pool: string, ranges: string) => {
    await bench.ipam.createPool({ name: pool, ranges: [ranges] })
    return { vrf: "default", pool }
  }
  const cycle = async (sql: typeof one, pool: { readonly vrf: string; readonly pool: string }, times: number) => {
    for (let n = 0; n < times; n += 1) await release(sql, pool, (await allocate(sql, pool)).requestId)
  }
  const agedPool = await create("aged", "10.64.0.0/16")
  await old.unsafe("begin isolation level repeatable read; select count(*) from ipam.pool").simple()
  await cycle(one, agedPool, aged)
  let pools = 0
  const times = await inTurn(bench.short ? 1 : 15, {
    aged: async () => (await timed(() => cycle(one, agedPool, batch))) / batch,
    fresh: async () => {
      pools += 1
      const pool = await create(`fresh-${pools}`, `10.${pools}.0.0/16`)
      return (await timed(() => cycle(other, pool, batch))) / batch
    },
  })
  await old.unsafe("rollback").simple()
  return { cycles: aged, ...times }
}

/** What an old snapshot costs one caller of allocate and release, and 8 of allocate beside the floor: it keeps dead rows from being removed. */
export const snapshot = async (bench: Bench): Promise<Section> => {
  const alone = await aloneUnderSnapshot(bench)
  const aloneRatio = ratioOf(alone.aged, alone.fresh)
  const aloneTable = table(
    ["1 caller", "allocate and release, ms", "times slower"],
    [
      ["new pool", median(alone.fresh).toFixed(2), ""],
      [`after ${grouped(alone.cycles)} cycles`, median(alone.aged).toFixed(2), aloneRatio.toFixed(2)],
    ],
  )
  const aloneGoal = {
    name: "a cycle of one caller late in an open snapshot, to one early",
    figure: aloneRatio,
    atMost: 1.5,
  }
  if (pgbench === undefined)
    return { blocks: [aloneTable, `The rest is left out: ${withoutPgbench}.`], goals: [aloneGoal] }
  const floor = await underSnapshot(bench, await makeFloor(bench.sql))
  const allocate = await underSnapshot(bench, await makeAllocate(bench))
  const slower = ({ before, after }: Slowdown) => before / after
  const row = (name: string, rates: Slowdown) => [
    name,
    grouped(rates.before),
    grouped(rates.after),
    slower(rates).toFixed(2),
  ]
  return {
    blocks: [
      aloneTable,
      table(
        ["8 clients", "before /s", `${secondsOf(bench).open} s into the snapshot /s`, "times slower"],
        [row("floor", floor), row("allocate", allocate)],
      ),
    ],
    goals: [
      aloneGoal,
      {
        name: "slowdown under an open snapshot, allocate to its floor",
        figure: slower(allocate) / slower(floor),
        atMost: 1.5,
      },
    ],
  }
}
