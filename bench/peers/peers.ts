/**
 * The ways of others to allocate an address, beside saga-ipam: the same calls on the same pool, in turn on one server. Counts wrong
 * answers besides the times. docs/comparison.md says who uses which, and what must not be compared.
 */
import { randomUUID } from "node:crypto"
import type postgres from "postgres"
import { assert, type Bench } from "../database.ts"
import { filledTo } from "../exhaustion.ts"
import { inTurn } from "../measure.ts"
import { preload, type Preload } from "../preload.ts"
import type { Section } from "../report.ts"
import type { Ipam } from "../../src/promise.ts"
import { allocate, isOurs, type Algorithm, type Given } from "./algorithm.ts"
import { measure, type Fill, type Wrong } from "./cell.ts"
import { fetchAndDiff, jsonDocument } from "./inClient.ts"
import { databaseAlgorithms } from "./inDatabase.ts"
import { cases } from "./races.ts"
import { reportOn, type Cell, type Contender } from "./reportOn.ts"
import { byLibrary, bySql } from "./sagaIpam.ts"

interface Plan {
  readonly fills: ReadonlyArray<Preload>
  readonly clients: ReadonlyArray<number>
  readonly rounds: number
  /** How long each measurement lasts, without its releases. */
  readonly seconds: number
}

/** The free addresses are scattered among the held ones, as after long use. */
const scattered = (bits: number, percent: number): Preload => ({
  ...filledTo(`10.0.0.0/${32 - bits}`, bits, percent),
  name: `${percent} %, scattered`,
})

/** The lowest addresses are held, as when a pool fills up for the first time. */
const inOrder = (bits: number, percent: number): Preload => ({
  ...scattered(bits, percent),
  name: `${percent} %`,
  released: 0,
})

const fullPlan: Plan = {
  fills: [...[0, 50, 99, 99.9].map((percent) => inOrder(16, percent)), scattered(16, 99)],
  clients: [1, 8, 32],
  rounds: 3,
  seconds: 1,
}
const shortPlan: Plan = {
  fills: [inOrder(9, 50), scattered(9, 90)],
  clients: [1, 8],
  rounds: 1,
  seconds: 0.02,
}

/** As many as a client of the library opens by default, however many callers it has. */
const LIBRARY_CONNECTIONS = 10

export const peers = async (bench: Bench): Promise<Section> => {
  const plan = bench.short ? shortPlan : fullPlan
  const sessions = Array.from({ length: Math.max(...plan.clients) }, () => bench.driver(1))
  const library = await bench.connected(LIBRARY_CONNECTIONS)
  await createTables(bench)

  const contenders = await race(bench, library, sessions)

  const cells: Array<Cell> = []
  for (const wanted of plan.fills) {
    const filled = await fillAll(bench, library, wanted)
    for (const algorithm of filled.algorithms) await warmUp(algorithm, sessions)
    for (const clients of plan.clients) {
      const times = new Map(contenders.map(({ name }) => [name, [] as Array<number>]))
      const runs = filled.algorithms.map((algorithm, index) => {
        const wrong = contenders[index]?.wrong as Wrong
        const run = async () => {
          const one = await measure(algorithm, filled.fill, sessions.slice(0, clients), plan.seconds, wrong)
          times.get(algorithm.name)?.push(...one.times)
          return one.rate
        }
        return [algorithm.name, run] as const
      })
      const rates = await inTurn(plan.rounds, Object.fromEntries(runs))
      for (const [name, all] of times) {
        cells.push({ fill: wanted.name, clients, name, rates: rates[name] ?? [], times: all })
      }
    }
    for (const algorithm of filled.algorithms) await assertHeld(bench, algorithm, filled.fill)
  }
  for (const { name, wrong, raced } of contenders.filter((one) => isOurs(one.name))) {
    assert(wrong.double + wrong.exhausted + wrong.lost === 0 && !raced.includes(false), `${name} gave wrong answers`)
  }
  return reportOn(cells, contenders, bench.short)
}

const createTables = async ({ sql }: Bench): Promise<void> => {
  const tables = `
    create table public.peer_pool (first inet not null, size bigint not null);
    create table public.peer_held (ip inet primary key, key uuid not null);`
  const setups = [...databaseAlgorithms, jsonDocument([]), fetchAndDiff([])].map(({ setup }) => setup)
  for (const text of [tables, ...setups]) await sql.unsafe(text).simple()
}

/** Creates a pool of saga-ipam, and gives the same addresses to all others. */
const fillAll = async (
  bench: Bench,
  library: Ipam,
  wanted: Preload,
): Promise<{ readonly fill: Fill; readonly algorithms: ReadonlyArray<Algorithm> }> => {
  const { sql } = bench
  const pool = await preload(bench, wanted)
  await sql
    .unsafe(
      `truncate public.peer_pool, public.peer_held;
      insert into public.peer_pool (first, size) select '${wanted.range.replace(/\/.*/, "")}', ${pool.size};
      insert into public.peer_held (ip, key)
      select unit, request_id from ipam.allocation where vrf = '${pool.vrf}' and released_at is null`,
    )
    .simple()
  const all = await sql.unsafe<Array<{ ip: string; is_held: boolean }>>(
    `select host(first + n) as ip, exists (select from public.peer_held where ip = first + n) as is_held
    from public.peer_pool, generate_series(0, size - 1) n order by n`,
  )
  const addresses = all.map(({ ip }) => ip)
  const algorithms = [
    ...databaseAlgorithms,
    jsonDocument(addresses),
    fetchAndDiff(addresses),
    bySql(pool),
    byLibrary(library, pool),
  ]
  const fill = { size: addresses.length, held: new Set(all.filter((one) => one.is_held).map(({ ip }) => ip)) }
  for (const algorithm of algorithms) {
    await algorithm.fill(sql)
    await assertHeld(bench, algorithm, fill)
  }
  await sql.unsafe("vacuum analyze").simple()
  return { fill, algorithms }
}

const assertHeld = async ({ sql }: Bench, algorithm: Algorithm, { held }: Fill): Promise<void> => {
  const count = await algorithm.countHeld(sql)
  assert(count === held.size, `${algorithm.name} holds ${count} addresses instead of ${held.size}`)
}

/** Makes every session connect, prepare its statements and plan them for the tables as they are now, before anything is timed. */
const warmUp = async (algorithm: Algorithm, sessions: ReadonlyArray<postgres.Sql>): Promise<void> => {
  const given = await Promise.all(
    sessions.map(async (session): Promise<Given> => {
      const key = randomUUID()
      const ip = await allocate(algorithm, session, key)
      assert(ip !== undefined, `${algorithm.name} refused an address although some were free`)
      return { key, ip }
    }),
  )
  const [session] = sessions
  if (session !== undefined) await algorithm.release(session, given)
}

/** Puts every algorithm into every case. The library calls the functions of saga-ipam in SQL, and needs no trial of its own. */
const race = async (
  bench: Bench,
  library: Ipam,
  [first, second]: ReadonlyArray<postgres.Sql>,
): Promise<ReadonlyArray<Contender>> => {
  if (first === undefined || second === undefined) throw new Error("a race needs two sessions")
  const contenders = new Map<string, Contender>()
  for (const [number, { free, isRight }] of cases.entries()) {
    const pool = { name: `race ${number}`, range: "10.0.0.0/29", held: 8 - free, released: 0 }
    const { algorithms } = await fillAll(bench, library, pool)
    for (const algorithm of algorithms) {
      const { name, hasKey } = algorithm
      const contender = contenders.get(name) ?? { name, hasKey, wrong: { double: 0, exhausted: 0, lost: 0 }, raced: [] }
      contenders.set(name, contender)
      if (algorithm !== algorithms.at(-1))
        contender.raced.push(await isRight(algorithm, { first, second, watch: bench.sql }))
    }
  }
  return [...contenders.values()]
}
