/**
 * A process of its own that runs the example for DBOS. It gets its orders as JSON in its only argument, sends a message once all
 * flows are where these want them, and stays until it is killed, or whoever started it has gone.
 */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { connect } from "../../src/promise.ts"
import { registerCreate } from "./dbosFlow.ts"

/** `before` the step begins, `inside`, when it has had its effect and DBOS has not recorded the answer, and `after` it is recorded. */
export type Phase = "before" | "inside" | "after"

/** A place in the workflow of that id. */
export interface Point {
  readonly id: string
  readonly step: string
  readonly phase: Phase
}

export interface Orders {
  readonly url: string
  readonly systemDatabaseUrl: string
  readonly devices: string
  readonly temper: "ok" | "fail"
  /** Where to hold which workflow, for good; these are started. */
  readonly hold: ReadonlyArray<Point>
  /** Workflows whose end to wait for; that DBOS goes on with them is its own affair. */
  readonly recover: ReadonlyArray<string>
}

process.once("disconnect", () => process.exit())
const orders = JSON.parse(process.argv[2] ?? "") as Orders
const points = new Map(orders.hold.map((point) => [point.id, point]))
const reached = new Map(orders.hold.map(({ id }) => [id, Promise.withResolvers<void>()]))

const holdAt = async (step: string | undefined, phase: Phase): Promise<void> => {
  const id = DBOS.workflowID ?? ""
  const point = points.get(id)
  if (point?.step !== step || point?.phase !== phase) return
  reached.get(id)?.resolve()
  await new Promise(() => undefined)
}

const runStep = DBOS.runStep.bind(DBOS)
/** Every step, whatever it answers or throws, with a place to be held at on each side of its effect and of its record. */
DBOS.runStep = async (act, config = {}) => {
  const held = async () => {
    try {
      return await act()
    } finally {
      await holdAt(config.name, "inside")
    }
  }
  await holdAt(config.name, "before")
  try {
    return await runStep(held, config)
  } finally {
    await holdAt(config.name, "after")
  }
}

const power = async (method: string, operationId: string, body: Record<string, string>): Promise<void> => {
  const { ok } = await fetch(`${orders.devices}/machines/${operationId}`, { method, body: JSON.stringify(body) })
  if (!ok) throw new Error(`it does not ${method === "PUT" ? "boot" : "go"}`)
}

const ipam = await connect({ url: orders.url })
const create = registerCreate(ipam, {
  // The hypervisor keeps one string of a machine; here it tells with which addresses it was booted.
  boot: (id, addresses) => power("PUT", id, { instance: addresses.join(" "), temper: orders.temper }),
  remove: (id) => power("DELETE", id, {}),
})
const silent = () => undefined
const report = (entry: unknown) => console.error(entry)
DBOS.setConfig({
  name: "interop",
  systemDatabaseUrl: orders.systemDatabaseUrl,
  logger: { info: silent, debug: silent, warn: report, error: report },
  tracingEnabled: false,
})
await DBOS.launch()

// One after the other: none of them is to be refused because of another, and so be held before it has had its effect.
for (const [id, { promise }] of reached) {
  const handle = await DBOS.startWorkflow(create, { workflowID: id })(id)
  const missed = handle.getResult().finally(() => {
    throw new Error(`${id}: it ended before it was held`)
  })
  await Promise.race([promise, missed])
}
await Promise.allSettled(orders.recover.map((id) => DBOS.retrieveWorkflow(id).getResult()))
process.send?.("there")
