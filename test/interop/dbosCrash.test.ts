/**
 * A process with the example for DBOS is killed at every point of the flow: before, inside and after each step. DBOS recovers what
 * it left as the next process launches, and each flow ends in one of the two states.
 *
 * Each flow is held at its point, and all of them die at once: two processes are enough for all points.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { expect, onTestFailed, onTestFinished, test } from "vitest"
import { connect, operationIdOf, type Ipam } from "../../src/promise.ts"
import type { FakeDatacenter } from "../../src/saga/reference/fakeDatacenter.ts"
import { openWorld } from "../saga/world.ts"
import { createDatabase, type Session } from "../harness/database.ts"
import type { Orders, Phase } from "./dbosChild.ts"

interface Flow {
  readonly temper: Orders["temper"]
  readonly status: "SUCCESS" | "ERROR"
  /** The steps in their order, each with what is there once it has had its effect: operation, addresses, machine. */
  readonly steps: ReadonlyArray<readonly [step: string, left: string]>
}

const succeeding: Flow = {
  temper: "ok",
  status: "SUCCESS",
  steps: [
    ["begin", "pending"],
    ["allocate", "pending, confirmed confirmed"],
    ["boot", "pending, confirmed confirmed, running"],
    ["finish", "succeeded, confirmed confirmed, running"],
  ],
}
const failing: Flow = {
  temper: "fail",
  status: "ERROR",
  steps: [
    ["begin", "pending"],
    ["allocate", "pending, confirmed confirmed"],
    ["boot", "pending, confirmed confirmed"],
    ["unwind", "unwinding, confirmed confirmed"],
    ["remove", "unwinding, confirmed confirmed, removed"],
    ["unwound", "unwound, released released, removed"],
  ],
}
const phases: ReadonlyArray<Phase> = ["before", "inside", "after"]

/** All points of the flow, with the steps that DBOS has recorded there, and what these and the one under way have left. */
const pointsOf = ({ steps }: Flow) =>
  steps.flatMap(([step], index) =>
    phases.map((phase) => ({
      point: { id: `${phase} ${step}`, step, phase },
      recorded: namesOf(steps.slice(0, phase === "after" ? index + 1 : index)),
      left: steps[phase === "before" ? index - 1 : index]?.[1] ?? "",
    })),
  )
const namesOf = (steps: Flow["steps"]) => steps.map(([step]) => step).join(" ")

/** Runs a process until all flows are where it was to bring them, and kills it. */
const runAndKill = async (orders: Orders): Promise<void> => {
  const child = fork(join(import.meta.dirname, "dbosChild.ts"), [JSON.stringify(orders)], {
    execArgv: ["--conditions=@saga-ipam/source"],
    silent: true,
  })
  const gone = once(child, "exit")
  const kill = async () => {
    child.kill("SIGKILL")
    return gone
  }
  onTestFinished(async () => void (await kill()))
  let said = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => (said += text))
  }
  onTestFailed(() => console.error(`The process said:\n${said}`))
  await Promise.race([once(child, "message"), gone])
  expect(await kill(), "exit code and signal").toEqual([null, "SIGKILL"])
}

/** How the workflow stands by DBOS, by the allocator and by the hypervisor. */
const look = async (id: string, dbos: Session, ipam: Ipam, devices: FakeDatacenter) => {
  const requestId = operationIdOf(id)
  const [workflow] = await dbos.rows("select status from dbos.workflow_status where workflow_uuid = $1", [id])
  const steps = await dbos.rows(
    "select function_name from dbos.operation_outputs where workflow_uuid = $1 order by function_id",
    [id],
  )
  const [operation] = await ipam.listOperations({ kind: "instance", id })
  const records = await ipam.list({ requestId })
  const machine = devices.machines.get(requestId)
  const left = [operation?.state, records.map(({ state }) => state).join(" "), machine?.state]
  return {
    status: workflow?.["status"],
    recorded: steps.map((step) => step["function_name"]).join(" "),
    left: left.filter(Boolean).join(", "),
    addresses: records.map(({ address }) => address),
    booted: machine?.instance,
    result: operation?.result,
    error: operation?.error,
  }
}

test.each([
  ["that succeeds", succeeding],
  ["whose machine does not boot", failing],
])("a flow %s ends as it would have, whichever point it was killed at", async (_, flow) => {
  const { temper, status, steps } = flow
  const world = await openWorld()
  onTestFinished(world.close)
  const system = await createDatabase("empty")
  onTestFinished(system.drop)
  const dbos = system.session()
  const ipam = await connect({ url: world.database.url("ipam_allocator") })
  onTestFinished(ipam.close)
  const points = pointsOf(flow)
  const orders = {
    url: world.database.url("ipam_allocator"),
    // Its URLs must name a host, even where the one among the parameters counts.
    systemDatabaseUrl: system.url().replace("@/", "@localhost/"),
    devices: world.devices.url,
    temper,
  }

  await runAndKill({ ...orders, hold: points.map(({ point }) => point), recover: [] })
  for (const { point, recorded, left } of points) {
    const seen = await look(point.id, dbos, ipam, world.devices)
    expect.soft(seen, point.id).toMatchObject({ status: "PENDING", recorded, left })
  }

  await runAndKill({ ...orders, hold: [], recover: points.map(({ point }) => point.id) })
  for (const { point } of points) {
    const seen = await look(point.id, dbos, ipam, world.devices)
    const end = { status, recorded: namesOf(steps), left: steps.at(-1)?.[1] }
    const told =
      status === "SUCCESS"
        ? { result: seen.addresses, booted: seen.addresses.join(" "), error: null }
        : { result: null, error: "Error: it does not boot" }
    expect.soft(seen, point.id).toMatchObject({ ...end, ...told })
  }
  const held = await world.session.rows("select from ipam.allocation where released_at is null")
  expect(held).toHaveLength(status === "SUCCESS" ? 2 * points.length : 0)
  expect(await world.doctor()).toEqual([])
})
