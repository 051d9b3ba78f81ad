/** The saga log under the schedules that a worker, its successor and an operator can meet in, each held open at a named point. */
import { beforeEach, expect, test } from "vitest"
import { allocate, allocateMany, createPool, untilBlocked } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { database, first, number, owner, pool, requestId, second, span } from "../harness/fixture.ts"

const worker = (digit: number) => `00000000-0000-4000-8000-${String(number).padStart(8, "0")}000${digit}`
const name = () => `Saga ${number}`

const renew = (session: Session, digit: number, leaseSeconds = 3600) =>
  session.rows("select ipam.renew_lease($1, 'here', array[$2], array[1], $3)", [worker(digit), name(), leaseSeconds])
/** Starts the saga of this test, for the worker where one is named; its outcome. */
const start = async (session: Session, digit?: number) =>
  (
    await session.rows(
      `select outcome, detail from ipam.start_saga(
        $1, 'default', $2, 1, '{}', '{default}', '{instance}', array[$2], worker_id => $3::uuid
      )`,
      [requestId, name(), digit === undefined ? null : worker(digit)],
    )
  )[0]
const claim = (session: Session, digit: number) =>
  session.rows(
    "select outcome, epoch, fence::int, state, steps from ipam.claim_sagas($1, array[$2], array[1], 10) where operation_id = $3",
    [worker(digit), name(), requestId],
  )
const only = async (rows: Promise<Array<Record<string, unknown>>>) => (await rows)[0]
const advance = (session: Session, epoch: number, settled: string, next: string | null, undo = true) =>
  only(
    session.rows(
      "select outcome, fence::int, woken, state, step_state from ipam.advance_saga($1, $2, $3::text::jsonb, $4, $5)",
      [requestId, epoch, settled, next, undo],
    ),
  )
const park = (session: Session, epoch: number, retrySeconds: number | null = null) =>
  only(
    session.rows("select outcome, woken from ipam.park_saga($1, 'default', $2, '[]', $3)", [
      requestId,
      epoch,
      retrySeconds,
    ]),
  )
const unwind = (session: Session, epoch: number) =>
  only(
    session.rows("select outcome, fence::int from ipam.unwind_saga($1, 'default', $2, '[]', '{}')", [requestId, epoch]),
  )
const finish = (session: Session, epoch: number, state: string, settled = "[]") =>
  only(
    session.rows("select outcome, state from ipam.finish_saga($1, 'default', $2, $3::text::jsonb, $4, '{}', '{}')", [
      requestId,
      epoch,
      settled,
      state,
    ]),
  )
const cancel = (session: Session) => only(session.rows("select outcome from ipam.cancel_operation($1)", [requestId]))
const steps = async () =>
  (
    await owner.rows("select name, state from ipam.saga_step where operation_id = $1 order by ordinal", [requestId])
  ).map((step) => `${String(step["name"])} ${String(step["state"])}`)
/** The lease of the first worker runs out. */
const expire = () => owner.rows("update ipam.saga_worker set lease_until = now() where worker_id = $1", [worker(1)])
const done = (step: string) => JSON.stringify([{ name: step, state: "done", result: 1 }])

beforeEach(async () => {
  await renew(first, 1)
  await renew(second, 2)
})

test("a boundary write that is in flight at a claim is part of what the claim reads, and the next one is refused", async () => {
  expect(await start(first, 1)).toEqual({ outcome: "begun", detail: { claimed: true } })
  await advance(first, 1, "[]", "a")
  await first.run("begin")
  await advance(first, 1, done("a"), "b")
  await expire()
  // The run is locked: nobody waits for it, and the next poll finds it.
  expect(await claim(second, 2)).toEqual([])
  await first.run("commit")
  expect(await claim(second, 2)).toMatchObject([
    {
      outcome: "claimed",
      epoch: 2,
      steps: [
        { name: "a", state: "done", result: 1 },
        { name: "b", state: "begun" },
      ],
    },
  ])
  expect(await advance(first, 1, done("b"), "c")).toMatchObject({ outcome: "lease_lost" })
  expect(await steps()).toEqual(["a done", "b begun"])
})

test("a boundary write that waits for a claim in flight is refused, and has written nothing", async () => {
  await start(first, 1)
  await advance(first, 1, "[]", "a")
  await expire()
  await second.run("begin")
  expect(await claim(second, 2)).toMatchObject([{ epoch: 2 }])
  const late = advance(first, 1, done("a"), "b")
  await untilBlocked(owner)
  await second.run("commit")
  expect(await late).toMatchObject({ outcome: "lease_lost" })
  expect(await steps()).toEqual(["a begun"])
})

test("two workers claim one saga once", async () => {
  await start(first)
  await first.run("begin")
  expect(await claim(first, 1)).toMatchObject([{ outcome: "claimed", epoch: 1 }])
  expect(await claim(second, 2)).toEqual([])
  await first.run("commit")
  expect(await claim(second, 2)).toEqual([])
})

test("a cancel that comes while a saga is put to sleep makes it due", async () => {
  await start(first, 1)
  await first.run("begin")
  expect(await park(first, 1, 3600)).toEqual({ outcome: "recorded", woken: false })
  const cancelled = cancel(second)
  await untilBlocked(owner)
  await first.run("commit")
  expect(await cancelled).toEqual({ outcome: "cancelled" })
  expect(await claim(second, 2)).toMatchObject([{ outcome: "claimed", epoch: 2, state: "unwinding" }])
})

test("a saga that is put to sleep while a cancel is in flight is due at once", async () => {
  await start(first, 1)
  await second.run("begin")
  await cancel(second)
  const parked = park(first, 1, 3600)
  await untilBlocked(owner)
  await second.run("commit")
  expect(await parked).toEqual({ outcome: "recorded", woken: true })
  expect(await claim(second, 2)).toMatchObject([{ outcome: "claimed", epoch: 2, state: "unwinding" }])
})

test("a worker is told that a saga that it has was cancelled, and begins no further step of it", async () => {
  await start(first, 1)
  await advance(first, 1, "[]", "a")
  await cancel(second)
  expect(await claim(first, 1)).toMatchObject([{ outcome: "woken", epoch: 1, state: "unwinding" }])
  expect(await advance(first, 1, done("a"), "b")).toMatchObject({ state: "unwinding", step_state: null })
  expect(await steps()).toEqual(["a done"])
})

test("an address that was refused stays refused: an allocation in flight is given back, a later one holds nothing", async () => {
  await createPool(owner, pool, span(0, 3))
  await start(first, 1)
  const third = database().session()
  await third.run("begin")
  await allocateMany(third, requestId, [{ slot: "nic/v4", pool }])
  const refused = first.rows("select outcome from ipam.refuse_step($1, 1, '[]', 'nic', '{}', 'default', '{nic/v4}')", [
    requestId,
  ])
  await untilBlocked(owner)
  await third.run("commit")
  expect(await refused).toEqual([{ outcome: "recorded" }])
  expect(await allocateMany(third, requestId, [{ slot: "nic/v4", pool }])).toMatchObject([{ outcome: "key_released" }])
  expect(await steps()).toEqual(["nic failed"])
  expect(await allocate(third, { pool, requestId, slot: "other/v4" })).toMatchObject({ outcome: "allocated" })
  expect(await finish(first, 1, "succeeded")).toEqual({ outcome: "finished", state: "succeeded" })
  const held = await owner.rows("select slot from ipam.allocation where request_id = $1 and released_at is null", [
    requestId,
  ])
  expect(held).toEqual([{ slot: "other/v4" }])
})

test("an undo has a greater fence than each do had, of the same worker and of one before it", async () => {
  await start(first, 1)
  expect(await advance(first, 1, "[]", "a")).toMatchObject({ fence: 1 })
  await expire()
  expect(await claim(second, 2)).toMatchObject([{ epoch: 2, fence: 2 }])
  expect(await unwind(first, 1)).toMatchObject({ outcome: "lease_lost" })
  expect(await unwind(second, 2)).toEqual({ outcome: "unwinding", fence: 3 })
  expect(await unwind(second, 2)).toEqual({ outcome: "unwinding", fence: 3 })
  expect(await owner.rows("select fence::int from ipam.saga_step where operation_id = $1", [requestId])).toEqual([
    { fence: 3 },
  ])
})

test("a saga does not end as unwound before each step with an undo is undone, and then for good", async () => {
  await createPool(owner, pool, span(0, 3))
  await start(first, 1)
  await advance(first, 1, "[]", "a")
  await advance(first, 1, "[]", "read only", false)
  await allocate(second, { pool, requestId, slot: "nic/v4", ttlSeconds: 60 })
  await unwind(first, 1)
  await expect(finish(first, 1, "unwound")).rejects.toThrow("not undone: a")
  const undone = JSON.stringify([{ name: "a", state: "undone" }])
  expect(await finish(second, 2, "unwound", undone)).toMatchObject({ outcome: "lease_lost" })
  expect(await finish(first, 1, "unwound", undone)).toEqual({ outcome: "finished", state: "unwound" })
  expect(await finish(first, 1, "unwound", undone)).toEqual({ outcome: "replayed", state: "unwound" })
  expect(await finish(first, 1, "succeeded")).toEqual({ outcome: "operation_ended", state: "unwound" })
  expect(await advance(first, 1, "[]", "b")).toMatchObject({ outcome: "lease_lost" })
  expect(
    await owner.rows("select from ipam.allocation where request_id = $1 and released_at is null", [requestId]),
  ).toEqual([])
})

test("nobody else ends the operation of a saga", async () => {
  await start(first, 1)
  const ended = second.rows("select from ipam.finish_operation($1, 'succeeded')", [requestId])
  await expect(ended).rejects.toMatchObject({ code: "22023" })
  expect(await finish(first, 1, "succeeded")).toMatchObject({ outcome: "finished" })
})

test("a saga that is started twice at once is begun once, and leased to the worker that began it", async () => {
  await first.run("begin")
  expect(await start(first, 1)).toMatchObject({ outcome: "begun" })
  const again = start(second, 2)
  await untilBlocked(owner)
  await first.run("commit")
  expect(await again).toMatchObject({ outcome: "replayed" })
  expect(await owner.rows("select epoch from ipam.saga_run where operation_id = $1", [requestId])).toEqual([
    { epoch: 1 },
  ])
})

test("a worker whose lease has run out claims nothing, and what it starts is queued", async () => {
  await expire()
  expect(await start(first, 1)).toEqual({ outcome: "begun", detail: { claimed: false } })
  expect(await claim(first, 1)).toEqual([])
  expect(await claim(second, 2)).toMatchObject([{ epoch: 1 }])
})

test("a worker that retires hands back what it has", async () => {
  await start(first, 1)
  await first.rows("select ipam.retire_worker($1)", [worker(1)])
  expect(await claim(second, 2)).toMatchObject([{ epoch: 2 }])
  expect(await advance(first, 1, "[]", "a")).toMatchObject({ outcome: "lease_lost" })
})

test("a saga that sleeps is due once its operation is unwound by the plain call", async () => {
  await start(first, 1)
  await park(first, 1, 3600)
  await second.rows("select from ipam.unwind_operation($1)", [requestId])
  expect(await claim(second, 2)).toMatchObject([{ outcome: "claimed", state: "unwinding" }])
})

test("the doctor names a saga that nobody claims, and says whether any worker serves it", async () => {
  await start(first)
  const found = async () => {
    const due = "update ipam.saga_run set due_at = now() - interval '2 minutes' where operation_id = $1"
    await owner.rows(due, [requestId])
    return owner.rows("select check_name, detail from ipam.doctor()")
  }
  expect(await found()).toEqual([
    {
      check_name: "saga that nobody claims",
      detail: expect.stringContaining("the workers that serve it have no room"),
    },
  ])
  await owner.rows("delete from ipam.saga_worker")
  expect(await found()).toMatchObject([{ detail: expect.stringContaining("no worker serves it") }])
  await renew(first, 1)
  await claim(first, 1)
  expect(await owner.rows("select from ipam.doctor()")).toEqual([])
})

test("an operation that is pruned takes the steps of its saga with it", async () => {
  await start(first, 1)
  await advance(first, 1, "[]", "a")
  await finish(first, 1, "succeeded", done("a"))
  await owner.rows(
    "update ipam.operation set begun_at = begun_at - interval '200 days', finished_at = finished_at - interval '100 days' where operation_id = $1",
    [requestId],
  )
  await owner.rows("update ipam.operation set begun_at = now() where pending")
  await owner.rows("select ipam.prune_operations(90 * 86400, array[$1]::uuid[])", [requestId])
  expect(await steps()).toEqual([])
})

test("a saga that is started for a worker while that one retires is claimed by another", async () => {
  await first.run("begin")
  expect(await start(first, 1)).toEqual({ outcome: "begun", detail: { claimed: true } })
  await second.rows("select ipam.retire_worker($1)", [worker(1)])
  await first.run("commit")
  expect(await claim(second, 2)).toMatchObject([{ outcome: "claimed", epoch: 2 }])
})

test("a worker is given again what it was given without learning of it, and nothing that it knows", async () => {
  await start(first, 1)
  const again = (known: string) =>
    first.rows("select outcome, epoch from ipam.claim_sagas($1, array[$2], array[1], 10, $3::uuid[])", [
      worker(1),
      name(),
      known,
    ])
  expect(await again("{}")).toEqual([])
  await owner.rows("update ipam.saga_run set due_at = due_at - interval '6 seconds' where operation_id = $1", [
    requestId,
  ])
  expect(await again(`{${requestId}}`)).toEqual([])
  expect(await again("{}")).toEqual([{ outcome: "claimed", epoch: 2 }])
  expect(await advance(first, 1, "[]", "a")).toMatchObject({ outcome: "lease_lost" })
})
