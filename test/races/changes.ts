/**
 * Random calls by many sessions on small pools: allocations, releases, and every change of pools, ranges and reservations, with
 * rollbacks and terminated backends. After each round the doctor finds nothing, the counters are exact, no generation was used twice,
 * and no cooldown was cut short.
 */
import { randomUUID } from "node:crypto"
import { expect } from "vitest"
import { counts } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { database, owner } from "../harness/fixture.ts"
import { seededRandom } from "../harness/soak.ts"

type Random = () => number

const STEPS = 400
const SESSIONS = 8

/** The pools; the ranges of each lie in 10.OCTET.0.0/28. */
const pools = [
  { name: "plain", octet: 1, cooldownSeconds: 0 },
  { name: "cooling", octet: 2, cooldownSeconds: 0.05 },
] as const
type Pool = (typeof pools)[number]

/** The errors that a session may get: a lock timeout, a deadlock within its own transaction, or the end of its backend. */
const expected = /^(55P03|40P01|57P01|25P02|ECONNRESET|EPIPE|CONNECTION_(CLOSED|ENDED|DESTROYED))$/
const isExpected = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && expected.test(String(error.code))

const SIZE = 16
/** A random span of at most `maxLength` addresses of the pool. */
const spanIn = (pool: Pool, next: Random, maxLength = SIZE): string => {
  const length = 1 + Math.floor(next() * maxLength)
  const first = Math.floor(next() * (SIZE - length + 1))
  return `10.${pool.octet}.0.${first}-10.${pool.octet}.0.${first + length - 1}`
}

const caller = async (open: () => Session, owner: Session, next: Random) => {
  let session = open()
  const keys: Array<string> = []
  const call = async (text: string, ...parameters: ReadonlyArray<string | number | boolean | null>) => {
    await session.rows(`select * from ipam.${text}`, parameters)
  }
  /** Makes a random call: with `withoutChanges` only those that callers make, else sometimes a change of a pool. */
  const step = async (withoutChanges: boolean) => {
    const pool = pools[next() < 0.5 ? 0 : 1]
    const choice = next() * (withoutChanges ? 0.78 : 1)
    if (choice < 0.34) {
      const requestId = randomUUID()
      keys.push(requestId)
      const ttl = next() < 0.2 ? 0.001 : null
      await call("allocate('default', $1, $2, ttl_seconds => $3)", pool.name, requestId, ttl)
    } else if (choice < 0.44) {
      const requestId = randomUUID()
      keys.push(requestId)
      const address = `10.${pool.octet}.0.${Math.floor(next() * SIZE)}`
      await call(
        "allocate('default', $1, $2, address => $3, allow_reserved => $4)",
        pool.name,
        requestId,
        address,
        next() < 0.5,
      )
    } else if (choice < 0.72) {
      const requestId = keys.splice(Math.floor(next() * keys.length), 1)[0] ?? randomUUID()
      await call("release('default', $1)", requestId)
    } else if (choice < 0.76) await call("confirm('default', $1)", keys[0] ?? randomUUID())
    else if (choice < 0.77) await call("reclaim_expired(10)")
    else if (choice < 0.78) await call("upkeep(min_extents => 2)")
    else if (choice < 0.82) await call("reserve('default', $1, $2)", pool.name, spanIn(pool, next, 3))
    else if (choice < 0.86) await call("unreserve('default', $1, $2)", pool.name, spanIn(pool, next, 5))
    else if (choice < 0.89) await call("remove_range('default', $1, $2)", pool.name, spanIn(pool, next, 4))
    else if (choice < 0.93) await call("add_range('default', $1, $2)", pool.name, spanIn(pool, next))
    else if (choice < 0.96) await call("set_draining('default', $1, $2)", pool.name, next() < 0.3)
    else if (choice < 0.965) {
      // Nothing is damaged, so there is nothing to repair, whatever is in flight.
      const done = await session.rows("select check_name, detail from ipam.repair('default', $1)", [pool.name])
      if (done.length > 0) throw new Error(`repaired something undamaged: ${JSON.stringify(done)}`)
    } else if (choice < 0.98) await call("delete_pool('default', $1)", pool.name)
    else
      await call(
        "create_pool('default', $1, array[$2], cooldown_seconds => $3)",
        pool.name,
        `10.${pool.octet}.0.0-10.${pool.octet}.0.${SIZE - 1}`,
        pool.cooldownSeconds,
      )
  }
  const ignoringExpected = async (run: () => Promise<void>) => {
    try {
      await run()
    } catch (error) {
      if (!isExpected(error)) throw error
    }
  }
  for (let count = 0; count < STEPS / SESSIONS;) {
    const choice = next()
    if (choice < 0.75) {
      await ignoringExpected(() => step(false))
      count += 1
    } else {
      await ignoringExpected(async () => {
        await session.run("begin")
        for (let more = 1 + Math.floor(next() * 3); more > 0; more -= 1) {
          count += 1
          await step(next() < 0.9)
        }
      })
      if (choice < 0.95) await ignoringExpected(() => session.run(next() < 0.6 ? "commit" : "rollback"))
      else {
        // Terminate the backend while it runs a statement. Whether the driver answers that statement is not tested here.
        const [backend] = await session.rows("select pg_backend_pid() as pid").catch(() => [])
        void step(true).catch(() => undefined)
        await owner.rows("select pg_terminate_backend($1)", [Number(backend?.["pid"] ?? 0)])
        void session.end()
        session = open()
      }
    }
  }
  await session.run("rollback")
  await session.end()
}

/** Runs rounds, numbered from 1, as long as `hasRound` says so, and checks the database after each. */
export const changeEverything = async (hasRound: (round: number) => boolean): Promise<void> => {
  const random = seededRandom()
  for (const pool of pools)
    await owner.rows("select ipam.create_pool('default', $1, array[$2], cooldown_seconds => $3)", [
      pool.name,
      `10.${pool.octet}.0.0-10.${pool.octet}.0.${SIZE - 1}`,
      pool.cooldownSeconds,
    ])
  for (let round = 1; hasRound(round); round += 1) {
    await Promise.all(Array.from({ length: SESSIONS }, () => caller(database().session, owner, random)))
    // Wait until the terminated backends have ended.
    await owner.until(
      `select 1 where not exists (
         select from pg_stat_activity where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()
       )`,
    )
    expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
    for (const { name } of pools) {
      const sums = await counts(owner, name)
      if (sums?.["size"] === null) continue
      const { held, free, cooling, reserved, size } = sums as Record<string, number>
      expect(Number(held) + Number(free) + Number(cooling) + Number(reserved), name).toBe(size)
    }
    expect(
      await owner.rows(
        `select host(unit) as unit, generation from ipam.allocation where unit is not null
         group by unit, generation having count(*) > 1`,
      ),
    ).toEqual([])
    expect(
      await owner.rows(
        `select * from (
           select host(a.unit) as unit, a.allocated_at,
             lag(a.released_at) over (partition by a.unit order by a.generation) as released_before
           from ipam.allocation a where a.unit << '10.2.0.0/16'
         ) history
         where allocated_at < released_before + interval '0.05 seconds'`,
      ),
    ).toEqual([])
  }
}
