/** The commands that import the address plan of another system: NetBox, Nautobot, or a CSV table. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import type { InvalidInput } from "../errors/errors.ts"
import type { Inventory } from "../import/inventory.ts"
import type { ReportedEntry } from "../import/plan.ts"
import type { HeldForAnother, ImportReport, Missing } from "../import/report.ts"
import { ExitWith } from "./exitCode.ts"
import * as flags from "./flags.ts"
import { during, print, progress, table } from "./output.ts"
import { invalid, withServices } from "./services.ts"

/** How many rows of a list are printed at most. */
const MAX_ROWS = 20

/** The exit code if something occupied is not protected, and might be handed out. */
const INCOMPLETE = 5

/** A table with a title, or nothing for an empty list. Only the beginning of a long list is printed. */
const listText = <A>(
  title: string,
  titles: ReadonlyArray<string>,
  all: ReadonlyArray<A>,
  cells: (one: A) => ReadonlyArray<string | number | null>,
): ReadonlyArray<string> => {
  if (all.length === 0) return []
  const more = all.length - MAX_ROWS
  return [
    "",
    `${title} (${all.length}):`,
    table(titles, all.slice(0, MAX_ROWS).map(cells), ""),
    ...(more > 0 ? [`... and ${more} more; --json lists all.`] : []),
  ]
}

const ownerText = (owner: { readonly kind: string; readonly id: string } | null): string =>
  owner === null ? "nobody" : `${owner.kind}/${owner.id}`

const reportedColumns = ["FILE", "ENTRY", "ID", "VRF", "WHAT", "REASON", "WHY"]
const reportedCells = (one: ReportedEntry) => [one.file, one.index, one.id, one.vrf, one.what, one.reason, one.message]
const heldColumns = ["ID", "VRF", "POOL", "ADDRESS", "OWNER IN THE SOURCE", "HELD FOR"]
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

/** The report for people. Containers are only counted: they never become anything, and there may be many. */
const reportText = (report: ImportReport): string => {
  const { made, existing, moved, taken, missing, left, unprotected, dryRun } = report
  const kinds = ["pools", "reservations", "allocations"] as const
  const reasons = [...Map.groupBy(left, ({ reason }) => reason)].map(([reason, all]) => `${all.length} ${reason}`)
  const gone = missing[0]?.released === true ? "No longer in the source, released" : "No longer in the source, kept"
  return [
    ...(dryRun ? ["A dry run: nothing was changed.", ""] : []),
    table(
      ["WHAT", dryRun ? "TO CREATE" : "CREATED", "EXISTING"],
      kinds.map((kind) => [kind, made[kind].length, existing[kind].length]),
      "",
    ),
    "",
    left.length === 0 ? "Nothing was skipped." : `Skipped ${left.length}: ${reasons.join(", ")}.`,
    ...listText(
      "Skipped",
      reportedColumns,
      left.filter(({ reason }) => reason !== "container"),
      reportedCells,
    ),
    ...listText("Held for another owner than in the source", heldColumns, moved, heldCells),
    ...listText("Held by another key, reserved for when it is released", heldColumns, taken, heldCells),
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
      `Name of the other system; use the same at every import, which finds its earlier work by it; default ${source}`,
    ),
    Flag.withDefault(source),
  ),
  dryRun: flags.toggle("dry-run", "Show what the import would do, and change nothing"),
  releaseMissing: flags.toggle(
    "release-missing",
    "Release what an earlier import allocated or reserved and the source no longer has",
  ),
  allowOutside: flags.toggle(
    "allow-outside",
    "Exit with 0 even if the source has addresses or ranges that lie in no pool here",
  ),
})

interface Typed {
  readonly source: string
  readonly dryRun: boolean
  readonly releaseMissing: boolean
  readonly allowOutside: boolean
}

/** Reads and imports an inventory and prints the report. Ends with exit code 5 if anything occupied is not protected. */
const importFrom = Effect.fnUntraced(function* (
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
  // Reports malformed input before connecting to a server, or starting one.
  const inventory = yield* during("Reading", read)
  const report = yield* withServices(() =>
    importInventory(inventory, { ...options, source, onProgress: progress("Importing") }),
  )
  yield* print(report, reportText)
  const open = report.unprotected.filter(({ reason }) => !(allowOutside && reason === "outside"))
  return open.length === 0 ? undefined : yield* Effect.fail(new ExitWith(INCOMPLETE))
})

/** The command for exports of NetBox or Nautobot, which are read alike. */
const folderCommand = (name: "netbox" | "nautobot", title: string, example: string) =>
  Command.make(
    name,
    {
      folder: Argument.String("dir").pipe(
        Argument.withDescription(
          "Folder with prefixes*.json, ip-addresses*.json and, if there are any, vrfs*.json, namespaces*.json, ip-ranges*.json",
        ),
      ),
      ...importFlags(name),
    },
    Effect.fnUntraced(function* ({ folder, ...typed }) {
      const [{ readFolder }, { toInventory }] = yield* Effect.promise(() =>
        Promise.all([import("../import/netbox/readFolder.ts"), import("../import/netbox/toInventory.ts")]),
      )
      yield* importFrom(Effect.map(readFolder(folder), toInventory), typed)
    }),
  ).pipe(
    Command.withDescription(
      `Import REST exports of ${title}, as lists or pages: active prefixes become pools, active addresses allocations, and everything else that it calls occupied reservations. A later import adds what is new, and lists what has moved or is gone. Exit code 5 if anything occupied could be handed out.`,
    ),
    Command.withShortDescription(`Import REST exports of ${title}`),
    Command.withExamples([
      { command: `saga-ipam import ${name} ${example}`, description: "Import the files of a folder" },
      { command: `saga-ipam import ${name} ${example} --dry-run`, description: "Only show what it would do" },
    ]),
  )

const csv = Command.make(
  "csv",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("CSV file with a line for each pool, address or range"),
      Argument.optional,
    ),
    template: flags.toggle("template", "Print an example to fill in, and import nothing"),
    ...importFlags("csv"),
  },
  Effect.fnUntraced(function* ({ file, template, ...typed }) {
    const table = yield* Effect.promise(() => import("../import/csv/readTable.ts"))
    if (template) return yield* print(table.template, (text) => text)
    if (Option.isNone(file)) return yield* invalid("file", "name the file, or give --template")
    yield* importFrom(table.readTableFile(file.value), typed)
  }),
).pipe(
  Command.withDescription(
    "Import a CSV table of pools and addresses, with the columns vrf, pool or prefix, address, owner kind, owner id, status and description. A line without an address is a pool; a status other than active makes a reservation.",
  ),
  Command.withShortDescription("Import a CSV table of addresses"),
  Command.withExamples([
    { command: "saga-ipam import csv --template > addresses.csv", description: "Write an example to fill in" },
    { command: "saga-ipam import csv addresses.csv", description: "Import it" },
  ]),
)

export const importCommand = Command.make("import").pipe(
  Command.withDescription("Import the address plan of another system"),
  Command.withSubcommands([
    folderCommand("netbox", "NetBox", "./netbox"),
    folderCommand("nautobot", "Nautobot", "./nautobot"),
    csv,
  ]),
)
