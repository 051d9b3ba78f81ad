/** Many callers of a client at once, with calls that travel together and with calls that go one by one: the same properties hold. */
import { randomUUID } from "node:crypto"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { connect, type Ipam } from "../../src/promise.ts"
import { allocate, counts, createPool, release } from "../harness/calls.ts"
import { database, first, number, owner, pool, requestId } from "../harness/fixture.ts"
import { seededRandom } from "../harness/soak.ts"

const SIZE = 200
let one: Ipam
let two: Ipam

const tagOf = (error: unknown) => (error as { readonly _tag?: string })._tag ?? String(error)
/** The outcome of a call, or the class of its error. */
const told = (call: Promise<{ readonly outcome: string }>) => call.then(({ outcome }) => outcome, tagOf)
const tally = (outcomes: ReadonlyArray<string>) =>
  Object.fromEntries([...Map.groupBy(outcomes, (outcome) => outcome)].map(([outcome, all]) => [outcome, all.length]))
const keys = (count: number) => Array.from({ length: count }, () => randomUUID())

describe.each([
  ["together", true],
  ["one by one", false],
] as const)("calls that go %s", (_, batch) => {
  beforeEach(async () => {
    const options = { url: database().url("ipam_allocator"), max: 4, batch }
    one = await connect(options)
    two = await connect(options)
    await createPool(owner, pool, `10.${number}.0.0-10.${number}.0.${SIZE - 1}`)
  })
  afterEach(() => Promise.all([one.close(), two.close()]))

  test("allocate, confirm, replay and release at random by 64 callers of two clients, who share keys", async () => {
    const random = seededRandom()
    const shared = keys(40)
    const addressOf = new Map<string, string>()
    const released = new Set<string>()
    const caller = async (ipam: Ipam) => {
      for (let call = 0; call < 12; call++) {
        const key = shared[Math.trunc(random() * shared.length)] ?? ""
        const wasReleased = released.has(key)
        const chance = random()
        try {
          if (chance < 0.2) {
            await ipam.release({ requestId: key })
            released.add(key)
            continue
          }
          const answer = await (chance < 0.4
            ? ipam.confirm({ requestId: key })
            : ipam.allocate({ pool, requestId: key, ttlSeconds: 3600 }))
          expect(wasReleased).toBe(false)
          expect(addressOf.get(key) ?? answer.address).toBe(answer.address)
          addressOf.set(key, answer.address)
        } catch (error) {
          expect(["NotFound", "KeyReleased"]).toContain(tagOf(error))
        }
      }
    }
    await Promise.all(Array.from({ length: 64 }, (__, index) => caller(index % 2 === 0 ? one : two)))
    const live = await one.list({ pool })
    expect(live.map((allocation) => allocation.address)).toEqual([...new Set(live.map(({ address }) => address))])
    expect(new Set(live.map((allocation) => allocation.requestId))).toEqual(
      new Set([...addressOf.keys()].filter((key) => !released.has(key))),
    )
    expect(await counts(owner, pool)).toMatchObject({ held: live.length, free: SIZE - live.length })
  })

  test("as many callers are refused as a pool has too few addresses, and no more", async () => {
    const outcomes = await Promise.all(keys(SIZE + 30).map((key) => told(one.allocate({ pool, requestId: key }))))
    expect(tally(outcomes)).toEqual({ allocated: SIZE, PoolExhausted: 30 })
    expect(await counts(owner, pool)).toMatchObject({ held: SIZE, free: 0 })
  })

  test("a call that is refused does not change what its neighbours get", async () => {
    const [held, gone, ended] = keys(3) as [string, string, string]
    await allocate(first, { pool, requestId: held })
    await release(first, gone)
    await owner.rows("select ipam.cancel_operation($1)", [ended])
    const good = keys(20).map((key) => told(one.allocate({ pool, requestId: key })))
    const refused = [
      one.allocate({ pool, requestId: held, owner: { kind: "instance", id: "i" } }),
      one.allocate({ pool, requestId: gone }),
      one.allocate({ pool, requestId: ended }),
      one.allocate({ pool: "nowhere", requestId }),
      one.allocate({ pool, requestId, slot: "" }),
    ]
    expect(await Promise.all(refused.map(told))).toEqual([
      "KeyReused",
      "KeyReleased",
      "OperationEnded",
      "UnknownPool",
      "InvalidInput",
    ])
    expect(tally(await Promise.all(good))).toEqual({ allocated: 20 })
  })

  test("a key in flight elsewhere holds up its own call alone", async () => {
    await first.run("begin")
    const { address } = await allocate(first, { pool, requestId })
    const others = keys(20)
    const good = others.slice(0, 10).map((key) => told(one.allocate({ pool, requestId: key })))
    const held = one.allocate({ pool, requestId })
    good.push(...others.slice(10).map((key) => told(one.allocate({ pool, requestId: key }))))
    expect(tally(await Promise.all(good))).toEqual({ allocated: 20 })
    await first.run("commit")
    expect(await held).toMatchObject({ outcome: "replayed", address })
    expect(
      tally(await Promise.all([...others, requestId].map((key) => told(one.release({ requestId: key }))))),
    ).toEqual({
      released: 21,
    })
  })

  test("whatever is aborted, and when, the others are answered, and a release of each key leaves nothing held", async () => {
    const all = keys(60)
    const leaving = all.map(() => new AbortController())
    const reason = new Error("no longer wanted")
    const aborts = (index: number) => index % 3 === 0
    const calls = all.map((key, index) => told(one.allocate({ pool, requestId: key, signal: leaving[index]?.signal })))
    const abortFrom = (from: number, to: number) => {
      for (const [index, one_] of leaving.slice(from, to).entries()) if (aborts(from + index)) one_.abort(reason)
    }
    // Some before anything was sent, some when the first answers came, and the rest after all.
    abortFrom(0, 20)
    await Promise.any(calls.filter((__, index) => !aborts(index)))
    abortFrom(20, 40)
    const outcomes = await Promise.all(calls)
    abortFrom(40, 60)
    expect(new Set(outcomes.filter((__, index) => !aborts(index)))).toEqual(new Set(["allocated"]))
    expect(["allocated", String(reason)]).toEqual(expect.arrayContaining([...new Set(outcomes)]))
    const freed = await Promise.all(all.map((key) => one.release({ requestId: key })))
    expect(new Set(freed.map(({ outcome }) => outcome))).toEqual(new Set(["released"]))
    expect(await counts(owner, pool)).toMatchObject({ held: 0, free: SIZE })
  })

  test("connections that are cut again and again: each key gets one address", async () => {
    let cutting = true
    const cut = async () => {
      while (cutting) {
        await owner.rows(
          `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'saga-ipam' and state = 'active'`,
        )
      }
    }
    const cutter = cut()
    const caller = async () => {
      for (const key of keys(3)) {
        const { address } = await one.allocate({ pool, requestId: key }).catch(async (error: unknown) => {
          expect(tagOf(error)).toBe("DatabaseUnavailable")
          cutting = false
          return one.allocate({ pool, requestId: key })
        })
        expect(
          await owner.rows("select from ipam.allocation where request_id = $1 and unit = $2", [key, address]),
        ).toHaveLength(1)
      }
    }
    await Promise.all(Array.from({ length: 40 }, caller))
    cutting = false
    await cutter
    expect(await counts(owner, pool)).toMatchObject({ held: 120, free: SIZE - 120 })
  })
})
