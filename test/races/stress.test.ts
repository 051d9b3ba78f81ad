/** 32 callers at random on small pools: no address twice, no false exhaustion, counters exact whenever all is quiet. */
import { randomUUID } from "node:crypto"
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { allocate, allocatorSession, counts, createPool, release } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase()
const seconds = 2
// As long as the complaint that it answers took to show itself.
const holdingSeconds = Number(process.env["SAGA_IPAM_TEST_STRESS_SECONDS"] ?? 15)
let owner: Session
let sessions: ReadonlyArray<Session>
let number = 0
let pool: string

beforeAll(async () => {
  owner = database().session()
  sessions = await Promise.all(Array.from({ length: 32 }, () => allocatorSession(database())))
})
beforeEach(() => {
  number += 1
  pool = `pool-${number}`
})
afterEach(async () => {
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
})

test.each([2, 64, 1000])("allocate, replay and release at random on %i addresses", async (size) => {
  await createPool(owner, pool, `10.${number}.0.0-10.${number}.${(size - 1) >> 8}.${(size - 1) & 255}`)
  const holders = new Map<string, string>()
  let took = 0
  // As long as it is to take, and until every address may have been taken again, however slow the machine is.
  const caller = async (session: Session, end: number, enough: number) => {
    const mine: Array<{ readonly requestId: string; readonly address: string | null }> = []
    while (performance.now() < end || took < enough) {
      const dice = Math.random()
      const [held] = mine
      if (held !== undefined && dice < 0.4) {
        mine.shift()
        // Given back before the call: from then on another caller may be told that it has it.
        holders.delete(held.address ?? "")
        expect(await release(session, held.requestId)).toMatchObject({ outcome: "released", freed: true })
      } else if (held !== undefined && dice < 0.6) {
        expect(await allocate(session, { pool, requestId: held.requestId })).toMatchObject({
          outcome: "replayed",
          address: held.address,
        })
      } else {
        const requestId = randomUUID()
        const answer = await allocate(session, { pool, requestId })
        if (answer.outcome !== "allocated") {
          expect(answer.outcome).toBe("exhausted")
          expect(size).toBeLessThan(1000)
          continue
        }
        expect(holders.get(answer.address ?? "")).toBeUndefined()
        holders.set(answer.address ?? "", requestId)
        took += 1
        mine.push({ requestId, address: answer.address })
        if (mine.length > 20) holders.delete(mine[0]?.address ?? "")
        if (mine.length > 20) await release(session, mine.shift()?.requestId ?? "")
      }
    }
    return mine
  }
  for (let round = 0; round < 2; round += 1) {
    const end = performance.now() + (seconds * 1000) / 2
    const left = (await Promise.all(sessions.map((session) => caller(session, end, (round + 1) * size)))).flat()
    expect(await counts(owner, pool)).toEqual({
      held: left.length,
      free: size - left.length,
      cooling: 0,
      reserved: 0,
      size,
    })
    expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
    for (const { requestId } of left) await release(owner, requestId)
    holders.clear()
  }
})

test("32 callers that hold one each of 33 addresses are never told exhausted", async () => {
  await createPool(owner, pool, `10.${number}.0.0-10.${number}.0.32`)
  const end = performance.now() + holdingSeconds * 1000
  const rounds = await Promise.all(
    sessions.map(async (session) => {
      let count = 0
      while (performance.now() < end) {
        const requestId = randomUUID()
        expect(await allocate(session, { pool, requestId })).toMatchObject({ outcome: "allocated" })
        expect(await release(session, requestId)).toMatchObject({ freed: true })
        count += 1
      }
      return count
    }),
  )
  expect(rounds.every((count) => count > 0)).toBe(true)
  expect(await counts(owner, pool)).toMatchObject({ held: 0, free: 33 })
})
