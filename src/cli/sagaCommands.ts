/** The commands on flows: start, look, cancel and resume. What runs them is a worker. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type { Operation } from "../contract/operation.ts"
import { ExitWith } from "./exit.ts"
import * as flags from "./flags.ts"
import { operationTable, operationText, verbText } from "./operationText.ts"
import { during, print } from "./output.ts"
import { connectOptions, invalid, readOwner, withServices } from "./services.ts"

const operation = Argument.String("operation").pipe(Argument.withDescription("The id of the operation"))

const readJson = (text: string) =>
  Effect.try({ try: (): unknown => JSON.parse(text), catch: () => undefined }).pipe(
    Effect.catch(() => invalid("payload", "must be JSON")),
  )

/** The exit code of the error that a flow ended with; that of a conflict for one that is not of the table. */
const endAs = Effect.fnUntraced(function* (error: unknown) {
  const { errorFacts } = yield* Effect.promise(() => import("../errors/errorFacts.ts"))
  const tag = typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : ""
  const { exit } = Object.entries(errorFacts).find(([name]) => name === tag)?.[1] ?? errorFacts.PoolExists
  return yield* Effect.fail(new ExitWith(exit))
})

const started = Command.make(
  "start",
  {
    flow: Argument.String("flow").pipe(Argument.withDescription("InstanceCreate or InstanceDelete")),
    payload: Argument.String("payload").pipe(Argument.withDescription("What the flow is started with, as JSON")),
    detach: flags.toggle("detach", "Do not wait for its end"),
  },
  Effect.fnUntraced(function* ({ flow, payload, detach }) {
    const given = yield* readJson(payload)
    const options = yield* connectOptions
    const { startFlow } = yield* Effect.promise(() => import("../saga/reference/starter.ts"))
    const what = detach ? "Leaving the flow to the workers" : "Waiting for a worker to run the flow"
    const answer = yield* during(what, startFlow(options, flow, given, detach))
    yield* print(answer, (one) =>
      one.state === "waiting" ? `operation  ${one.operationId}\nstate      waits for a worker` : operationText(one),
    )
    if (answer.state === "unwound") return yield* endAs(answer.error)
  }),
).pipe(
  Command.withDescription(
    "Start a flow and wait for its end; the same request again answers as it did. Exit code 0 only for one that succeeded.",
  ),
  Command.withShortDescription("Start a flow and wait for its end"),
  Command.withExamples([
    {
      command: `saga-ipam saga start InstanceCreate '{"request":"r-1","instance":"i-1","pools":{"v4":"web","v6":"web6","external":"public"}}'`,
      description: "Create an instance with its addresses",
    },
  ]),
)

const status = Command.make(
  "status",
  { operation },
  Effect.fnUntraced(function* ({ operation: operationId }) {
    yield* print(yield* knownOperation(operationId), operationText)
  }),
).pipe(Command.withDescription("Show an operation: how far it is, where it is stuck, how it ended"))

const knownOperation = Effect.fnUntraced(function* (operationId: string) {
  const found = yield* withServices(({ operations }) => operations.getOperation({ operationId }))
  if (found !== null) return found
  const { NotFound } = yield* Effect.promise(() => import("../errors/errors.ts"))
  return yield* new NotFound({ what: "operation", requestId: operationId })
})

const states = ["pending", "unwinding", "unwound", "succeeded", "stuck"] as const

const list = Command.make(
  "list",
  {
    state: flags.maybe(
      Flag.Literals("state", states).pipe(Flag.withDescription("Only those of this state; all when left out")),
    ),
    target: flags.maybe(
      Flag.String("target").pipe(
        Flag.withMetavar("KIND/ID"),
        Flag.withDescription("The history of one target, e.g. instance/i-1"),
      ),
    ),
    vrf: flags.anyVrf.pipe(Flag.withDescription("With --target: only this VRF; all when left out")),
    limit: flags.limit,
  },
  Effect.fnUntraced(function* ({ state, target: typed, vrf, limit }) {
    const target = yield* readOwner(typed, "target")
    if (target !== undefined && state !== undefined) return yield* invalid("state", "must be left out with --target")
    if (target === undefined && vrf !== undefined) return yield* invalid("vrf", "goes with --target only")
    if (limit !== undefined && limit < 1) return yield* invalid("limit", "must be at least 1")
    const all = yield* withServices(({ operations }) =>
      pages(limit, (page) =>
        target === undefined
          ? operations.listOperationsByState({ state, ...page })
          : operations.listOperations({ ...target, vrf, ...page }),
      ),
    )
    yield* print(all, operationTable)
  }),
).pipe(Command.withDescription("List operations, the newest first"))

const PAGE = 500

/** All pages, or as many as `limit` asks for. */
const pages = Effect.fnUntraced(function* <E, R>(
  limit: number | undefined,
  read: (page: {
    readonly before: bigint | undefined
    readonly pageSize: number
  }) => Effect.Effect<ReadonlyArray<Operation>, E, R>,
) {
  const found: Array<Operation> = []
  for (;;) {
    const pageSize = Math.min(PAGE, (limit ?? Number.POSITIVE_INFINITY) - found.length)
    const page = yield* read({ before: found.at(-1)?.sequence, pageSize })
    found.push(...page)
    if (page.length < pageSize || found.length === limit) return found
  }
})

const cancel = Command.make(
  "cancel",
  { operation, vrf: flags.vrf.pipe(Flag.withDescription("The home of one that was not begun yet; default: default")) },
  Effect.fnUntraced(function* ({ operation: operationId, vrf }) {
    const options = yield* connectOptions
    const { cancelFlow } = yield* Effect.promise(() => import("../saga/reference/starter.ts"))
    yield* print(yield* cancelFlow(options, operationId, vrf), verbText)
  }),
).pipe(
  Command.withDescription(
    "Cancel a flow, and say what that did: it unwinds from its next step on; one that was not begun yet never will be; one that has ended stays as it is",
  ),
  Command.withShortDescription("Cancel a flow: it unwinds"),
)

const resume = Command.make(
  "resume",
  { operation },
  Effect.fnUntraced(function* ({ operation: operationId }) {
    const options = yield* connectOptions
    const { resumeFlow } = yield* Effect.promise(() => import("../saga/reference/starter.ts"))
    yield* print(yield* resumeFlow(options, operationId), verbText)
  }),
).pipe(
  Command.withDescription(
    "Let a flow that stopped as stuck do again what stopped it, after its cause was repaired, and say what that did",
  ),
  Command.withShortDescription("Let a stuck flow go on"),
)

export const sagaCommand = Command.make("saga").pipe(
  Command.withDescription("Flows that create and delete instances; a worker runs them"),
  Command.withSubcommands([started, status, list, cancel, resume]),
)
