/** A call for several slots against a call for each of them: from one state, in one transaction, each rolled back to it. */
import fc from "fast-check"
import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import { allocate, allocateMany, createPool, release, type Answer, type SlotRequest } from "../harness/calls.ts"
import { owner as session } from "../harness/fixture.ts"

const PER_RANGE = 4
const pools: ReadonlyArray<string> = ["a", "b"]
const addressOf = (pool: string, unit: number) => `10.250.${pools.indexOf(pool)}.${unit < PER_RANGE ? unit : unit + 10}`
const rangesOf = (pool: string) =>
  [0, PER_RANGE].map((from) => `${addressOf(pool, from)}-${addressOf(pool, from + PER_RANGE - 1)}`).join(",")

/** The last one is outside of the ranges. */
const unit = fc.nat(2 * PER_RANGE)
const unitOfPool = fc.record({ pool: fc.constantFrom(...pools), unit })
const slotName = fc.nat(15).map((n) => `slot-${String(n).padStart(2, "0")}`)
const wanted: fc.Arbitrary<SlotRequest> = fc
  .record({
    slot: slotName,
    pool: fc.oneof(
      { weight: 30, arbitrary: fc.constantFrom(...pools) },
      { weight: 1, arbitrary: fc.constant("nowhere") },
    ),
    unit: fc.option(unit, { freq: 3 }),
  })
  .map(({ slot, pool, unit: at }) =>
    at === null || pool === "nowhere" ? { slot, pool } : { slot, pool, address: addressOf(pool, at) },
  )

const cases = fc.record({
  cooldownSeconds: fc.constantFrom(0, 3600),
  /** Held by others, and of these the first few given back. */
  held: fc.uniqueArray(unitOfPool, { maxLength: 14, selector: ({ pool, unit: at }) => addressOf(pool, at) }),
  givenBack: fc.nat(8),
  /** Keys of the request itself that were there before, some with another owner, some released. */
  known: fc.uniqueArray(
    fc.record({ slot: slotName, pool: fc.constantFrom(...pools), other: fc.boolean(), released: fc.boolean() }),
    { maxLength: 3, selector: ({ slot }) => slot },
  ),
  slots: fc.oneof(
    fc.uniqueArray(
      wanted.map(({ slot, pool }): SlotRequest => ({ slot, pool })),
      { minLength: 1, maxLength: 14, selector: ({ slot }) => slot },
    ),
    fc.uniqueArray(wanted, {
      minLength: 1,
      maxLength: 10,
      comparator: (x, y) => x.slot === y.slot || (x.address !== undefined && x.address === y.address),
    }),
  ),
})

/** What the two ways must leave alike: everything but ids, times, and which of the slots of a pool has which of its units. */
const world = () =>
  session.rows(
    `select
      (select jsonb_agg(to_jsonb(a) - '{slot,allocated_at,confirmed_at}'::text[] order by a.unit, a.generation)
        from ipam.allocation a) as allocations,
      (select jsonb_agg(
          jsonb_build_array(e.pool_id, e.next, e.last, e.generation, e.available_at) order by e.pool_id, e.last
        ) from ipam.free_extent e) as extents,
      (select jsonb_agg(c.sums order by c.pool_id) from (
        select c.pool_id, to_jsonb(array[sum(c.held), sum(c.reserved)]) as sums
        from ipam.pool_counter c group by c.pool_id
      ) c) as counters`,
  )

/** Outcomes that depend only on the key and the name of the pool: both ways give the same one to each slot. */
const keyed = new Set(["key_released", "key_reused", "replayed", "unknown_pool"])

/** Addresses asked for come first, so that no slot to which any address will do gets them. */
const inTurn = (slots: ReadonlyArray<SlotRequest>) =>
  slots.toSorted((x, y) => Number(x.address === undefined) - Number(y.address === undefined))

const undone = async <A>(act: () => Promise<A>): Promise<A> => {
  await session.run("savepoint before")
  const result = await act()
  await session.run("rollback to savepoint before")
  return result
}

test("many slots are what a call for each would be, or nothing at all", async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ cooldownSeconds, held, givenBack, known, slots }) => {
      await session.run("begin")
      try {
        for (const pool of pools)
          expect(await createPool(session, pool, rangesOf(pool), { cooldownSeconds })).toBe("created")
        const requestId = randomUUID()
        for (const [index, { pool, unit: at }] of held.entries()) {
          const key = { pool, requestId: randomUUID(), address: addressOf(pool, at) }
          if ((await allocate(session, key)).outcome === "allocated" && index < givenBack)
            await release(session, key.requestId)
        }
        for (const { slot, pool, other, released } of known) {
          await allocate(session, { pool, requestId, slot, ...(other ? { owner: "other" } : {}) })
          if (released) await release(session, requestId, slot)
        }
        const before = await world()

        const single = await undone(async () => {
          const answers = new Map<string, Answer>()
          for (const one of inTurn(slots)) answers.set(one.slot, await allocate(session, { ...one, requestId }))
          return { answers, world: await world() }
        })
        const many = await undone(async () => {
          const answers = await allocateMany(session, requestId, slots)
          const after = await world()
          return { answers, world: after, again: await allocateMany(session, requestId, slots.toReversed()) }
        })

        expect(many.answers.map(({ slot }) => slot)).toEqual(slots.map(({ slot }) => slot))
        const all = [...single.answers.values()]
        if (all.every(({ outcome }) => outcome === "allocated" || outcome === "replayed")) {
          for (const answer of many.answers) expect(answer.outcome).toBe(single.answers.get(answer.slot)?.outcome)
          for (const { slot, address } of slots)
            if (address !== undefined)
              expect(many.answers.find((answer) => answer.slot === slot)).toMatchObject({ address })
          expect(many.world).toEqual(single.world)
          expect(many.again).toEqual(
            many.answers.toReversed().map((answer) => Object.assign({}, answer, { outcome: "replayed" })),
          )
        } else {
          expect(many.world).toEqual(before)
          expect(many.answers.some(({ outcome }) => outcome !== "withheld" && outcome !== "replayed")).toBe(true)
          for (const answer of many.answers) {
            const alone = single.answers.get(answer.slot)
            expect(answer.outcome).not.toBe("allocated")
            if (keyed.has(alone?.outcome ?? "") || keyed.has(answer.outcome))
              expect(answer.outcome).toBe(alone?.outcome)
            if (alone?.outcome === "exhausted") expect(answer.outcome).toBe("exhausted")
            if (answer.outcome === "withheld") expect(alone?.outcome).toBe("allocated")
          }
        }
      } finally {
        await session.run("rollback")
      }
    }),
    { numRuns: 60, endOnFailure: true },
  )
})
