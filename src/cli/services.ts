/**
 * The services that commands call, loaded and connected only by a command that needs them: help and usage errors need none.
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

/** How long the embedded server stays running for the next command, by default and at most. */
const IDLE_SECONDS = 600
const MAX_IDLE_SECONDS = 86_400

/** The connection options that `--url`, `--data` and `SAGA_IPAM_IDLE_SECONDS` give; without any, the embedded server. */
export const connectOptions = Effect.gen(function* () {
  const idleSeconds = Number(process.env["SAGA_IPAM_IDLE_SECONDS"] || IDLE_SECONDS)
  if (!(idleSeconds >= 0 && idleSeconds <= MAX_IDLE_SECONDS)) {
    return yield* invalid("SAGA_IPAM_IDLE_SECONDS", `must be a number of seconds, at most ${MAX_IDLE_SECONDS}`)
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

/** Connects, runs the calls of one command, and closes the connection; a terminal shows `what` meanwhile. */
export const withServices = <A, E, R>(
  use: (services: Services) => Effect.Effect<A, E, R>,
  what = "Querying the database",
) =>
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
    return yield* during(what, Effect.provide(calls, layer(options)))
  })

/** Fails with `InvalidInput` for a flag or an argument. Loads the errors only then, since help does not need them. */
export const invalid = Effect.fnUntraced(function* (field: string, message: string) {
  const { InvalidInput } = yield* Effect.promise(() => import("../errors/errors.ts"))
  return yield* new InvalidInput({ field, message: `${field}: ${message}` })
})

/** Parses `KIND/ID` as an owner or a target; fails with `InvalidInput` that names the flag `field`. */
export const readOwner = Effect.fnUntraced(function* (text: string | undefined, field = "owner") {
  if (text === undefined) return undefined
  const { parseOwner } = yield* Effect.promise(() => import("../domain/identity.ts"))
  const parsed = parseOwner(text)
  return parsed._tag === "Success" ? parsed.success : yield* invalid(field, parsed.failure)
})
