/** Callers of one client that wait for addresses which a transaction in flight holds: in turn, and without keeping connections. */
import { randomUUID } from "node:crypto"
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest"
import { connect, type Ipam } from "../../src/promise.ts"
import { allocate, createPool, release } from "../harness/calls.ts"
import { database, first, number, owner, pool, requestId, span } from "../harness/fixture.ts"

let ipam: Ipam
let other: string

beforeAll(async () => {
  ipam = await connect({ url: database().url("ipam_allocator"), max: 4 })
})
afterAll(() => ipam.close())
beforeEach(async () => {
  other = `other-${number}`
  await createPool(owner, pool, span(0, 0))
  await createPool(owner, other, span(1, 254))
  await first.run("begin")
  await allocate(first, { pool, requestId })
})

/** So many callers for the one address of the pool, and how many of them have been answered so far. */
const callers = (count: number, signal?: AbortSignal, client = ipam) => {
  const answered: Array<unknown> = []
  const outcomes = Array.from({ length: count }, async () => {
    const outcome = await client
      .allocate({ pool, requestId: randomUUID(), signal })
      .then(({ outcome: told }) => told)
      .catch((error: unknown) => (error as { readonly _tag?: string })._tag ?? String(error))
    answered.push(outcome)
    return outcome
  })
  return { answered, outcomes: Promise.all(outcomes) }
}
const tally = (outcomes: ReadonlyArray<string>) =>
  outcomes.toSorted((a, b) => a.localeCompare(b)).filter((one, index, all) => all.indexOf(one) === index)

test("sixty callers wait for the last address of one pool; an allocate of another is answered while all of them still wait", async () => {
  const { answered, outcomes } = callers(60)
  expect(await ipam.allocate({ pool: other, requestId: randomUUID() })).toMatchObject({ outcome: "allocated" })
  expect(answered).toEqual([])
  await first.run("rollback")
  const told = await outcomes
  expect(told.filter((outcome) => outcome === "allocated")).toHaveLength(1)
  expect(tally(told)).toEqual(["allocated", "PoolExhausted"])
})

test("past the bound each of them is Contended, having written nothing, and the next call finds no queue", async () => {
  expect(tally(await callers(8).outcomes)).toEqual(["Contended"])
  await first.run("rollback")
  expect(await ipam.allocate({ pool, requestId })).toMatchObject({ outcome: "allocated" })
  await release(first, requestId)
})

test("a caller that gives up leaves the queue, and those behind it move up", async () => {
  // One by one: a call that was sent together with others goes on without its caller, and may allocate.
  const oneByOne = await connect({ url: database().url("ipam_allocator"), max: 4, batch: false })
  onTestFinished(() => oneByOne.close())
  const leaving = new AbortController()
  const gone = callers(5, leaving.signal, oneByOne)
  const staying = callers(3, undefined, oneByOne)
  await oneByOne.allocate({ pool: other, requestId: randomUUID() })
  leaving.abort()
  expect(await gone.outcomes).toHaveLength(5)
  expect(gone.answered).not.toContain("allocated")
  await first.run("rollback")
  expect(tally(await staying.outcomes)).toEqual(["allocated", "PoolExhausted"])
})
