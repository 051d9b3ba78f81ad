/** The load of the short and the long stress tests: up to 32 callers on small pools. */
import { randomUUID } from "node:crypto"
import { beforeAll, expect } from "vitest"
import { allocate, allocatorSession, counts, createPool, release } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { database, number, owner, pool } from "../harness/fixture.ts"
import { seededRandom } from "../harness/soak.ts"

let sessions: ReadonlyArray<Session>
beforeAll(async () => {
  sessions = await Promise.all(Array.from({ length: 32 }, () => allocatorSession(database())))
})

const makePool = (size: number) =>
  createPool(owner, pool, `10.${number}.0.0-10.${number}.${(size - 1) >> 8}.${(size - 1) & 255}`)

interface Held {
  readonly requestId: string
  readonly address: string
}

/**
 * Callers that allocate, replay and release at random. No address is held twice, no caller is refused if the pool has room for all, and
 * after each round, numbered from 1, the counters are exact. In a round a caller makes at least `calls` calls, and continues until as
 * many addresses have been allocated in the round as the pool has.
 */
export const churn = async (size: number, calls: number, hasRound: (round: number) => boolean): Promise<void> => {
  await makePool(size)
  const random = seededRandom()
  const holders = new Map<string, string>()
  let allocations = 0

  const caller = async (session: Session, untilAllocations: number) => {
    const mine: Array<Held> = []
    const releaseOne = async ({ requestId, address }: Held) => {
      // Before the call, since another caller may get the address at any time from then on.
      holders.delete(address)
      expect(await release(session, requestId)).toMatchObject({ outcome: "released", freed: true })
    }
    for (let call = 0; call < calls || allocations < untilAllocations; call += 1) {
      const chance = random()
      const [oldest] = mine
      if (oldest !== undefined && (chance < 0.4 || mine.length > 20)) {
        mine.shift()
        await releaseOne(oldest)
      } else if (oldest !== undefined && chance < 0.6) {
        expect(await allocate(session, { pool, requestId: oldest.requestId })).toMatchObject({
          outcome: "replayed",
          address: oldest.address,
        })
      } else {
        const requestId = randomUUID()
        const { outcome, address } = await allocate(session, { pool, requestId })
        if (outcome !== "allocated" || address === null) {
          expect(outcome).toBe("exhausted")
          expect(size, "the pool has room for all callers").toBeLessThan(32 * 21)
          continue
        }
        expect(holders.get(address)).toBeUndefined()
        holders.set(address, requestId)
        allocations += 1
        mine.push({ requestId, address })
      }
    }
    return mine
  }

  for (let round = 1; hasRound(round); round += 1) {
    const left = (await Promise.all(sessions.map((session) => caller(session, round * size)))).flat()
    const held = left.length
    expect(await counts(owner, pool)).toEqual({ held, free: size - held, cooling: 0, reserved: 0, size })
    expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
    for (const { requestId } of left) await release(owner, requestId)
    holders.clear()
  }
}

/** Callers that each hold one address of a pool with one address more: none ever gets `exhausted`. */
export const holdOneEach = async (hasRound: (rounds: number) => boolean): Promise<void> => {
  await makePool(sessions.length + 1)
  await Promise.all(
    sessions.map(async (session) => {
      for (let rounds = 0; hasRound(rounds); rounds += 1) {
        const requestId = randomUUID()
        expect(await allocate(session, { pool, requestId })).toMatchObject({ outcome: "allocated" })
        expect(await release(session, requestId)).toMatchObject({ freed: true })
      }
    }),
  )
  expect(await counts(owner, pool)).toMatchObject({ held: 0, free: sessions.length + 1 })
}

/** Eight callers with one key for the only address of a pool, with so many pools: one allocates it, the others replay it. */
export const shareLastAddress = async (pools: number): Promise<void> => {
  await owner.rows(
    `select ipam.create_pool('default', $1 || '-' || n, array['10.200.' || n / 250 || '.' || n % 250])
    from generate_series(1, $2::int) n`,
    [pool, pools],
  )
  for (let one = 1; one <= pools; one += 1) {
    const request = { pool: `${pool}-${one}`, requestId: randomUUID() }
    const answers = await Promise.all(sessions.slice(0, 8).map((session) => allocate(session, request)))
    expect(new Set(answers.map((answer) => answer.address))).toEqual(new Set([answers[0]?.address]))
    expect(answers.map((answer) => answer.outcome).toSorted()).toEqual([
      "allocated",
      ...Array<string>(7).fill("replayed"),
    ])
  }
}
