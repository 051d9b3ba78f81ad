/** The commands that an operator has run by night: releasing what nobody will, and forgetting what ended long ago. */
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

/** `USER@HOST`, or the host alone where the user has no name. */
const whoever = (): string => {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    return hostname()
  }
}

/** The source that the flags name: exactly one. */
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
    return yield* invalid("owners", "give --owners or --owners-sql, one of them")
  }
  if (url !== undefined && query === undefined) {
    return yield* invalid("owners-url", "goes with --owners-sql only")
  }
  if (query === undefined) return ownersByFile(owners ?? "")
  const source = ownersByQuery(query)
  if (url === undefined) return source
  const elsewhere = Database.layer({ url, applicationName: "saga-ipam", max: 1 })
  return (asked: Parameters<typeof source>[0]) => Effect.provide(source(asked), elsewhere)
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
    owners: text("owners", "FILE", `Every owner that is there, as JSON: [{"kind": "instance", "id": "i-1"}, ...]`),
    query: text("owners-sql", "QUERY", "The same as a query with columns kind, id and, where it matters, vrf"),
    url: text("owners-url", "URL", "Where to run that query; else on the allocator's own database"),
    vrf: flags.anyVrf,
    grace: number("grace", "SECONDS", "Leave alone what was taken or confirmed since then; default 3600"),
    settle: number("settle", "SECONDS", "How long a mark must stand before the release; default 600"),
    maxShare: number("max-share", "SHARE", "Stop when more of a pool than this looks orphaned; default 0.25"),
    rate: number("rate", "N", "Release at most N a second; default 50"),
    timeout: number("owners-timeout", "SECONDS", "How long one question about owners may take; default 30"),
    by: text("by", "NAME", "Who does it, for the tombstones; default USER@HOST"),
    dryRun: flags.toggle("dry-run", "Count what has expired, show what looks orphaned, and change nothing"),
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
        by: by ?? whoever(),
      }),
    )
    yield* print(answer, (all) => reconciledText(all, typed.dryRun))
  }),
).pipe(
  Command.withDescription(
    "Release what has expired, and orphans: what is held for an owner that is gone. A first run marks them; a later one releases those that were marked long enough ago and still are orphans.",
  ),
  Command.withShortDescription("Release what is held for owners that are gone"),
  Command.withExamples([
    {
      command: `saga-ipam reconcile --owners-sql "select 'instance' as kind, id from cloud.instance"`,
      description: "Run it every quarter of an hour",
    },
  ]),
)

const DAY_SECONDS = 86_400
/** The bounds of a horizon in days, so that what is refused is the flag that was typed. */
const LEAST_DAYS = 1
const MOST_DAYS = 36_525

const prunedText = ({ operations, keys, held }: Pruned): string =>
  details([
    ["operations", `${operations} forgotten`],
    ["tombstones", `${keys} deleted`],
    ["kept", held === 0 ? null : `${held} ${held === 1 ? "operation that holds" : "operations that hold"} addresses`],
  ])

const prune = Command.make(
  "prune",
  { days: number("days", "DAYS", "How long ago it must have ended; at least 1, default 90") },
  Effect.fnUntraced(function* ({ days }) {
    if (days !== undefined && (days < LEAST_DAYS || days > MOST_DAYS)) {
      return yield* invalid("days", `must be ${LEAST_DAYS} to ${MOST_DAYS}`)
    }
    const { forgetExecutions } = yield* Effect.promise(() => import("../saga/forget.ts"))
    const horizonSeconds = days === undefined ? undefined : days * DAY_SECONDS
    const pruned = yield* withServices(({ operations }) => operations.prune({ horizonSeconds }, forgetExecutions))
    yield* print(pruned, prunedText)
  }),
).pipe(
  Command.withDescription(
    "Forget operations that ended long ago and hold nothing, with what the engine keeps of them, and tombstones of UUIDv7 keys; allocate refuses such keys once they are that old.",
  ),
  Command.withShortDescription("Forget what ended long ago"),
)

export const upkeepCommands = [reconcile, prune] as const
