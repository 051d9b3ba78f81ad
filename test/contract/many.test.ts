/** Several slots in one call: all or none, each saying what it is. */
import { randomUUID } from "node:crypto"
import { beforeEach, expect, test } from "vitest"
import {
  allocate,
  allocateMany,
  confirm,
  counts,
  createPool,
  get,
  list,
  release,
  releaseMany,
} from "../harness/calls.ts"
import type { Answer } from "../harness/calls.ts"
import { first as session, number, owner, pool, requestId, span } from "../harness/fixture.ts"

let v4: string
let v6: string

beforeEach(async () => {
  v4 = `four-${number}`
  v6 = `six-${number}`
  await createPool(owner, v4, span(0, 1))
  await createPool(owner, v6, `2001:db8:${number}::/64`)
})

const outcomes = (answers: ReadonlyArray<Answer>) => answers.map((answer) => [answer.slot, answer.outcome])

test("both families in one request, answered in the order asked, and replayed whole", async () => {
  const slots = [
    { slot: "eth0/v6", pool: v6 },
    { slot: "eth0/v4", pool: v4 },
  ]
  const first = await allocateMany(session, requestId, slots)
  expect(first.map((answer) => answer.address)).toEqual([`2001:db8:${number}::1`, `10.${number}.0.0`])
  expect(outcomes(first)).toEqual([
    ["eth0/v6", "allocated"],
    ["eth0/v4", "allocated"],
  ])
  const replayed = await allocateMany(session, requestId, slots.toReversed())
  expect(replayed).toEqual(first.toReversed().map((answer) => Object.assign({}, answer, { outcome: "replayed" })))
})

test("one refusal withholds the rest, and slots already held replay", async () => {
  await allocateMany(session, requestId, [{ slot: "held", pool: v6 }])
  const answers = await allocateMany(session, requestId, [
    { slot: "a", pool: v6 },
    { slot: "held", pool: v6 },
    { slot: "b", pool: "nowhere" },
  ])
  expect(outcomes(answers)).toEqual([
    ["a", "withheld"],
    ["held", "replayed"],
    ["b", "unknown_pool"],
  ])
  expect(await counts(owner, v4)).toMatchObject({ held: 0 })
  expect(await owner.rows("select 1 from ipam.allocation where request_id = $1", [requestId])).toHaveLength(1)
})

test("more slots than a pool has: refused, nothing taken, and what is free is not told as cooling", async () => {
  const answers = await allocateMany(
    session,
    requestId,
    ["a", "b", "c"].map((slot) => ({ slot, pool: v4 })),
  )
  expect(new Set(answers.map((answer) => answer.outcome))).toEqual(new Set(["exhausted"]))
  expect(answers[0]?.detail).toMatchObject({ size: "2", held: "0", reserved: "0", cooling: "0" })
  expect(await counts(owner, v4)).toMatchObject({ held: 0, free: 2 })
})

test.each([4, 6])(
  "of an IPv%i pool with holes, several slots get in the order asked what as many calls get",
  async (family) => {
    const twin = `twin-${number}`
    const ranges =
      family === 4 ? `10.${number}.1.0/24,10.${number}.2.0/30` : `2001:db8:${number}:1::/120,2001:db8:${number}:2::/126`
    await createPool(owner, pool, ranges)
    await createPool(owner, twin, ranges, { vrf: "twin" })
    const slots = Array.from({ length: 90 }, (_, index) => `s${index}`)
    const released = slots.filter((_, index) => index % 3 === 0 || (index > 40 && index < 55))
    for (const [name, vrf] of [
      [pool, "default"],
      [twin, "twin"],
    ] as const) {
      for (const slot of slots) await allocate(session, { vrf, pool: name, requestId, slot })
      for (const slot of released) await release(session, requestId, slot, vrf)
    }

    const later = randomUUID()
    const asked = slots.slice(0, 70).map((slot) => ({ slot, pool }))
    const each: Array<Answer> = []
    for (const { slot } of asked) {
      each.push(await allocate(session, { vrf: "twin", pool: twin, requestId: later, slot }))
    }
    expect(await allocateMany(session, later, asked)).toEqual(each)
    expect(await counts(owner, pool)).toMatchObject({ held: slots.length - released.length + asked.length })
  },
)

test("ten thousand slots in one call, all or none, answered in the order asked", async () => {
  await createPool(owner, pool, `10.${100 + number}.0.0/18`)
  const slots = Array.from({ length: 10_000 }, (_, index) => ({ slot: `s${(index * 7919) % 10_000}`, pool }))
  const names = slots.map(({ slot }) => slot)
  const taken = await allocateMany(session, requestId, slots)
  expect(taken.map(({ slot }) => slot)).toEqual(names)
  expect(new Set(taken.map(({ outcome }) => outcome))).toEqual(new Set(["allocated"]))
  expect(new Set(taken.map(({ address: one }) => one)).size).toBe(10_000)
  const replayed = await allocateMany(session, requestId, slots)
  expect(replayed).toEqual(taken.map((answer) => Object.assign({}, answer, { outcome: "replayed" })))

  const confirmed = await session.rows("select slot, outcome from ipam.confirm_many('default', $1, $2::text[])", [
    requestId,
    list(names),
  ])
  expect(confirmed).toEqual(names.map((slot) => ({ slot, outcome: "confirmed" })))
  const released = await releaseMany(session, requestId, ["never", ...names])
  expect(released.map(({ slot, outcome, freed }) => [slot, outcome, freed])).toEqual([
    ["never", "released", false],
    ...names.map((slot) => [slot, "released", true]),
  ])
  expect(await counts(owner, pool)).toMatchObject({ held: 0 })

  const tooMany = Array.from({ length: 16_385 }, (_, index) => ({ slot: `s${index}`, pool }))
  const none = await allocateMany(session, randomUUID(), tooMany)
  expect(new Set(none.map(({ outcome }) => outcome))).toEqual(new Set(["exhausted"]))
  expect(await counts(owner, pool)).toMatchObject({ held: 0 })
})

test("more than 256 slots must be of one pool and without an address", async () => {
  const slots = Array.from({ length: 257 }, (_, index) => ({ slot: `s${index}`, pool: v6 }))
  for (const mixed of [
    [...slots.slice(1), { slot: "s0", pool: v4 }],
    [...slots.slice(1), { slot: "s0", pool: v6, address: `2001:db8:${number}::5` }],
  ])
    await expect(allocateMany(session, requestId, mixed)).rejects.toMatchObject({
      code: "22023",
      message: expect.stringContaining("more than 256 must be of one pool"),
    })
  expect(await allocateMany(session, requestId, slots)).toHaveLength(257)
})

test("the same explicit address twice in one request is taken the second time", async () => {
  const address = `10.${number}.0.1`
  const answers = await allocateMany(session, requestId, [
    { slot: "a", pool: v4, address },
    { slot: "b", pool: v4, address },
  ])
  expect(outcomes(answers)).toEqual([
    ["a", "withheld"],
    ["b", "address_taken"],
  ])
})

test("an explicit address and any address of one pool in one request do not meet", async () => {
  const answers = await allocateMany(session, requestId, [
    { slot: "a", pool: v4 },
    { slot: "b", pool: v4, address: `10.${number}.0.0` },
  ])
  expect(answers.map((answer) => answer.address)).toEqual([`10.${number}.0.1`, `10.${number}.0.0`])
})

test("a release of several slots leaves a tombstone for every slot named, seen or not", async () => {
  await allocateMany(session, requestId, [{ slot: "a", pool: v4 }])
  const released = await releaseMany(session, requestId, ["never", "a"])
  expect(released.map((answer) => [answer.slot, answer.outcome, answer.freed])).toEqual([
    ["never", "released", false],
    ["a", "released", true],
  ])
  for (const slot of ["never", "a"])
    expect(await allocate(session, { pool: v4, requestId, slot })).toMatchObject({ outcome: "key_released" })
  const again = await releaseMany(session, requestId, ["a", "never"])
  expect(again.map((answer) => answer.outcome)).toEqual(["already_released", "already_released"])
})

test("confirm of several slots is all or none", async () => {
  await allocate(session, { pool: v4, requestId, slot: "a", ttlSeconds: 600 })
  const rows = await session.rows("select slot, outcome from ipam.confirm_many('default', $1, array['a', 'b'])", [
    requestId,
  ])
  expect(rows).toEqual([
    { slot: "a", outcome: "withheld" },
    { slot: "b", outcome: "not_found" },
  ])
  expect(
    await owner.rows("select 1 from ipam.allocation where request_id = $1 and confirmed_at is not null", [requestId]),
  ).toEqual([])
  expect(await confirm(session, requestId, "a")).toMatchObject({ outcome: "confirmed" })
  expect(await get(session, requestId)).toBeUndefined()
})

test("lists that do not begin at 1, or are lists of lists, are refused: their slots would be taken for each other", async () => {
  for (const [slots, pools, addresses] of [
    [`[0:1]={a,b}`, `{${v4},${v4}}`, null],
    [`{a,b}`, `[0:1]={${v4},${v4}}`, null],
    [`{a,b}`, `{${v4},${v4}}`, `[0:1]={null,null}`],
    [`{{a},{b}}`, `{{${v4}},{${v4}}}`, null],
  ] as const)
    await expect(
      session.rows("select * from ipam.allocate_many('default', $1, $2::text[], $3::text[], $4::inet[])", [
        requestId,
        slots,
        pools,
        addresses,
      ]),
    ).rejects.toMatchObject({ code: "22023", message: expect.stringContaining("a list that begins at index 1") })
  await expect(
    session.rows("select * from ipam.release_many('default', $1, '[0:0]={a}')", [requestId]),
  ).rejects.toMatchObject({ code: "22023" })
})
