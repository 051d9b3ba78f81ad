/** The commands that an operator schedules: release expired and orphaned allocations, and prune old operations and tombstones. */
import * as Effect from "effect/Effect"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { hostname, userInfo } from "node:os"
import type { Reconciled } from "../services/Reconciler.ts"
import type { Pruned } from "../services/pruning.ts"
import { allocationTable } from "./allocationText.ts"
import * as flags from "./flags.ts"
import { details, print } from "./output.ts"
import { invalid, withServices } from "./services.ts"

const number = (name: string, metavar: string, description: string) =>
  flags.maybe(Flag.Finite(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description)))
const text = (name: string, metavar: string, description: string) =>
  flags.maybe(Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description)))

/** `USER@HOST`, or the host alone if the user has no name. */
const userAtHost = (): string => {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    return hostname()
  }
}

/** The source of owners that the flags name. They must name exactly one. */
const sourceOf = Effect.fnUntraced(function* (typed: {
  readonly owners: string | undefined
  readonly query: string | undefined
  readonly url: string | undefined
}) {
  const [{ ownersByFile, ownersByQuery }, { Database }] = yield* Effect.promise(() =>
    Promise.all([import("../services/ownerSources.ts"), import("../database/Database.ts")]),
  )
  const { owners, query, url } = typed
  if ((owners === undefined) === (query === undefined)) {
    return yield* invalid("owners", "give either --owners or --owners-sql")
  }
  if (url !== undefined && query === undefined) {
    return yield* invalid("owners-url", "needs --owners-sql")
  }
  if (query === undefined) return ownersByFile(owners ?? "")
  const source = ownersByQuery(query)
  if (url === undefined) return source
  const elsewhere = Database.layer({ url, applicationName: "saga-ipam", max: 1 })
  return (owners: Parameters<typeof source>[0]) => Effect.provide(source(owners), elsewhere)
})

const reconciledText = ({ expired, orphans, marked, released }: Reconciled, dryRun: boolean): string => {
  const shown = dryRun ? orphans : released
  const summary: ReadonlyArray<readonly [string, string]> = dryRun
    ? [
        ["expired", `${expired} would be released`],
        ["orphans", `${orphans.length}; nothing was marked or released`],
      ]
    : [
        ["expired", `${expired} released`],
        ["orphans", `${orphans.length}: ${marked} marked now, ${released.length} released`],
      ]
  return [details(summary), ...(shown.length === 0 ? [] : ["", allocationTable(shown)])].join("\n")
}

const reconcile = Command.make(
  "reconcile",
  {
    owners: text(
      "owners",
      "FILE",
      `File with every owner that exists, as JSON: [{"kind": "instance", "id": "i-1"}, ...]`,
    ),
    query: text(
      "owners-sql",
      "QUERY",
      "Query that returns every owner that exists: columns kind, id and, if it matters, vrf",
    ),
    url: text("owners-url", "URL", "Database to run that query on; default: that of the allocator"),
    vrf: flags.anyVrf,
    grace: number("grace", "SECONDS", "Spare what was allocated or confirmed within this time; default 3600"),
    settle: number("settle", "SECONDS", "How long an orphan must have been marked before it is released; default 600"),
    maxShare: number("max-share", "SHARE", "Stop if more than this share of a pool looks orphaned; default 0.25"),
    rate: number("rate", "N", "Release at most N a second; default 50"),
    timeout: number("owners-timeout", "SECONDS", "How long one query of owners may take; default 30"),
    by: text("by", "NAME", "Who releases, as recorded in the tombstones; default USER@HOST"),
    dryRun: flags.toggle("dry-run", "Count what has expired, show what looks orphaned, change nothing"),
  },
  Effect.fnUntraced(function* ({ owners, query, url, maxShare, rate, grace, settle, timeout, by, ...typed }) {
    const source = yield* sourceOf({ owners, query, url })
    const answer = yield* withServices(({ reconciler }) =>
      reconciler.reconcile(source, {
        ...typed,
        graceSeconds: grace,
        settleSeconds: settle,
        sourceTimeoutSeconds: timeout,
        maxShare,
        perSecond: rate,
        by: by ?? userAtHost(),
      }),
    )
    yield* print(answer, (all) => reconciledText(all, typed.dryRun))
  }),
).pipe(
  Command.withDescription(
    "Release what has expired, and orphans: allocations whose owner no longer exists. The first run marks them; a later run releases those that were marked long enough ago and still are orphans.",
  ),
  Command.withShortDescription("Release allocations whose owner no longer exists"),
  Command.withExamples([
    {
      command: `saga-ipam reconcile --owners-sql "select 'instance' as kind, id from cloud.instance"`,
      description: "Run it every quarter of an hour",
    },
  ]),
)

const DAY_SECONDS = 86_400
/** The bounds of the horizon in days, checked here so that the error names the flag. */
const MIN_DAYS = 1
const MAX_DAYS = 36_525

const prunedText = ({ operations, keys, held }: Pruned): string =>
  details([
    ["operations", `${operations} pruned`],
    ["tombstones", `${keys} deleted`],
    ["kept", held === 0 ? null : `${held} ${held === 1 ? "operation that holds" : "operations that hold"} addresses`],
  ])

const prune = Command.make(
  "prune",
  { days: number("days", "DAYS", "Prune what ended longer ago than this; at least 1, default 90") },
  Effect.fnUntraced(function* ({ days }) {
    if (days !== undefined && (days < MIN_DAYS || days > MAX_DAYS)) {
      return yield* invalid("days", `must be ${MIN_DAYS} to ${MAX_DAYS}`)
    }
    const horizonSeconds = days === undefined ? undefined : days * DAY_SECONDS
    const pruned = yield* withServices(({ operations }) => operations.prune({ horizonSeconds }))
    yield* print(pruned, prunedText)
  }),
).pipe(
  Command.withDescription(
    "Prune operations that ended long ago and hold nothing: of each only the fact that it ended is kept, and of one with a UUIDv7 nothing. Delete old tombstones of UUIDv7 keys, too: allocate refuses keys of that age.",
  ),
  Command.withShortDescription("Prune operations and tombstones that ended long ago"),
)

export const upkeepCommands = [reconcile, prune] as const
