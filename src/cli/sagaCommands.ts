/** The commands on sagas: start, show, list, cancel and resume. Workers execute them. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type { Operation } from "../contract/operation.ts"
import type { Operations } from "../services/Operations.ts"
import { ExitWith } from "./exitCode.ts"
import * as flags from "./flags.ts"
import { changeText, operationText, sagaTable, sagaText, type OperationOfSaga } from "./operationText.ts"
import { print } from "./output.ts"
import { invalid, readOwner, withServices } from "./services.ts"

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
    name: Argument.String("name").pipe(Argument.withDescription("Name of a saga that the file exports")),
    payload: Argument.String("payload").pipe(Argument.withDescription("Payload of the saga, as JSON")),
    file: Flag.String("file").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription(
        "Module that exports the saga, as for the workers: it names the targets and checks the payload",
      ),
    ),
    detach: flags.toggle("detach", "Do not wait until it has ended"),
  },
  Effect.fnUntraced(function* ({ name, payload, file, detach }) {
    const given = yield* readJson(payload)
    const { loadSagas } = yield* Effect.promise(() => import("./sagaModules.ts"))
    const { sagas } = yield* loadSagas(file)
    const saga = sagas.find((one) => one.name === name)
    if (saga === undefined) {
      return yield* invalid("name", `${file} exports ${sagas.map((one) => one.name).join(", ") || "no saga to start"}`)
    }
    const what = detach ? "Starting the saga" : "Waiting for a worker to execute the saga"
    const answer = yield* withServices(
      ({ operations }) =>
        Effect.gen(function* () {
          const begun = yield* saga.start(given)
          if (detach) return begun
          const exit = yield* Effect.exit(saga.execute(given))
          const found = yield* operations.getOperation({ operationId: begun.operationId, vrf: begun.vrf })
          // What it ended with is in the ledger; anything else is why nobody knows of an end.
          return found?.finishedAt ? found : yield* Effect.as(exit, begun)
        }),
      what,
    )
    yield* print(answer, operationText)
    if (answer.state === "unwound") return yield* failAs(answer.error)
  }),
).pipe(
  Command.withDescription(
    "Start a saga and wait until it has ended; the same request again returns the same answer. From its start on it can be listed and cancelled, and any worker that serves it executes it. Exit code 0 only if it succeeded.",
  ),
  Command.withShortDescription("Start a saga and wait until it has ended"),
  Command.withExamples([
    {
      command: `saga-ipam saga start Create '{"instance":"i-1"}' --file sagas.ts`,
      description: "Start the saga Create that sagas.ts exports",
    },
  ]),
)

const status = Command.make(
  "status",
  { operation },
  Effect.fnUntraced(function* ({ operation: operationId }) {
    const one = yield* withServices(({ operations }) =>
      Effect.flatMap(knownOperation(operations, operationId), (found) => Effect.flatMap(withSagas([found]), onlyOne)),
    )
    yield* print(one, sagaText)
  }),
).pipe(
  Command.withDescription(
    "Show an operation: its state, where it is stuck, and how it ended; of a saga, who executes it, what it waits for, and each of its steps with times, attempts and errors",
  ),
  Command.withShortDescription("Show an operation and the steps of its saga"),
)

/** Operations with where their sagas are; `saga` is `null` for one of another engine, and for what was pruned. */
const withSagas = Effect.fnUntraced(function* (all: ReadonlyArray<Operation>) {
  const { sagaStatus } = yield* Effect.promise(() => import("../saga/status.ts"))
  const [first, ...others] = new Set(all.map(({ vrf }) => vrf))
  const found = yield* sagaStatus(
    all.map(({ operationId }) => operationId),
    others.length === 0 ? first : undefined,
  )
  return all.map((one): OperationOfSaga => ({ ...one, saga: found.get(one.operationId) ?? null }))
})

const onlyOne = <A>([one]: ReadonlyArray<A>) => Effect.fromNullishOr(one)

const knownOperation = Effect.fnUntraced(function* (operations: Operations["Service"], operationId: string) {
  const found = yield* operations.getOperation({ operationId })
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
        Effect.flatMap(
          target === undefined
            ? operations.listOperationsByState({ state, ...page })
            : operations.listOperations({ ...target, vrf, ...page }),
          withSagas,
        ),
      ),
    )
    yield* print(all, sagaTable)
  }),
).pipe(
  Command.withDescription(
    "List operations, the newest first; of those that have not ended, whether a worker executes them, and what they wait for",
  ),
  Command.withShortDescription("List operations"),
)

const PAGE = 500

/** Reads pages until there are `limit` operations, or all of them if there is no limit. */
const listUpTo = Effect.fnUntraced(function* <E, R>(
  limit: number | undefined,
  read: (page: {
    readonly before: bigint | undefined
    readonly pageSize: number
  }) => Effect.Effect<ReadonlyArray<OperationOfSaga>, E, R>,
) {
  const found: Array<OperationOfSaga> = []
  for (;;) {
    const pageSize = Math.min(PAGE, (limit ?? Number.POSITIVE_INFINITY) - found.length)
    const page = yield* read({ before: found.at(-1)?.sequence, pageSize })
    // With servers by VRF, a page may be longer than it should be.
    found.push(...page)
    if (page.length < pageSize || found.length >= (limit ?? Number.POSITIVE_INFINITY)) return found.slice(0, limit)
  }
})

const cancel = Command.make(
  "cancel",
  {
    operation,
    vrf: flags.vrf.pipe(Flag.withDescription("VRF of an operation that has not begun yet; default: default")),
  },
  Effect.fnUntraced(function* ({ operation: operationId, vrf }) {
    const { cancelledError } = yield* Effect.promise(() => import("../saga/Saga.ts"))
    const answer = yield* withServices(({ operations }) =>
      Effect.flatMap(operations.getOperation({ operationId }), (known) =>
        operations.cancelOperation({ operationId, vrf: known?.vrf ?? vrf, error: cancelledError(operationId) }),
      ),
    )
    yield* print(answer, changeText)
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
    const answer = yield* withServices(({ operations }) =>
      Effect.flatMap(knownOperation(operations, operationId), ({ vrf }) =>
        operations.resumeOperation({ operationId, vrf }),
      ),
    )
    yield* print(answer, changeText)
  }),
).pipe(
  Command.withDescription("Resume a stuck operation once the cause is repaired: it retries the step that failed"),
  Command.withShortDescription("Resume a stuck operation"),
)

export const sagaCommand = Command.make("saga").pipe(
  Command.withDescription("Start, show, cancel and resume sagas; workers execute them"),
  Command.withSubcommands([started, status, list, cancel, resume]),
)
