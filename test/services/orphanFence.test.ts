/** The fence in the database, which an orphan's release must pass: its mark, its generation, and the gate of its owner. */
import { describe, expect, test } from "vitest"
import { untilBlocked } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { allocateFor, database, held, owner, vrf } from "./machines.ts"

describe("the fence in the database", () => {
  const release = async (session: Session, requestId: string, generation: bigint) => {
    const [row] = await session.rows(
      "select outcome from ipam.release_orphan($1, $2, 'default', $3::bigint, 'night shift', 'gone', 0)",
      [vrf, requestId, generation.toString()],
    )
    return row?.["outcome"]
  }
  const mark = (requestId: string, generation: bigint) =>
    owner.rows("select ipam.mark_orphans($1, array[$2::uuid], array['default'], array[$3::bigint], 'night shift')", [
      vrf,
      requestId,
      generation.toString(),
    ])
  /** The gate goes by kind and id alone, in every VRF, so each test has a machine of its own. */
  const busy = () => `busy-${vrf}`
  const begin = (session: Session, id: string) =>
    session.rows(
      "select outcome from ipam.begin_operation($1, $2, 'Move', null, array[$2], array['machine'], array[$3])",
      [crypto.randomUUID(), vrf, id],
    )

  test("lets nothing through that is not marked, or under another generation", async () => {
    const { requestId, generation } = await allocateFor("gone")
    expect(await release(owner, requestId, generation)).toBe("not_marked")
    await mark(requestId, generation)
    expect(await release(owner, requestId, generation + 1n)).toBe("not_marked")
    expect(await release(owner, crypto.randomUUID(), 1n)).toBe("not_found")
    expect(await release(owner, requestId, generation)).toBe("released")
    expect(await release(owner, requestId, generation)).toBe("already_released")
  })

  test.each([
    ["commit", "operation_pending"],
    ["rollback", "released"],
  ])("waits for a beginning on the owner: %s, then %s", async (end, outcome) => {
    const { requestId, generation } = await allocateFor(busy())
    await mark(requestId, generation)
    const session = database().session()
    const reconciler = database().session()
    await session.run("begin")
    await begin(session, busy())
    const released = release(reconciler, requestId, generation)
    await untilBlocked(owner)
    await session.run(end)
    expect(await released).toBe(outcome)
    await session.end()
    await reconciler.end()
  })

  test.each(["commit", "rollback"])("a beginning waits for the release: %s", async (end) => {
    const { requestId, generation } = await allocateFor(busy())
    await mark(requestId, generation)
    const session = database().session()
    const reconciler = database().session()
    await reconciler.run("begin")
    expect(await release(reconciler, requestId, generation)).toBe("released")
    const begun = begin(session, busy())
    await untilBlocked(owner)
    await reconciler.run(end)
    expect(await begun).toEqual([{ outcome: "begun" }])
    expect(await held()).toEqual(end === "commit" ? [] : [busy()])
    await session.end()
    await reconciler.end()
  })
})
