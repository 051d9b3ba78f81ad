/**
 * A worker is killed at every point of a flow: before, inside and after each activity and each undo. The next worker goes on
 * with what it left, and starts the flow of the next point. Afterwards every flow has ended in one of the two states.
 */
import { expect, test } from "vitest"
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

const rows: Record<string, ReadonlyArray<string>> = {}

test.concurrent.each(Object.entries(chains))(
  "killed at any point of a %s flow, it ends in one of two states",
  async (name, points) => {
    const world = await openWorld()
    try {
      const port = await freePort()
      for (const { activity, phase, payload } of points) {
        const { executionId } = await idsOf(payload)
        const worker = startWorker(world, { port, start: [payload], die: { executionId, activity, phase } })
        expect(await worker.gone, `${payload.request} was killed`).toBe("SIGKILL")
      }
      const last = startWorker(world, { port, start: points.map(({ payload }) => payload) })
      await Promise.all(points.map(({ payload }) => last.ended(payload.request)))
      await kill(last)
      const states = await world.states()
      expect(states.size).toBe(points.length)
      rows[name] = await Promise.all(
        points.map(async ({ activity, phase, payload }) => {
          const state = states.get((await idsOf(payload)).operationId) ?? "never begun"
          expect(state, payload.request).toMatch(name === "succeeding" ? new RegExp(`^${succeeded}$`) : unwound)
          return `| ${name} | ${activity} | ${phase} | ${state} |`
        }),
      )
      expect(await world.doctor()).toEqual([])
    } finally {
      await world.close()
    }
  },
)

test("the table of points and outcomes is up to date", async () => {
  const table = [
    "# What becomes of a flow whose worker is killed",
    "",
    "Written by `crashMatrix.test.ts` (`vitest run -u` writes it anew): a worker is killed with SIGKILL at the point, and started",
    "again. *before*: its message is not sent yet; *inside*: it has had its effect, which nobody knows; *after*: it is recorded.",
    "",
    "| flow | activity | killed | afterwards |",
    "|---|---|---|---|",
    ...Object.keys(chains).flatMap((name) => rows[name] ?? []),
    "",
  ].join("\n")
  await expect(table).toMatchFileSnapshot("crash-matrix.md")
})
