/** Engines at random beside each other, as the short and the long stress tests of the ledger have them. */
import { randomUUID } from "node:crypto"
import { beforeAll, expect } from "vitest"
import { createPool } from "../harness/calls.ts"
import { useDatabase, type Session } from "../harness/database.ts"
import { seededRandom } from "../harness/soak.ts"

const database = useDatabase()
let owner: Session

beforeAll(async () => {
  owner = database().session()
  await createPool(owner, "web", "10.0.0.0-10.0.0.47")
  await createPool(owner, "web", "10.0.0.0-10.0.0.47", { vrf: "red", cooldownSeconds: 1 })
})

const SESSIONS = 8

/** What a call may be refused with beside others: nothing was written, and the caller would repeat it. */
const isRefusal = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === "55P03"

/**
 * Engines that begin, allocate, end, cancel, repeat, come late and die, and reclaim beside them. Afterwards an operation that has
 * succeeded holds what it did not give back, confirmed; one that unwound holds nothing; and what nobody ends is unwound by reclaim.
 */
export const runEngines = async (goesOn: (call: number) => boolean): Promise<void> => {
  const dice = seededRandom()
  const random = (below: number): number => Math.floor(dice() * below)
  const oneOf = <A>(all: ReadonlyArray<A>): A => all[random(all.length)] as A
  const ids = Array.from({ length: 8 }, () => randomUUID())
  const seen = new Map<string, number>()

  const work = async (session: Session) => {
    for (let call = 0; goesOn(call); call += 1) {
      // Ended ones make room for new ones, so that most calls meet a pending one, and some a late one.
      const place = random(ids.length)
      const id = ids[place] as string
      const vrf = oneOf(["default", "red"])
      const slot = oneOf(["a", "b", "c"])
      const calls: ReadonlyArray<readonly [name: string, weight: number, text: string]> = [
        [
          "begin",
          4,
          `begin_operation('${id}', 'default', 'Create', null, '{default}', '{machine}', '{m-${place % 3}}',
             exclusive => ${random(4) === 0}, expires_in_seconds => ${random(3) === 0 ? "null" : "0.05"})`,
        ],
        // An id is only ever allocated under once it is begun.
        [
          "allocate",
          8,
          `allocate('${vrf}', 'web', '${id}', '${slot}', ttl_seconds => ${oneOf(["null", "0.001", "60"])})`,
        ],
        ["confirm", 2, `confirm('${vrf}', '${id}', '${slot}')`],
        ["release", 2, `release('${vrf}', '${id}', '${slot}')`],
        ["unwind", 1, `unwind_operation('${id}')`],
        ["cancel", 1, `cancel_operation('${id}')`],
        ["succeed", 2, `finish_operation('${id}', 'succeeded')`],
        ["give up", 2, `finish_operation('${id}', 'unwound')`],
        ["reclaim", 2, "reclaim_expired(7)"],
        ["gate", 1, `has_pending_operation('default', 'machine', 'm-${place % 3}', '${id}')`],
      ]
      const [name, , text] = oneOf(calls.flatMap((one) => Array.from({ length: one[1] }, () => one)))
      if (name === "allocate") {
        const [begun] = await session.rows("select from ipam.operation where operation_id = $1", [id])
        if (begun === undefined) continue
      }
      // Now and then the caller dies before it commits.
      const dies = random(10) === 0
      if (dies) await session.run("begin")
      try {
        const rows = await session.rows(`select * from ipam.${text}`)
        const { outcome, state } = (rows[0] ?? {}) as { readonly outcome?: string; readonly state?: string }
        if (outcome !== undefined) seen.set(`${name}: ${outcome}`, (seen.get(`${name}: ${outcome}`) ?? 0) + 1)
        if (!dies && (state === "succeeded" || state === "unwound") && random(3) === 0) ids[place] = randomUUID()
      } catch (error) {
        if (!isRefusal(error)) throw error
      } finally {
        if (dies) await session.run("rollback")
      }
    }
  }

  const sessions = Array.from({ length: SESSIONS }, () => database().session())
  await Promise.all(sessions.map(work))
  await Promise.all(sessions.map((session) => session.end()))
  for (const met of ["begin: target_busy", "allocate: operation_ended", "succeed: finished", "give up: finished"]) {
    expect([...seen.keys()], JSON.stringify([...seen])).toContain(met)
  }

  // Nobody takes from an operation that is pending.
  expect([...seen.keys()]).not.toContain("succeed: allocations_lost")
  // Whatever is left has nobody.
  await owner.rows("update ipam.operation set expires_in = '1 second', expires_at = now() where pending")
  await owner.rows("select ipam.reclaim_expired(10000)")
  expect(await owner.rows("select from ipam.operation where pending")).toEqual([])
  const wrong = await owner.rows(
    `select o.operation_id, o.state, a.vrf, a.slot, a.release_reason
     from ipam.operation o join ipam.allocation a on a.request_id = o.operation_id
     where case o.state
       when 'unwound' then a.released_at is null
       else (a.released_at is null and a.confirmed_at is null) or a.release_reason in ('expired', 'orphaned')
     end`,
  )
  expect(wrong).toEqual([])
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
}
