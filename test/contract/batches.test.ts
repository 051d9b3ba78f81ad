/** Independent keys in one statement: each is answered as by its own call, and what a batch leaves out is as it was. */
import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { allocateBatch as sendBatch, confirmBatch, releaseBatch, type Asked } from "../harness/batchCalls.ts"
import { allocate, confirm, counts, createPool, get, list, release, type Answer } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { address, first, number, owner, pool, requestId, second, span } from "../harness/fixture.ts"

const allocateBatch = (session: Session, asked: ReadonlyArray<Asked>, from = pool) => sendBatch(session, from, asked)

const fresh = (count: number): ReadonlyArray<Asked> => Array.from({ length: count }, () => ({ id: randomUUID() }))
const outcomes = (answers: ReadonlyArray<Answer | undefined>) => answers.map((answer) => answer?.outcome)
const addresses = (answers: ReadonlyArray<Answer | undefined>) =>
  answers.map((answer) => answer?.address ?? "").toSorted()
const begin = (id: string, expiresInSeconds: number | null = null) =>
  owner.rows(
    `select ipam.begin_operation($1::text::uuid, 'default', 'Create', null, '{default}', '{machine}', array[$1::text],
      expires_in_seconds => $2)`,
    [id, expiresInSeconds],
  )

describe("allocate_batch", () => {
  test("answers each request as its own call repeats it", async () => {
    await createPool(owner, pool, span(0, 9))
    const asked: ReadonlyArray<Asked> = [
      { id: randomUUID(), ttl: 60 },
      { id: requestId, slot: "a" },
      { id: requestId, slot: "b", owner: ["instance", "i"], ttl: 0.5 },
      { id: randomUUID(), slot: 'quoted "slot", {x}' },
    ]
    const answers = await allocateBatch(first, asked)
    expect(addresses(answers)).toEqual([0, 1, 2, 3].map(address))
    for (const [index, { id, slot, owner: of, ttl }] of asked.entries()) {
      const repeated = await allocate(first, {
        pool,
        requestId: id,
        ...(slot === undefined ? {} : { slot }),
        ...(of === undefined ? {} : { owner: "i" }),
        ...(ttl === undefined ? {} : { ttlSeconds: ttl }),
      })
      expect(repeated.outcome).toBe("replayed")
      expect({ ...answers[index], outcome: "replayed" }).toEqual(repeated)
    }
    expect(await counts(owner, pool)).toMatchObject({ held: 4, free: 6 })
  })

  test("takes the lowest addresses over many extents, with a larger generation where one was held before", async () => {
    await createPool(owner, pool, span(0, 99))
    const before = fresh(80)
    await allocateBatch(first, before)
    await releaseBatch(first, before)
    const answers = await allocateBatch(first, fresh(100))
    expect(addresses(answers)).toEqual(Array.from({ length: 100 }, (_, last) => address(last)).toSorted())
    const generations = answers.map((answer) => `${String(answer?.address)}: ${String(answer?.generation)}`)
    expect(generations.filter((one) => one.endsWith(": 2"))).toHaveLength(80)
    expect(await counts(owner, pool)).toMatchObject({ held: 100, free: 0 })
  })

  test("ends at the last address of each family", async () => {
    await createPool(owner, pool, "255.255.255.252-255.255.255.255", { vrf: `v4-${number}` })
    await createPool(owner, pool, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", {
      vrf: `v6-${number}`,
    })
    for (const family of ["v4", "v6"]) {
      const rows = await first.rows(
        "select from ipam.allocate_batch($1, $2, $3, array_fill('default'::text, '{6}'), '{}', '{}', '{}')",
        [`${family}-${number}`, pool, list(fresh(6).map(({ id }) => id))],
      )
      expect(rows).toHaveLength(4)
    }
  })

  test("leaves out a known key, one asked twice, and whatever its own call would refuse, and serves the rest", async () => {
    await createPool(owner, pool, span(0, 19))
    const [held, gone] = [randomUUID(), randomUUID()]
    await allocate(first, { pool, requestId: held })
    await release(first, gone)
    const twice = randomUUID()
    const asked: ReadonlyArray<Asked> = [
      { id: held },
      { id: gone },
      { id: twice },
      { id: twice },
      { id: "00000000-0000-0000-0000-000000000000" },
      { id: "01890000-0000-7000-8000-000000000000" },
      { id: randomUUID(), slot: "" },
      { id: randomUUID(), slot: "x".repeat(201) },
      { id: randomUUID(), ttl: 0 },
      { id: randomUUID(), ttl: 3155760001 },
      { id: randomUUID(), owner: ["instance", null] },
      { id: randomUUID(), owner: [null, "i"] },
      { id: randomUUID(), owner: ["", "i"] },
      { id: randomUUID() },
    ]
    const answers = await allocateBatch(first, asked)
    expect(answers.flatMap((answer, index) => (answer === undefined ? [] : [index]))).toEqual([2, 13])
    expect(await counts(owner, pool)).toMatchObject({ held: 3, free: 17 })
  })

  test("gives out what a pool has, and neither what is cooling, reserved or draining nor anything of another pool", async () => {
    await createPool(owner, pool, `${span(0, 5)},${span(6, 7)}`, { cooldownSeconds: 3600, reserve: address(1) })
    await allocate(first, { pool, requestId })
    await release(first, requestId)
    await owner.rows("select ipam.set_draining('default', $1, true, $2)", [pool, span(6, 7)])
    const answers = await allocateBatch(first, fresh(6))
    expect(addresses(answers).filter((one) => one !== "")).toEqual([2, 3, 4, 5].map(address))
    expect(outcomes(await allocateBatch(first, fresh(1)))).toEqual([undefined])
    expect(outcomes(await allocateBatch(first, fresh(1), "nowhere"))).toEqual([undefined])
  })

  test("skips extents that others have locked, and starts elsewhere when it contends", async () => {
    await createPool(owner, pool, span(0, 99))
    await first.run("begin")
    const mine = await allocateBatch(first, fresh(40))
    const others = await allocateBatch(second, fresh(40))
    const all = [...addresses(mine), ...addresses(others)].filter((one) => one !== "")
    expect(new Set(all).size).toBe(all.length)
    expect(others.every((answer) => answer !== undefined)).toBe(true)
    await first.run("commit")
    expect(await counts(owner, pool)).toMatchObject({ held: 80 })
  })

  test("does not hand out a free address that has a live holder, and leaves its extent as it was", async () => {
    await createPool(owner, pool, span(0, 3))
    await allocate(first, { pool, requestId })
    await owner.rows(
      `insert into ipam.free_extent (vrf, pool_id, range_id, next, last, generation)
      select vrf, pool_id, range_id, unit, unit, generation from ipam.allocation where request_id = $1`,
      [requestId],
    )
    const answers = await allocateBatch(first, fresh(3))
    expect(addresses(answers)).toEqual(["", ...[1, 2].map(address)])
    const wrong = "from ipam.free_extent e where next = $1 and last = $1"
    expect(await owner.rows(`select generation::int ${wrong}`, [address(0)])).toEqual([{ generation: 1 }])
    await owner.rows(`delete ${wrong}`, [address(0)])
  })

  test.each(["commit", "rollback"])(
    "leaves out a key in flight, whose transaction ends by %s, and the address meant for it stays free",
    async (end) => {
      await createPool(owner, pool, span(0, 9))
      await second.run("begin")
      const taken = await allocate(second, { pool, requestId })
      const answers = await allocateBatch(first, [{ id: requestId }, ...fresh(5)])
      expect(outcomes(answers)).toEqual([undefined, ...Array.from({ length: 5 }, () => "allocated")])
      expect(addresses(answers)).not.toContain(taken.address)
      await second.run(end)
      const held = end === "commit" ? 6 : 5
      expect(await counts(owner, pool)).toMatchObject({ held, free: 10 - held })
    },
  )

  test("allocates under a pending operation, which cannot end meanwhile, and under no other", async () => {
    await createPool(owner, pool, span(0, 9))
    const [pending, expiring, unwinding, ended, locked] = Array.from({ length: 5 }, () => randomUUID())
    await begin(String(pending))
    await begin(String(expiring), 60)
    for (const id of [unwinding, ended, locked]) await begin(String(id))
    await owner.rows("select ipam.unwind_operation($1, 'default')", [String(unwinding)])
    await owner.rows("select ipam.finish_operation($1, 'unwound', error => '{}')", [String(ended)])
    await second.run("begin")
    await owner.run("begin")
    await owner.rows("select from ipam.operation where operation_id = $1 for update", [String(locked)])
    await first.run("begin")
    const answers = await allocateBatch(
      first,
      [pending, expiring, unwinding, ended, locked].map((id) => ({ id: String(id) })),
    )
    await owner.run("rollback")
    await second.run("rollback")
    expect(outcomes(answers)).toEqual(["allocated", undefined, undefined, undefined, undefined])
    expect(
      await owner.rows("select from ipam.operation where operation_id = $1 for update skip locked", [String(pending)]),
    ).toEqual([])
    await first.run("commit")
  })
})

describe("release_batch", () => {
  test("releases what is held as its own call does, and leaves a key out that is unknown, released or asked twice", async () => {
    await createPool(owner, pool, span(0, 9), { cooldownSeconds: 3600 })
    const [a, b, gone, twice] = fresh(4) as [Asked, Asked, Asked, Asked]
    await allocateBatch(first, [a, b, gone, twice])
    await release(first, gone.id)
    const answers = await releaseBatch(first, [a, { id: requestId }, gone, twice, twice, b])
    expect(outcomes(answers)).toEqual(["released", undefined, undefined, undefined, undefined, "released"])
    for (const [index, { id }] of [[0, a] as const, [5, b] as const]) {
      const known = await get(first, id)
      expect(known?.address).toBeTypeOf("string")
      expect({ ...answers[index], freed: null }).toEqual(known)
      expect(answers[index]?.freed).toBe(true)
    }
    expect(await get(first, requestId)).toBeUndefined()
    expect(await counts(owner, pool)).toMatchObject({ held: 1, cooling: 3, free: 6 })
  })

  test("reserves a reserved address again", async () => {
    await createPool(owner, pool, span(0, 3), { reserve: address(1) })
    await allocate(first, { pool, requestId, address: address(1), allowReserved: true })
    expect(outcomes(await releaseBatch(first, [{ id: requestId }]))).toEqual(["released"])
    expect(await counts(owner, pool)).toMatchObject({ held: 0, reserved: 1, free: 3 })
  })
})

test("adjacent units that are released together become one extent, for each last owner and each sixty-fourth of the range", async () => {
  // Each sixty-fourth has four units: 0 to 3, 4 to 7, and so on.
  await createPool(owner, pool, span(0, 255))
  const keys = Array.from({ length: 10 }, () => randomUUID()).toSorted()
  const asked = keys.map((id, index): Asked => ({ id, owner: ["instance", index < 6 ? "a" : "b"] }))
  expect((await allocateBatch(first, asked)).map((answer) => answer?.address)).toEqual(
    keys.map((_, last) => address(last)),
  )
  await releaseBatch(first, asked.toSpliced(8, 1))
  const extents = await owner.rows(
    `select host(e.next) as next, host(e.last) as last, e.last_owner_id as by
    from ipam.free_extent e join ipam.pool p on p.pool_id = e.pool_id
    where p.name = $1 and e.last_owner_id is not null order by e.last`,
    [pool],
  )
  expect(extents).toEqual([
    { next: address(0), last: address(3), by: "a" },
    { next: address(4), last: address(5), by: "a" },
    { next: address(6), last: address(7), by: "b" },
    { next: address(9), last: address(9), by: "b" },
  ])
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
})

describe("confirm_batch", () => {
  test("confirms what is held as its own call does, and leaves out what that refuses", async () => {
    await createPool(owner, pool, span(0, 9))
    const [provisional, confirmed, gone] = fresh(3) as [Asked, Asked, Asked]
    await allocateBatch(first, [{ ...provisional, ttl: 60 }, confirmed, gone])
    await release(first, gone.id)
    const version = () => owner.rows("select xmin::text from ipam.allocation where request_id = $1", [confirmed.id])
    const before = await version()
    const answers = await confirmBatch(first, [provisional, confirmed, gone, { id: requestId }])
    expect(outcomes(answers)).toEqual(["confirmed", "confirmed", undefined, undefined])
    expect(answers[0]).toEqual(await confirm(first, provisional.id))
    expect(answers[1]).toEqual(await confirm(first, confirmed.id))
    expect(answers[0]).toMatchObject({ state: "confirmed", expiresAt: null })
    expect(await get(first, gone.id)).toMatchObject({ state: "released" })
    // What was confirmed already is not written again.
    expect(await version()).toEqual(before)
  })

  test("leaves the keys of an operation with an expiry to a call that extends it", async () => {
    await createPool(owner, pool, span(0, 9))
    await begin(requestId, 60)
    await allocate(first, { pool, requestId, ttlSeconds: 60 })
    expect(outcomes(await confirmBatch(first, [{ id: requestId }]))).toEqual([undefined])
    expect(await get(first, requestId)).toMatchObject({ state: "provisional" })
  })
})

describe.each([
  ["release_batch", releaseBatch, "released"],
  ["confirm_batch", confirmBatch, "confirmed"],
] as const)("%s", (_, batch, outcome) => {
  let neighbour: Asked
  beforeEach(async () => {
    await createPool(owner, pool, span(0, 9))
    neighbour = { id: randomUUID() }
    await allocate(first, { pool, requestId: neighbour.id, ttlSeconds: 60 })
  })

  test("leaves a locked key out at once", async () => {
    await allocate(first, { pool, requestId, ttlSeconds: 60 })
    await first.run("begin")
    await release(first, requestId)
    expect(outcomes(await batch(second, [{ id: requestId }, neighbour]))).toEqual([undefined, outcome])
  })

  test("leaves a key out at once that has not been committed", async () => {
    await first.run("begin")
    await allocate(first, { pool, requestId, ttlSeconds: 60 })
    expect(outcomes(await batch(second, [{ id: requestId }, neighbour]))).toEqual([undefined, outcome])
  })
})
