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
import { Data, Servers, Url } from "./flags.ts"
import { during } from "./output.ts"

/** How long the embedded server stays running for the next command, by default and at most. */
const IDLE_SECONDS = 600
const MAX_IDLE_SECONDS = 86_400

/**
 * The servers that `--server` names. Else those of `SAGA_IPAM_SERVERS`, which belong to `DATABASE_URL`: a command that is told to use
 * another database ignores both.
 */
const namedServers = Effect.fnUntraced(function* (typed: ReadonlyArray<string>, usesOther: boolean) {
  if (typed.length === 0) {
    const fromEnvironment = usesOther ? "" : (process.env["SAGA_IPAM_SERVERS"] ?? "")
    if (fromEnvironment === "") return undefined
    const read = Effect.try({
      try: () => JSON.parse(fromEnvironment) as Readonly<Record<string, string>>,
      catch: () => undefined,
    })
    return yield* Effect.catch(read, () => invalid("SAGA_IPAM_SERVERS", "must be a JSON object of VRFs and URLs"))
  }
  const named = new Map<string, string>()
  for (const one of typed) {
    const [vrf = "", ...url] = one.split("=")
    if (vrf === "" || url.length === 0 || named.has(vrf)) {
      return yield* invalid("server", "must be VRF=URL, each VRF once")
    }
    named.set(vrf, url.join("="))
  }
  return Object.fromEntries(named)
})

/** The connection options that `--url`, `--server`, `--data` and the environment give; without any, the embedded server. */
export const connectOptions = Effect.gen(function* () {
  const idleSeconds = Number(process.env["SAGA_IPAM_IDLE_SECONDS"] || IDLE_SECONDS)
  if (!(idleSeconds >= 0 && idleSeconds <= MAX_IDLE_SECONDS)) {
    return yield* invalid("SAGA_IPAM_IDLE_SECONDS", `must be a number of seconds, at most ${MAX_IDLE_SECONDS}`)
  }
  const url = yield* Url
  const data = yield* Data
  // `--data` does not override `DATABASE_URL`.
  const usesOther = url !== undefined || (data !== undefined && !process.env["DATABASE_URL"])
  const options: ConnectOptions = {
    url,
    servers: yield* namedServers(yield* Servers, usesOther),
    data,
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
