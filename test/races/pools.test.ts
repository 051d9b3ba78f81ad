/** Changes of ranges against allocates and releases that are under way, and explicit addresses against any in one extent. */
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

/** 200 addresses are cut into extents of 4: these lie in one of them. */
describe.each(endings)("in one extent, the first caller ended by %s", (end) => {
  beforeEach(() => createPool(owner, pool, span(0, 199)))

  test("any address goes past the extent of an explicit one under way", async () => {
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

  test("an explicit address waits for any under way before it, and gets its own", async () => {
    await first.run("begin")
    expect(await allocate(first, { pool, requestId: randomUUID() })).toMatchObject({ address: address(0) })
    const answer = allocate(second, { pool, requestId: randomUUID(), address: address(1) })
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toMatchObject({ outcome: "allocated", address: address(1) })
  })

  test("an explicit address waits for another explicit one under way, and gets its own", async () => {
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

describe.each(endings)("removing a range, the other ended by %s", (end) => {
  test("is refused under a release that is under way, which still shows its address as held", async () => {
    await createPool(owner, pool, span(0, 3))
    const requestId = randomUUID()
    await allocate(first, { pool, requestId })
    await first.run("begin")
    await release(first, requestId)
    expect(await change("remove_range", span(0, 3))).toBe("range_in_use")
    await first.run(end)
    expect(await change("remove_range", span(0, 3))).toBe(end === "commit" ? "removed" : "range_in_use")
  })

  test("waits for an allocate under way", async () => {
    await createPool(owner, pool, span(0, 3))
    await first.run("begin")
    await allocate(first, { pool, requestId: randomUUID() })
    const answer = change("remove_range", span(0, 3))
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toBe(end === "commit" ? "range_in_use" : "removed")
  })
})

test.each(endings)("an allocate waits for a removal under way; ended by %s it is told so", async (end) => {
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
})

describe.each(endings)("reserving, the other ended by %s", (end) => {
  test("waits for an allocate under way; what it took goes to reserved when released", async () => {
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

  test("waits for a release under way, and catches what it freed", async () => {
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
