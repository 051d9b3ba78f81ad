/** The commands that bring in what another system has: so far NetBox. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import type { ImportReport } from "../netbox/importFolder.ts"
import type { Left } from "../netbox/plan.ts"
import { during, print, table } from "./output.ts"
import { withServices } from "./services.ts"

/** How many of the entries that were left people are shown. */
const MOST_SHOWN = 20

const leftText = (left: ReadonlyArray<Left>): string => {
  const more = left.length - MOST_SHOWN
  return [
    table(
      ["FILE", "ENTRY", "ID", "VRF", "WHAT", "REASON", "WHY"],
      left.slice(0, MOST_SHOWN).map((one) => [one.file, one.index, one.id, one.vrf, one.what, one.reason, one.message]),
      "",
    ),
    ...(more > 0 ? [`... and ${more} more; --json lists all.`] : []),
  ].join("\n")
}

/** Containers are never meant to become anything, and there may be many: they are counted, and not listed. */
const reportText = ({ made, existing, left }: ImportReport): string => {
  const kinds = ["pools", "reservations", "allocations"] as const
  const reasons = [...Map.groupBy(left, ({ reason }) => reason)].map(([reason, all]) => `${all.length} ${reason}`)
  const listed = left.filter(({ reason }) => reason !== "container")
  return [
    table(
      ["WHAT", "MADE", "THERE ALREADY"],
      kinds.map((kind) => [kind, made[kind].length, existing[kind].length]),
      "",
    ),
    "",
    left.length === 0 ? "Nothing was left." : `Left ${left.length}: ${reasons.join(", ")}.`,
    ...(listed.length === 0 ? [] : [leftText(listed)]),
  ].join("\n")
}

const netbox = Command.make(
  "netbox",
  {
    folder: Argument.String("dir").pipe(
      Argument.withDescription("Folder with vrfs.json, prefixes.json, ip-ranges.json and ip-addresses.json"),
    ),
  },
  Effect.fnUntraced(function* ({ folder }) {
    const [{ readFolder }, { planImport }, { applyPlan }] = yield* Effect.promise(() =>
      Promise.all([
        import("../netbox/readFolder.ts"),
        import("../netbox/plan.ts"),
        import("../netbox/importFolder.ts"),
      ]),
    )
    // What is malformed is said before a server is asked, or started.
    const plan = planImport(yield* during("Reading", readFolder(folder)))
    yield* print(yield* withServices(() => applyPlan(plan)), reportText)
  }),
).pipe(
  Command.withDescription(
    "Import NetBox's REST exports: active prefixes become pools, what is reserved reservations, active addresses allocations. The same import again changes nothing; what has no place is left and listed.",
  ),
  Command.withShortDescription("Import NetBox's REST exports"),
  Command.withExamples([
    { command: "saga-ipam import netbox ./netbox", description: "Import the four files of a folder" },
  ]),
)

export const importCommand = Command.make("import").pipe(
  Command.withDescription("Bring in the address plan of another system"),
  Command.withSubcommands([netbox]),
)
