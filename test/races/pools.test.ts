/** Changes of ranges beside allocations and releases in flight, and explicit beside automatic requests in one extent. */
import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { allocate, allocatorSession, counts, createPool, release, untilBlocked } from "../harness/calls.ts"
import { address, database, first, owner, pool, second, span } from "../harness/fixture.ts"

const change = async (what: "remove_range" | "reserve", range: string) => {
  const operator = database().session()
  await operator.run("set role ipam_operator")
  const [row] = await operator.rows(`select outcome from ipam.${what}('default', $1, $2)`, [pool, range])
  return row?.["outcome"]
}
const endings = ["commit", "rollback"] as const

// 200 addresses are cut into extents of 4, so that addresses 0 to 3 lie in one extent.
describe.each(endings)("in one extent, when the first transaction ends by %s", (end) => {
  beforeEach(() => createPool(owner, pool, span(0, 199)))

  test("an automatic request skips the extent of an explicit address in flight", async () => {
    await first.run("begin")
    await allocate(first, { pool, requestId: randomUUID(), address: address(2) })
    const other = await allocate(second, { pool, requestId: randomUUID() })
    expect(other.outcome).toBe("allocated")
    expect(other.address).not.toBe(address(2))
    await first.run(end)
    expect(await allocate(second, { pool, requestId: randomUUID(), address: address(2) })).toMatchObject({
      outcome: end === "commit" ? "address_taken" : "allocated",
    })
  })

  test("a request of an explicit address waits for an automatic one in flight, and gets its address", async () => {
    await first.run("begin")
    expect(await allocate(first, { pool, requestId: randomUUID() })).toMatchObject({ address: address(0) })
    const answer = allocate(second, { pool, requestId: randomUUID(), address: address(1) })
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toMatchObject({ outcome: "allocated", address: address(1) })
  })

  test("a request of an explicit address waits for another explicit one in flight, and gets its address", async () => {
    await first.run("begin")
    await allocate(first, { pool, requestId: randomUUID(), address: address(1) })
    const answers = [address(0), address(2), address(3)].map(async (wanted) =>
      allocate(await allocatorSession(database()), { pool, requestId: randomUUID(), address: wanted }),
    )
    await untilBlocked(owner, 3)
    await first.run(end)
    for (const answer of await Promise.all(answers)) expect(answer.outcome).toBe("allocated")
  })
})

describe.each(endings)("removing a range, when the other transaction ends by %s,", (end) => {
  test("is refused during a release, whose address is still shown as held", async () => {
    await createPool(owner, pool, span(0, 3))
    const requestId = randomUUID()
    await allocate(first, { pool, requestId })
    await first.run("begin")
    await release(first, requestId)
    expect(await change("remove_range", span(0, 3))).toBe("range_in_use")
    await first.run(end)
    expect(await change("remove_range", span(0, 3))).toBe(end === "commit" ? "removed" : "range_in_use")
  })

  test("waits for an allocation in flight", async () => {
    await createPool(owner, pool, span(0, 3))
    await first.run("begin")
    await allocate(first, { pool, requestId: randomUUID() })
    const answer = change("remove_range", span(0, 3))
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toBe(end === "commit" ? "range_in_use" : "removed")
  })
})

test.each(endings)(
  "an allocate waits for the removal of a range that ends by %s, and gets the outcome that follows from it",
  async (end) => {
    await createPool(owner, pool, `${address(0)},${address(9)}`)
    const held = randomUUID()
    await allocate(second, { pool, requestId: held, address: address(9) })
    const operator = database().session()
    await operator.run("begin")
    await operator.rows("select ipam.remove_range('default', $1, $2)", [pool, address(0)])
    const answer = allocate(second, { pool, requestId: randomUUID() })
    await untilBlocked(owner)
    await operator.run(end)
    expect(await answer).toMatchObject({ outcome: end === "commit" ? "exhausted" : "allocated" })
  },
)

describe.each(endings)("reserving an address, when the other transaction ends by %s,", (end) => {
  test("waits for its allocation in flight, and the address counts as reserved when released", async () => {
    await createPool(owner, pool, span(0, 1))
    const requestId = randomUUID()
    await first.run("begin")
    expect(await allocate(first, { pool, requestId })).toMatchObject({ address: address(0) })
    const answer = change("reserve", address(0))
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toBe("reserved")
    expect(await counts(owner, pool)).toMatchObject(
      end === "commit" ? { held: 1, reserved: 0 } : { held: 0, reserved: 1 },
    )
    await release(second, requestId)
    expect(await counts(owner, pool)).toMatchObject({ held: 0, reserved: 1, free: 1 })
  })

  test("waits for its release in flight, and reserves what that freed", async () => {
    await createPool(owner, pool, span(0, 1))
    const requestId = randomUUID()
    await allocate(first, { pool, requestId })
    await first.run("begin")
    await release(first, requestId)
    const answer = change("reserve", address(0))
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toBe("reserved")
    await release(second, requestId)
    expect(await counts(owner, pool)).toMatchObject({ held: 0, reserved: 1, free: 1 })
  })
})

test.each([
  ["commit", "unknown_pool"],
  ["rollback", "updated"],
])(
  "a change of a pool by its name waits for a rename that ends by %s, and finds the pool by that name or not",
  async (end, outcome) => {
    await createPool(owner, pool, span(0, 3))
    const renamed = `${pool}-renamed`
    const [one, other] = [database().session(), database().session()]
    await one.run("begin")
    await one.rows("select ipam.update_pool('default', $1, name => $2)", [pool, renamed])
    const answer = other.rows("select outcome from ipam.update_pool('default', $1, name => $2)", [pool, renamed])
    await untilBlocked(owner)
    await one.run(end)
    expect(await answer).toEqual([{ outcome }])
  },
)
