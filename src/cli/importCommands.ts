/** The commands that bring in what another system has: NetBox, Nautobot, or a table of addresses. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import type { InvalidInput } from "../errors/errors.ts"
import type { Inventory } from "../import/inventory.ts"
import type { ReportedEntry } from "../import/plan.ts"
import type { HeldForAnother, ImportReport, Missing } from "../import/report.ts"
import { ExitWith } from "./exit.ts"
import * as flags from "./flags.ts"
import { during, print, progress, table } from "./output.ts"
import { invalid, withServices } from "./services.ts"

/** How many of a list people are shown. */
const MOST_SHOWN = 20

/** What is not protected, and so still might be handed out. */
const INCOMPLETE = 5

/** A list under its title, or nothing; of a long one the beginning. */
const listText = <A>(
  title: string,
  titles: ReadonlyArray<string>,
  all: ReadonlyArray<A>,
  cells: (one: A) => ReadonlyArray<string | number | null>,
): ReadonlyArray<string> => {
  if (all.length === 0) return []
  const more = all.length - MOST_SHOWN
  return [
    "",
    `${title} (${all.length}):`,
    table(titles, all.slice(0, MOST_SHOWN).map(cells), ""),
    ...(more > 0 ? [`... and ${more} more; --json lists all.`] : []),
  ]
}

const ownerText = (owner: { readonly kind: string; readonly id: string } | null): string =>
  owner === null ? "nobody" : `${owner.kind}/${owner.id}`

const reportedColumns = ["FILE", "ENTRY", "ID", "VRF", "WHAT", "REASON", "WHY"]
const reportedCells = (one: ReportedEntry) => [one.file, one.index, one.id, one.vrf, one.what, one.reason, one.message]
const heldColumns = ["ID", "VRF", "POOL", "ADDRESS", "IN THE SOURCE", "HELD FOR"]
const heldCells = (one: HeldForAnother) => [
  one.id,
  one.vrf,
  one.pool,
  one.address,
  ownerText(one.owner),
  ownerText(one.heldFor),
]
const missingColumns = ["WHAT", "VRF", "POOL", "RANGE", "OWNER OR REASON"]
const missingCells = (one: Missing) => [
  one.kind,
  one.vrf,
  one.pool,
  one.range,
  one.kind === "allocation" ? ownerText(one.owner) : one.reason,
]

/** Containers are never meant to become anything, and there may be many: they are counted, and not listed. */
const reportText = (report: ImportReport): string => {
  const { made, existing, moved, taken, missing, left, unprotected, dryRun } = report
  const kinds = ["pools", "reservations", "allocations"] as const
  const reasons = [...Map.groupBy(left, ({ reason }) => reason)].map(([reason, all]) => `${all.length} ${reason}`)
  const gone = missing[0]?.released === true ? "Gone from the source, and released" : "Gone from the source, and kept"
  return [
    ...(dryRun ? ["A dry run: nothing was changed.", ""] : []),
    table(
      ["WHAT", dryRun ? "TO MAKE" : "MADE", "THERE ALREADY"],
      kinds.map((kind) => [kind, made[kind].length, existing[kind].length]),
      "",
    ),
    "",
    left.length === 0 ? "Nothing was left." : `Left ${left.length}: ${reasons.join(", ")}.`,
    ...listText(
      "Left",
      reportedColumns,
      left.filter(({ reason }) => reason !== "container"),
      reportedCells,
    ),
    ...listText("Held for another owner than the source says", heldColumns, moved, heldCells),
    ...listText("Held by another key, and reserved for the time after", heldColumns, taken, heldCells),
    ...listText(gone, missingColumns, missing, missingCells),
    ...listText(
      "NOT PROTECTED: occupied in the source, neither held nor reserved",
      reportedColumns,
      unprotected,
      reportedCells,
    ),
  ].join("\n")
}

const importFlags = (source: string) => ({
  source: Flag.String("source").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription(
      `Which system it is, the same at every import: keys, reservations and VRFs go by it; default ${source}`,
    ),
    Flag.withDefault(source),
  ),
  dryRun: flags.toggle("dry-run", "Show what would become of everything, and change nothing"),
  releaseMissing: flags.toggle(
    "release-missing",
    "Release what an earlier import holds or reserved and the source has no more",
  ),
  allowOutside: flags.toggle(
    "allow-outside",
    "Exit with 0 although the source has addresses or ranges that no pool here has",
  ),
})

interface Typed {
  readonly source: string
  readonly dryRun: boolean
  readonly releaseMissing: boolean
  readonly allowOutside: boolean
}

/** Imports what is read, prints the report, and ends with 5 when anything that is occupied is not protected. */
const bringIn = Effect.fnUntraced(function* (
  read: Effect.Effect<Inventory, InvalidInput>,
  { source, allowOutside, ...options }: Typed,
) {
  const [{ importInventory }, { Name }, { parseInput }] = yield* Effect.promise(() =>
    Promise.all([
      import("../import/importInventory.ts"),
      import("../domain/identity.ts"),
      import("../contract/input.ts"),
    ]),
  )
  const named = parseInput(Name)(source)
  if (named._tag === "Failure") return yield* invalid("source", named.failure.message.replace(/^[^:]*: /, ""))
  // What is malformed is said before a server is asked, or started.
  const inventory = yield* during("Reading", read)
  const report = yield* withServices(() =>
    importInventory(inventory, { ...options, source, onProgress: progress("Importing") }),
  )
  yield* print(report, reportText)
  const open = report.unprotected.filter(({ reason }) => !(allowOutside && reason === "outside"))
  return open.length === 0 ? undefined : yield* Effect.fail(new ExitWith(INCOMPLETE))
})

/** NetBox's and Nautobot's exports are read alike. */
const folderCommand = (name: "netbox" | "nautobot", title: string, example: string) =>
  Command.make(
    name,
    {
      folder: Argument.String("dir").pipe(
        Argument.withDescription(
          "Folder with prefixes*.json, ip-addresses*.json, and where there are some vrfs*.json, namespaces*.json, ip-ranges*.json",
        ),
      ),
      ...importFlags(name),
    },
    Effect.fnUntraced(function* ({ folder, ...typed }) {
      const [{ readFolder }, { toInventory }] = yield* Effect.promise(() =>
        Promise.all([import("../import/netbox/readFolder.ts"), import("../import/netbox/toInventory.ts")]),
      )
      yield* bringIn(Effect.map(readFolder(folder), toInventory), typed)
    }),
  ).pipe(
    Command.withDescription(
      `Import ${title}'s REST exports, lists or pages: active prefixes become pools, active addresses allocations, and whatever else it calls occupied reservations. Again, it reconciles: new ones are taken, what has moved or gone is listed. Exit 5 when anything that is occupied could be handed out.`,
    ),
    Command.withShortDescription(`Import ${title}'s REST exports`),
    Command.withExamples([
      { command: `saga-ipam import ${name} ${example}`, description: "Import the files of a folder" },
      { command: `saga-ipam import ${name} ${example} --dry-run`, description: "Only show what would be done" },
    ]),
  )

const csv = Command.make(
  "csv",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("Table with a line for each pool, address or range"),
      Argument.optional,
    ),
    template: flags.toggle("template", "Print an example to fill in, and import nothing"),
    ...importFlags("csv"),
  },
  Effect.fnUntraced(function* ({ file, template, ...typed }) {
    const table = yield* Effect.promise(() => import("../import/csv/readTable.ts"))
    if (template) return yield* print(table.template, (text) => text)
    if (Option.isNone(file)) return yield* invalid("file", "name the table, or ask for --template")
    yield* bringIn(table.readTableFile(file.value), typed)
  }),
).pipe(
  Command.withDescription(
    "Import a table of pools and addresses: comma-separated, with the columns vrf, pool or prefix, address, owner kind, owner id, status and description. Without an address a line is a pool; a status other than active is a reservation.",
  ),
  Command.withShortDescription("Import a table of addresses"),
  Command.withExamples([
    { command: "saga-ipam import csv --template > addresses.csv", description: "A table to fill in" },
    { command: "saga-ipam import csv addresses.csv", description: "Import it" },
  ]),
)

export const importCommand = Command.make("import").pipe(
  Command.withDescription("Bring in the address plan of another system"),
  Command.withSubcommands([
    folderCommand("netbox", "NetBox", "./netbox"),
    folderCommand("nautobot", "Nautobot", "./nautobot"),
    csv,
  ]),
)
