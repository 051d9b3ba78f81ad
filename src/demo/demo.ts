/**
 * The demo: imports an address plan from NetBox exports, plays a day of a control plane on it, and has the doctor check the result. It
 * runs on a temporary database, which is removed afterwards.
 */
import { fileURLToPath } from "node:url"
import { relative } from "node:path"
import { InvalidInput } from "../errors/errors.ts"
import type { Finding } from "../errors/errors.ts"
import type { ImportReport } from "../import/report.ts"
import type { Pool } from "../promise.ts"
import { drive, EXTERNAL, play, type Scene } from "./scenario.ts"
import { openControlPlane } from "./controlPlane.ts"
import { chooseHomes, chooseSmall } from "./homes.ts"
import { TAKEOVER_SECONDS } from "./workers.ts"
import { openDemoDatabase, type DemoDatabase } from "./server.ts"
import { bars, short, Stage, type Step } from "./stage.ts"

export interface DemoOptions {
  /** The folder of NetBox exports; by default the plan in this package. */
  readonly folder?: string | undefined
  /** The server on which to create the database; by default a temporary one. */
  readonly url?: string | undefined
  /** Prints nothing. */
  readonly quiet?: boolean
  /** Ends the demo early; what it has created is removed all the same. */
  readonly signal: AbortSignal
}

/** The result of a demo. `ok`: every promise was kept, and the doctor found nothing. */
export interface DemoResult {
  readonly ok: boolean
  readonly steps: ReadonlyArray<Step>
  readonly pools: ReadonlyArray<Pool>
  readonly findings: ReadonlyArray<typeof Finding.Type>
  readonly broken: ReadonlyArray<string>
}

/** The plan in this package, two levels above both `src/demo` and `dist/demo`. */
const ownPlan = fileURLToPath(new URL("../../demo/plan", import.meta.url))

const INSTANCES = 400

/** Imports the plan, twice: the second import must change nothing. */
const build = async (
  { importFolder }: DemoDatabase,
  folder: string,
  { stage, signal }: Pick<Scene, "stage" | "signal">,
): Promise<void> => {
  stage.progress("importing")
  const { made, left, unprotected } = await importFolder(folder, signal)
  const count = (report: ImportReport["made"]) => [
    report.pools.length,
    report.reservations.length,
    report.allocations.length,
  ]
  const [pools = 0, reservations = 0, allocations = 0] = count(made)
  const shown = folder === ownPlan ? relative(process.cwd(), folder) : folder
  stage.say("imported", `${pools} pools, ${reservations} reservations, ${allocations} allocations from ${shown}`)
  const reasons = [...Map.groupBy(left, ({ reason }) => reason)].map(([reason, all]) => `${all.length} ${reason}`)
  if (left.length > 0) stage.say("", `${left.length} entries have no place here: ${reasons.join(", ")}`)
  if (unprotected.length > 0) stage.say("", `${unprotected.length} addresses or ranges in use lie in no pool here`)
  const again = await importFolder(folder, signal)
  stage.expect(
    count(again.made).every((none) => none === 0),
    "the same import again makes nothing",
  )
  stage.say("", "imported again: nothing new")
}

/** The range of the pool in each VRF from which instances get their third address: from RFC 2544, so no plan should use it. */
const EXTERNAL_RANGE = "198.18.0.0/16"

const perform = async (database: DemoDatabase, folder: string, scene: Omit<Scene, "controlPlane">): Promise<void> => {
  const { ipam, stage } = scene
  await build(database, folder, scene)
  const pools = await ipam.listPools()
  const homes = chooseHomes(pools, INSTANCES)
  if (homes.length === 0) {
    throw new InvalidInput({ field: "folder", message: "folder: no pool of this plan has room for an instance" })
  }
  const missing = [4, 6].filter((family) => !homes[0]?.slots.some(({ slot }) => slot.endsWith(`v${family}`)))
  for (const family of missing) {
    const some = pools.some((pool) => pool.family === family)
      ? "no VRF has room in both families"
      : `the plan has no IPv${family} pool`
    stage.say("note", `${some}: the addresses of an instance are IPv${family === 6 ? 4 : 6}`)
  }
  for (const vrf of new Set(homes.map((home) => home.vrf))) {
    await ipam.createPool({ vrf, name: EXTERNAL, ranges: [EXTERNAL_RANGE] })
  }
  stage.progress("starting workers")
  const controlPlane = await openControlPlane(database.url, scene.signal)
  try {
    stage.say(
      "started",
      `two workers; the sagas of one that is gone wait ${TAKEOVER_SECONDS} s for the other, by default 10`,
    )
    await play({ ...scene, controlPlane }, homes)
  } finally {
    await controlPlane.close()
  }
  const small = chooseSmall(pools, homes)
  if (small === undefined) stage.say("note", "no pool is small enough to be driven to its end")
  else await drive(scene, small)
}

/** Plays the demo. Rejects with the errors of the import and the calls, or the signal's reason; then, too, nothing is left behind. */
export const playDemo = async ({ folder = ownPlan, url, quiet = false, signal }: DemoOptions): Promise<DemoResult> => {
  const stage = new Stage(quiet)
  stage.progress("starting")
  const database = await openDemoDatabase(url)
  try {
    await perform(database, folder, { ipam: database.ipam, stage, signal })
    signal.throwIfAborted()
    const pools = await database.ipam.listPools()
    stage.line()
    for (const text of bars(pools)) stage.line(text)
    stage.line()
    const all = (count: (pool: Pool) => bigint) => short(pools.reduce((sum, pool) => sum + count(pool), 0n))
    const counts = `${all((pool) => pool.held)} held, ${all((pool) => pool.free)} free, ${all((pool) => pool.cooling)} cooling`
    stage.say("addresses", counts)
    for (const { held, reserved, cooling, free, size } of pools) {
      stage.expect(held + reserved + cooling + free === size, "held + reserved + cooling + free = size")
    }
    const findings = await database.ipam.doctor()
    for (const finding of findings) stage.say("doctor", JSON.stringify(finding))
    stage.expect(findings.length === 0, "the doctor finds nothing")
    for (const promise of stage.broken) stage.say("broken", promise)
    const ok = stage.broken.size === 0
    if (ok) stage.say("doctor", "every invariant holds")
    return { ok, steps: stage.steps, pools, findings, broken: [...stage.broken] }
  } finally {
    stage.progress()
    await database.remove()
  }
}
