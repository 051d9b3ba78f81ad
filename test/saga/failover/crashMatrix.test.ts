/**
 * A worker is killed at every point of a flow: before, inside and after each activity and each undo. The next worker goes on
 * with what it left. Afterwards every flow has ended in one of the two states.
 *
 * Each flow is held at its point, and all of them lose their worker at once: two processes are enough for all points.
 */
import { expect, onTestFinished, test } from "vitest"
import type { Phase } from "../child.ts"
import { creating, freePort, idsOf, kill, openWorld, startWorker, succeeded, unwound, type Create } from "../world.ts"

const forward = ["saga/begin", "record/do", "nic/do", "external/do", "switch/do", "boot/do"]
const phases: ReadonlyArray<Phase> = ["before", "inside", "after"]

interface Point {
  readonly activity: string
  readonly phase: Phase
  readonly payload: Create
}

const pointsOf = (flow: "ok" | "fail", activities: ReadonlyArray<string>): Array<Point> =>
  activities.flatMap((activity) =>
    phases.map((phase) => ({
      activity,
      phase,
      payload: creating(`${flow}-${activity.replace("/", "-")}-${phase}`, flow),
    })),
  )

/** A flow that succeeds, one that fails on its way there, and the same on its way back: each in a world of its own. */
const chains = {
  succeeding: pointsOf("ok", [...forward, "saga/succeeded"]),
  failing: pointsOf("fail", forward),
  unwinding: pointsOf("fail", [
    "saga/unwind",
    "boot/undo",
    "switch/undo",
    "external/undo",
    "nic/undo",
    "record/undo",
    "saga/unwound",
  ]),
}

test("killed at any point, a flow ends in one of two states", async () => {
  const world = await openWorld()
  onTestFinished(world.close)
  const points = await Promise.all(
    Object.entries(chains).flatMap(([chain, all]) =>
      all.map(async (point) => ({ chain, ...point, ...(await idsOf(point.payload)) })),
    ),
  )
  const orders = { port: await freePort(), start: points.map(({ payload }) => payload) }
  const killed = startWorker(world, { ...orders, hold: points })
  for (const { payload, executionId } of points) {
    expect(await killed.held(executionId), `${payload.request} is held`).toBe(true)
  }
  await kill(killed)
  const next = startWorker(world, orders)
  await Promise.all(points.map(({ payload }) => next.ended(payload.request)))
  await kill(next)
  const states = await world.states()
  expect(states.size).toBe(points.length)
  const rows = points.map(({ chain, activity, phase, payload, operationId }) => {
    const state = states.get(operationId) ?? "never begun"
    expect(state, payload.request).toMatch(chain === "succeeding" ? new RegExp(`^${succeeded}$`) : unwound)
    return `| ${chain} | ${activity} | ${phase} | ${state} |`
  })
  expect(await world.doctor()).toEqual([])
  const table = [
    "# What becomes of a flow whose worker is killed",
    "",
    "Written by `crashMatrix.test.ts` (`vitest run -u` writes it anew): a worker is killed with SIGKILL at the point, and started",
    "again. *before*: its message is not sent yet; *inside*: it has had its effect, which nobody knows; *after*: it is recorded.",
    "",
    "| flow | activity | killed | afterwards |",
    "|---|---|---|---|",
    ...rows,
    "",
  ].join("\n")
  await expect(table).toMatchFileSnapshot("crash-matrix.md")
})
