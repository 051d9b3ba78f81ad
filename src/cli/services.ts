/**
 * The services that a command asks, loaded and connected when a command needs them: help and usage errors need none.
 */
import * as Effect from "effect/Effect"
import type { Allocator } from "../services/Allocator.ts"
import type { Doctor } from "../services/Doctor.ts"
import type { Pools } from "../services/Pools.ts"
import type { Operations } from "../services/Operations.ts"
import type { Reconciler } from "../services/Reconciler.ts"
import type { ConnectOptions } from "../database/locate.ts"
import { Data, Url } from "./flags.ts"
import { during } from "./output.ts"

/** How long a command keeps the embedded server for the next one, unless `SAGA_IPAM_IDLE_SECONDS` says otherwise. */
const IDLE_SECONDS = 600
const MOST_IDLE_SECONDS = 86_400

/** What `--url` and `--data` say about the database: the embedded server where they say nothing. */
export const connectOptions = Effect.gen(function* () {
  const idleSeconds = Number(process.env["SAGA_IPAM_IDLE_SECONDS"] || IDLE_SECONDS)
  if (!(idleSeconds >= 0 && idleSeconds <= MOST_IDLE_SECONDS)) {
    return yield* invalid("SAGA_IPAM_IDLE_SECONDS", `must be a number of seconds, at most ${MOST_IDLE_SECONDS}`)
  }
  const options: ConnectOptions = {
    url: yield* Url,
    data: yield* Data,
    embedded: true,
    idleSeconds,
    applicationName: "saga-ipam",
    max: 4,
  }
  return options
})

interface Services {
  readonly allocator: Allocator["Service"]
  readonly pools: Pools["Service"]
  readonly doctor: Doctor["Service"]
  readonly operations: Operations["Service"]
  readonly reconciler: Reconciler["Service"]
}

const load = Effect.promise(() =>
  Promise.all([
    import("../layer.ts"),
    import("../services/Allocator.ts"),
    import("../services/Pools.ts"),
    import("../services/Doctor.ts"),
    import("../services/Operations.ts"),
    import("../services/Reconciler.ts"),
  ]),
)

/** Runs one command's calls on a connection of their own, which is closed when they end. */
export const withServices = <A, E, R>(use: (services: Services) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const options = yield* connectOptions
    const [{ layer }, { Allocator }, { Pools }, { Doctor }, { Operations }, { Reconciler }] = yield* load
    const calls = Effect.gen(function* () {
      return yield* use({
        allocator: yield* Allocator,
        pools: yield* Pools,
        doctor: yield* Doctor,
        operations: yield* Operations,
        reconciler: yield* Reconciler,
      })
    })
    return yield* during("Asking the database", Effect.provide(calls, layer(options)))
  })

/** Refuses what was typed for a flag or an argument. Errors are loaded only then: help does without them. */
export const invalid = Effect.fnUntraced(function* (field: string, message: string) {
  const { InvalidInput } = yield* Effect.promise(() => import("../errors/errors.ts"))
  return yield* new InvalidInput({ field, message: `${field}: ${message}` })
})

/** `KIND/ID` as an owner or a target, the flag's name; refuses with `InvalidInput`. */
export const readOwner = Effect.fnUntraced(function* (text: string | undefined, field = "owner") {
  if (text === undefined) return undefined
  const { parseOwner } = yield* Effect.promise(() => import("../domain/identity.ts"))
  const parsed = parseOwner(text)
  return parsed._tag === "Success" ? parsed.success : yield* invalid(field, parsed.failure)
})
