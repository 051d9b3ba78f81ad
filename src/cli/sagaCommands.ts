/** The commands on sagas: start, show, list, cancel and resume. Workers execute them. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type { Operation } from "../contract/operation.ts"
import { ExitWith } from "./exitCode.ts"
import * as flags from "./flags.ts"
import { operationTable, operationText, changeText } from "./operationText.ts"
import { during, print } from "./output.ts"
import { connectOptions, invalid, readOwner, withServices } from "./services.ts"

const operation = Argument.String("operation").pipe(Argument.withDescription("The id of the operation"))

const readJson = (text: string) =>
  Effect.try({ try: (): unknown => JSON.parse(text), catch: () => undefined }).pipe(
    Effect.catch(() => invalid("payload", "must be JSON")),
  )

/** Ends with the exit code of the error that a saga unwound with; an error outside the table counts as a conflict. */
const failAs = Effect.fnUntraced(function* (error: unknown) {
  const { errorFacts } = yield* Effect.promise(() => import("../errors/errorFacts.ts"))
  const tag = typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : ""
  const { exit } = Object.entries(errorFacts).find(([name]) => name === tag)?.[1] ?? errorFacts.PoolExists
  return yield* Effect.fail(new ExitWith(exit))
})

const started = Command.make(
  "start",
  {
    flow: Argument.String("flow").pipe(Argument.withDescription("InstanceCreate or InstanceDelete")),
    payload: Argument.String("payload").pipe(Argument.withDescription("Payload of the saga, as JSON")),
    detach: flags.toggle("detach", "Do not wait until it has ended"),
  },
  Effect.fnUntraced(function* ({ flow, payload, detach }) {
    const given = yield* readJson(payload)
    const options = yield* connectOptions
    const { startFlow } = yield* Effect.promise(() => import("../saga/reference/starter.ts"))
    const what = detach ? "Handing the saga to the workers" : "Waiting for a worker to execute the saga"
    const answer = yield* during(what, startFlow(options, flow, given, detach))
    yield* print(answer, (one) =>
      one.state === "waiting" ? `operation  ${one.operationId}\nstate      waiting for a worker` : operationText(one),
    )
    if (answer.state === "unwound") return yield* failAs(answer.error)
  }),
).pipe(
  Command.withDescription(
    "Start a saga and wait until it has ended; the same request again returns the same answer. Exit code 0 only if it succeeded.",
  ),
  Command.withShortDescription("Start a saga and wait until it has ended"),
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
).pipe(Command.withDescription("Show an operation: its state, where it is stuck, how it ended"))

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
      Flag.Literals("state", states).pipe(Flag.withDescription("Only those in this state; default: all")),
    ),
    target: flags.maybe(
      Flag.String("target").pipe(
        Flag.withMetavar("KIND/ID"),
        Flag.withDescription("The history of one target, e.g. instance/i-1"),
      ),
    ),
    vrf: flags.anyVrf.pipe(Flag.withDescription("With --target: only this VRF; default: all")),
    limit: flags.limit,
  },
  Effect.fnUntraced(function* ({ state, target: typed, vrf, limit }) {
    const target = yield* readOwner(typed, "target")
    if (target !== undefined && state !== undefined) return yield* invalid("state", "must be left out with --target")
    if (target === undefined && vrf !== undefined) return yield* invalid("vrf", "needs --target")
    if (limit !== undefined && limit < 1) return yield* invalid("limit", "must be at least 1")
    const all = yield* withServices(({ operations }) =>
      listUpTo(limit, (page) =>
        target === undefined
          ? operations.listOperationsByState({ state, ...page })
          : operations.listOperations({ ...target, vrf, ...page }),
      ),
    )
    yield* print(all, operationTable)
  }),
).pipe(Command.withDescription("List operations, the newest first"))

const PAGE = 500

/** Reads pages until there are `limit` operations, or all of them if there is no limit. */
const listUpTo = Effect.fnUntraced(function* <E, R>(
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
  {
    operation,
    vrf: flags.vrf.pipe(Flag.withDescription("VRF of an operation that has not begun yet; default: default")),
  },
  Effect.fnUntraced(function* ({ operation: operationId, vrf }) {
    const options = yield* connectOptions
    const { cancelFlow } = yield* Effect.promise(() => import("../saga/reference/starter.ts"))
    yield* print(yield* cancelFlow(options, operationId, vrf), changeText)
  }),
).pipe(
  Command.withDescription(
    "Cancel an operation: it unwinds before its next step. One that has not begun yet will never begin; one that has ended stays as it is.",
  ),
  Command.withShortDescription("Cancel an operation: it unwinds"),
)

const resume = Command.make(
  "resume",
  { operation },
  Effect.fnUntraced(function* ({ operation: operationId }) {
    const options = yield* connectOptions
    const { resumeFlow } = yield* Effect.promise(() => import("../saga/reference/starter.ts"))
    yield* print(yield* resumeFlow(options, operationId), changeText)
  }),
).pipe(
  Command.withDescription("Resume a stuck operation once the cause is repaired: it retries the step that failed"),
  Command.withShortDescription("Resume a stuck operation"),
)

export const sagaCommand = Command.make("saga").pipe(
  Command.withDescription("Start, show, cancel and resume sagas; workers execute them"),
  Command.withSubcommands([started, status, list, cancel, resume]),
)
