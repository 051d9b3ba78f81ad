/** `saga-ipam saga` on operations that were started: listed, shown, cancelled and resumed. */
import { beforeAll, describe, expect, test } from "vitest"
import { create, starting, useFlows } from "./sagaWorker.ts"
import type { Started } from "./command.ts"

const { here, hold, breaking, startWorker, cli, answer, refusal, ended, detached, reached } = useFlows()

let worker: Started

beforeAll(async () => {
  worker = await startWorker()
  const [quick] = await Promise.all([detached(create("quick")), ended(...starting(create("broken")))])
  await reached(quick, "state = 'succeeded'")
})

describe("an operation", () => {
  test("is listed by state and by target, the newest first", async () => {
    const ids = async (...args: ReadonlyArray<string>) =>
      ((await answer("saga", "list", ...args)) as ReadonlyArray<{ readonly operationId: string }>).map(
        ({ operationId }) => operationId,
      )
    for (const [vrf, kind] of [
      ["red", "Move"],
      ["blue", "Move"],
      ["red", "Grow"],
    ]) {
      await here().session.rows(
        "select from ipam.begin_operation(gen_random_uuid(), $1, $2, '{}', array[$1], array['machine'], array['m/1'])",
        [vrf ?? "", kind ?? ""],
      )
    }
    const rows = await here().session.rows(
      "select operation_id, vrf, state, kind from ipam.operation order by sequence desc",
    )
    const known = (wanted: Record<string, string>) =>
      rows
        .filter((row) => Object.entries(wanted).every(([name, value]) => row[name] === value))
        .map((row) => row["operation_id"])
    const [all, pending, unwound, two, red] = await Promise.all([
      ids(),
      ids("--state", "pending"),
      ids("--state", "unwound"),
      ids("--limit", "2"),
      ids("--target", "machine/m/1", "--vrf", "red"),
    ])
    expect({ all, pending, unwound, two, red }).toEqual({
      all: known({}),
      pending: known({ state: "pending" }),
      unwound: known({ state: "unwound" }),
      two: known({}).slice(0, 2),
      red: known({ vrf: "red" }),
    })
    expect(red).toHaveLength(2)
    expect(await ids("--target", "instance/quick")).toHaveLength(1)
    expect(await ids("--target", "instance/unheard-of")).toEqual([])
    expect(await refusal("saga", "list", "--target", "machine/m/1")).toMatchObject({
      code: 5,
      error: "AmbiguousIdentity",
      candidates: [
        { vrf: "blue", id: "m/1" },
        { vrf: "red", id: "m/1" },
      ],
    })
    const odd = [
      [["--vrf", "red"], "vrf"],
      [["--target", "instance"], "target"],
      [["--target", "instance/quick", "--state", "pending"], "state"],
      [["--state", "lost"], "state"],
      [["--limit", "0"], "limit"],
    ] as const
    expect(await Promise.all(odd.map(([args]) => refusal("saga", "list", ...args)))).toMatchObject(
      odd.map(([, field]) => ({ code: 2, error: "InvalidInput", field })),
    )
    const { out } = await cli("saga", "list", "--target", "machine/m/1", "--vrf", "red")
    expect(out).toMatch(/^OPERATION {29}KIND {2}STATE {4}VRF {2}TARGETS {6}BEGUN +FINISHED  SAGA\n/)
    expect(out).toMatch(
      /\n[0-9a-f-]{36}  Grow  pending  red  machine\/m\/1  \S+  -  +-\n[0-9a-f-]{36}  Move  [^\n]+\n$/,
    )
  })

  test("with an unknown id is not found, and an invalid id is refused", async () => {
    const asked = (id: string, verbs: ReadonlyArray<string>) =>
      Promise.all(verbs.map((verb) => refusal("saga", verb, id)))
    const unknown = await asked(crypto.randomUUID(), ["status", "resume"])
    expect(unknown).toMatchObject([1, 2].map(() => ({ code: 3, error: "NotFound" })))
    const none = await asked("i-1", ["status", "resume", "cancel"])
    expect(none).toMatchObject([1, 2, 3].map(() => ({ code: 2, field: "operation" })))
  })

  test("that has not begun yet can be cancelled in the VRF named, and cancelled again", async () => {
    const operationId = crypto.randomUUID()
    const cancel = ["saga", "cancel", operationId, "--vrf", "red"] as const
    const error = { _tag: "SagaCancelled", operationId }
    expect(await answer(...cancel)).toMatchObject({ outcome: "cancelled", vrf: "red", state: "unwound", error })
    expect((await cli(...cancel)).out).toMatch(/^It has ended already \(unwound\); nothing was changed\.\noperation /)
    expect((await cli("saga", "resume", operationId)).out).toMatch(
      /^It has ended already \(unwound\); nothing was changed\.\n/,
    )
    expect((await cli("saga", "cancel", crypto.randomUUID())).out).toMatch(
      /^Cancelled before it began: it will never run\.\n/,
    )
  })

  test("that is cancelled while a step waits for an answer unwinds once that step has ended", async () => {
    const held = hold("before PUT ports delayed")
    const operationId = await detached(create("delayed"))
    await held.reached
    const running = { state: "pending", result: null, saga: { phase: "running" } }
    expect(await answer("saga", "status", operationId)).toMatchObject(running)
    expect(await answer("saga", "list", "--target", "instance/delayed")).toMatchObject([running])
    expect(await answer("saga", "cancel", operationId)).toMatchObject({
      operationId,
      kind: "InstanceCreate",
      outcome: "cancelled",
      state: "unwinding",
    })
    const waiting = await answer("saga", "status", operationId)
    expect(waiting).toMatchObject({ state: "unwinding", finishedAt: null, cancelledAt: expect.any(String) })
    held.open()
    await reached(operationId, "state = 'unwound'")
    const end = { state: "unwound", error: { _tag: "SagaCancelled", operationId }, unwindingAt: expect.any(String) }
    expect(await answer("saga", "status", operationId)).toMatchObject(end)
    expect(await answer("saga", "cancel", operationId)).toMatchObject({ ...end, outcome: "operation_ended" })
    expect(await ended(...starting(create("delayed")))).toMatchObject({ code: 5, ...end })
    expect(await answer("list", "--owner", "instance/delayed")).toEqual([])
    expect([...here().datacenter.present().values()]).not.toContain("delayed")
  })

  test("that is stuck shows in which step and why, and continues when it is resumed", async () => {
    const machines = breaking("before DELETE machines broken-for-good")
    const operationId = await detached(create("broken-for-good"))
    await reached(operationId, "stuck_since is not null")
    await worker.said(`Operation ${operationId}: the undo of boot is repeated: `)
    const stuck = { step: "boot/undo", error: expect.stringContaining("out of order"), since: expect.any(String) }
    expect(await answer("saga", "list", "--state", "stuck")).toMatchObject([{ operationId, state: "pending", stuck }])
    const { out } = await cli("saga", "status", operationId)
    expect(out).toMatch(/\nstate +pending, stuck in boot\/undo\n/)
    expect(out).toMatch(/\nboot +undoing +\S+Z +.*out of order/)
    machines.repair()
    expect((await cli("saga", "resume", operationId)).out).toMatch(
      /^Resumed: it continues where it stopped\.\noperation /,
    )
    await reached(operationId, "state = 'unwound'")
    expect(await answer("saga", "status", operationId)).toMatchObject({ state: "unwound", stuck: null })
  })
})
