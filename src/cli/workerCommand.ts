/** The command that runs flows until it is told to end. */
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Command from "effect/cli/Command"
import * as flags from "./flags.ts"
import { printError, printLine, toJson } from "./output.ts"
import { connectOptions, invalid } from "./services.ts"

/** A port below those that systems give to outgoing connections, which could be at it when the worker is started again. */
const DEFAULT_LISTEN = "127.0.0.1:24431"
/** The bounds of a takeover in seconds: a shorter one takes flows from workers that are only slow. */
const LEAST_TAKEOVER = 3
const MOST_TAKEOVER = 86_400

const listen = Flag.String("listen").pipe(
  Flag.withMetavar("HOST:PORT"),
  Flag.withDescription(
    `Where starters and other workers reach this one; no password, so a trusted network only; default ${DEFAULT_LISTEN}`,
  ),
  Flag.withDefault(DEFAULT_LISTEN),
)

/** `HOST:PORT`; an IPv6 host in brackets. */
const readListen = Effect.fnUntraced(function* (text: string) {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? bare
  const port = Number(digits)
  if (host !== undefined && port > 0 && port < 65_536) return { host, port }
  return yield* invalid("listen", `must be HOST:PORT, e.g. ${DEFAULT_LISTEN}`)
})

/** A program that starts a worker with a channel to it may die without a word: the worker then ends too. */
const endWithParent = Effect.sync(() => {
  if (process.channel !== undefined) process.once("disconnect", () => process.exit(0))
})

/** How long a worker may take to end, in milliseconds. */
const END_MS = 10_000

/** While the database is away, flows cannot be left in order: they go on elsewhere then, as those of a worker that was killed. */
const endInTime = Effect.sync(() => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => setTimeout(() => process.exit(130), END_MS).unref())
  }
})

export const workerCommand = Command.make(
  "worker",
  {
    listen,
    devices: flags.maybe(
      Flag.String("devices").pipe(
        Flag.withMetavar("URL"),
        Flag.withDescription(
          "The switch and hypervisor that the reference flows drive; else a fake one inside this worker",
        ),
      ),
    ),
    takeover: flags.maybe(
      Flag.Finite("takeover").pipe(
        Flag.withMetavar("SECONDS"),
        Flag.withDescription(
          "How long the flows of a worker that hangs wait for another one; the same for all; at least 3, default 20",
        ),
      ),
    ),
  },
  Effect.fnUntraced(function* (typed) {
    yield* endWithParent
    yield* endInTime
    const options = yield* connectOptions
    const address = yield* readListen(typed.listen)
    const { takeover = LEAST_TAKEOVER } = typed
    if (takeover < LEAST_TAKEOVER || takeover > MOST_TAKEOVER) {
      return yield* invalid("takeover", `must be ${LEAST_TAKEOVER} to ${MOST_TAKEOVER} seconds`)
    }
    const { runWorker } = yield* Effect.promise(() => import("../saga/reference/worker.ts"))
    yield* runWorker({
      // The connections of a command are few; a worker runs many flows at once.
      ...options,
      max: undefined,
      listen: address,
      devices: typed.devices,
      takeoverSeconds: typed.takeover,
      onReady: (yield* flags.Json)
        ? Effect.ignore(printLine(toJson({ event: "running", listen: typed.listen })))
        : printError(`saga-ipam worker: running on ${typed.listen}; Ctrl-C ends it, its flows go on with the next one`),
    })
  }),
).pipe(
  Command.withDescription(
    "Run the flows InstanceCreate and InstanceDelete, and reclaim what has expired, until it is told to end. Several may run on one database, each with a --listen of its own.",
  ),
  Command.withShortDescription("Run flows, and reclaim what has expired"),
)
