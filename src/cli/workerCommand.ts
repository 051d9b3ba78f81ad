/** The command that executes sagas until it is told to end. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as flags from "./flags.ts"
import { printError, printLine, toJson } from "./output.ts"
import { connectOptions, invalid } from "./services.ts"

/** The bounds of the takeover time, in seconds: a shorter one would take sagas from workers that are only slow. */
const MIN_TAKEOVER = 1
const MAX_TAKEOVER = 3600
/** How long sagas may go on after a signal, in seconds, by default and at most. */
const DEFAULT_GRACE = 10
const MAX_GRACE = 86_400

/** Ends the worker when the program that started it with an IPC channel has ended, however that ended. */
const endWithParent = Effect.sync(() => {
  if (process.channel !== undefined) process.once("disconnect", () => process.exit(0))
})

/** How long a worker may take beyond its grace to hand its sagas back, in milliseconds. */
const HAND_BACK_MS = 10_000

/** Bounds the time to end: while the database is unavailable, sagas cannot be handed back, and are taken over as after a crash. */
const endInTime = (graceSeconds: number) =>
  Effect.sync(() => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => setTimeout(() => process.exit(130), graceSeconds * 1000 + HAND_BACK_MS).unref())
    }
  })

const seconds = (name: string, description: string) =>
  flags.maybe(Flag.Finite(name).pipe(Flag.withMetavar("SECONDS"), Flag.withDescription(description)))

export const workerCommand = Command.make(
  "worker",
  {
    files: Argument.String("file").pipe(
      Argument.withDescription("Module that exports sagas, in JavaScript or TypeScript; several may be named"),
      Argument.variadic({ min: 1 }),
    ),
    takeover: seconds(
      "takeover",
      `After how long other workers take over the sagas of this one if it dies or hangs; ${MIN_TAKEOVER} to ${MAX_TAKEOVER}, default 10`,
    ),
    grace: seconds(
      "grace",
      `How long its sagas may go on once it is told to end, before others get them; default ${DEFAULT_GRACE}`,
    ),
    concurrency: flags.maybe(
      Flag.Int("concurrency").pipe(
        Flag.withMetavar("N"),
        Flag.withDescription("How many sagas it executes at a time; default 64"),
      ),
    ),
    healthFile: flags.maybe(
      Flag.String("health-file").pipe(
        Flag.withMetavar("PATH"),
        Flag.withDescription("File with the time at which the database last answered, written every 5 seconds"),
      ),
    ),
  },
  Effect.fnUntraced(function* ({ files, takeover, grace = DEFAULT_GRACE, concurrency, healthFile }) {
    if (takeover !== undefined && (takeover < MIN_TAKEOVER || takeover > MAX_TAKEOVER)) {
      return yield* invalid("takeover", `must be ${MIN_TAKEOVER} to ${MAX_TAKEOVER} seconds`)
    }
    if (grace < 0 || grace > MAX_GRACE) return yield* invalid("grace", `must be 0 to ${MAX_GRACE} seconds`)
    if (concurrency !== undefined && concurrency < 1) return yield* invalid("concurrency", "must be at least 1")
    yield* endWithParent
    yield* endInTime(grace)
    const options = yield* connectOptions
    const { runWorker } = yield* Effect.promise(() => import("./runWorker.ts"))
    yield* runWorker({
      // A worker executes many sagas at once, and needs more connections than other commands.
      connect: { ...options, max: undefined },
      files,
      takeoverSeconds: takeover,
      graceSeconds: grace,
      concurrency,
      healthFile,
      onReady: (yield* flags.Json)
        ? Effect.ignore(printLine(toJson({ event: "running", files })))
        : printError(
            `saga-ipam worker: running the sagas of ${files.join(", ")}; Ctrl-C ends it, and its sagas continue with another worker`,
          ),
    })
  }),
).pipe(
  Command.withDescription(
    "Execute the sagas that modules export, whoever starts them, and reclaim what has expired, until it is told to end. Several workers may run on one database, on any machines. SIGTERM and Ctrl-C let its sagas go on for --grace, and hand back what has not ended.",
  ),
  Command.withShortDescription("Execute sagas, and reclaim what has expired"),
  Command.withExamples([
    { command: "saga-ipam worker sagas.ts", description: "Execute the sagas that sagas.ts exports" },
  ]),
)
