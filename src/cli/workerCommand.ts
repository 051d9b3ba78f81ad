/** The command that executes sagas until it is told to end. */
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Command from "effect/cli/Command"
import * as flags from "./flags.ts"
import { printError, printLine, toJson } from "./output.ts"
import { connectOptions, invalid } from "./services.ts"

/** A port below those of outgoing connections, one of which could occupy it when the worker is started again. */
const DEFAULT_LISTEN = "127.0.0.1:24431"
/** The bounds of the takeover time, in seconds: a shorter one would take sagas from workers that are only slow. */
const MIN_TAKEOVER = 3
const MAX_TAKEOVER = 86_400

const listen = Flag.String("listen").pipe(
  Flag.withMetavar("HOST:PORT"),
  Flag.withDescription(
    `Address at which other programs reach this worker, without a password: a trusted network only; default ${DEFAULT_LISTEN}`,
  ),
  Flag.withDefault(DEFAULT_LISTEN),
)

/** Parses `HOST:PORT`, with an IPv6 host in brackets. */
const readListen = Effect.fnUntraced(function* (text: string) {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? bare
  const port = Number(digits)
  if (host !== undefined && port > 0 && port < 65_536) return { host, port }
  return yield* invalid("listen", `must be HOST:PORT, e.g. ${DEFAULT_LISTEN}`)
})

/** Ends the worker when the program that started it with an IPC channel has ended, however that ended. */
const endWithParent = Effect.sync(() => {
  if (process.channel !== undefined) process.once("disconnect", () => process.exit(0))
})

/** How long a worker may take to end after a signal, in milliseconds. */
const END_MS = 10_000

/** Bounds the time to end: while the database is unavailable, sagas cannot be handed back, and are taken over as after a crash. */
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
          "Switch and hypervisor that the reference sagas control; default: a fake one inside this worker",
        ),
      ),
    ),
    takeover: flags.maybe(
      Flag.Finite("takeover").pipe(
        Flag.withMetavar("SECONDS"),
        Flag.withDescription(
          "After how long other workers take over the sagas of one that hangs; the same for all workers; at least 3, default 20",
        ),
      ),
    ),
  },
  Effect.fnUntraced(function* (typed) {
    yield* endWithParent
    yield* endInTime
    const options = yield* connectOptions
    const address = yield* readListen(typed.listen)
    const { takeover = MIN_TAKEOVER } = typed
    if (takeover < MIN_TAKEOVER || takeover > MAX_TAKEOVER) {
      return yield* invalid("takeover", `must be ${MIN_TAKEOVER} to ${MAX_TAKEOVER} seconds`)
    }
    const { runWorker } = yield* Effect.promise(() => import("../saga/reference/worker.ts"))
    yield* runWorker({
      // A worker executes many sagas at once, and needs more connections than other commands.
      ...options,
      max: undefined,
      listen: address,
      devices: typed.devices,
      takeoverSeconds: typed.takeover,
      onReady: (yield* flags.Json)
        ? Effect.ignore(printLine(toJson({ event: "running", listen: typed.listen })))
        : printError(
            `saga-ipam worker: running on ${typed.listen}; Ctrl-C ends it, and its sagas continue with another worker`,
          ),
    })
  }),
).pipe(
  Command.withDescription(
    "Execute the sagas InstanceCreate and InstanceDelete, and reclaim what has expired, until it is told to end. Several workers may run on one database, each with its own --listen.",
  ),
  Command.withShortDescription("Execute sagas, and reclaim what has expired"),
)
