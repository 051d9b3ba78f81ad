/**
 * Finds the database of a program: by a URL, by the environment, or in an embedded server, which it starts only if asked to.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { Name } from "../domain/identity.ts"
import { DatabaseMisconfigured, InvalidInput } from "../errors/errors.ts"
import type { DatabaseUnreachable, DiskFull } from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import type { EmbeddedServerFailed } from "../embedded/failure.ts"
import { embeddedServerError } from "./failure.ts"
import type { DatabaseOptions } from "./settings.ts"

/** How a program names its database. All of it may be left out if `DATABASE_URL` is set. */
export interface ConnectOptions extends Omit<DatabaseOptions, "host" | "port" | "user" | "password" | "database"> {
  /** VRFs that are on servers of their own, each with its URL; all other VRFs are on that of `url` or `DATABASE_URL`. The other options are for each server. */
  readonly servers?: Readonly<Record<string, string>> | undefined
  /** Use the embedded server, with its data in this folder. `url` and `DATABASE_URL` take precedence. */
  readonly data?: string | undefined
  /** Use the embedded server, with its data in the folder `SAGA_IPAM_DATA`, else in a default folder of the user. Otherwise as `data`. */
  readonly embedded?: boolean | undefined
  /** How long the embedded server stays running after the last program has closed, in seconds: 0 to 86400, default 0. */
  readonly idleSeconds?: number | undefined
}

/** Where the database is. An embedded database has no other kind of user than this library, and is migrated without being asked. */
export interface Location {
  readonly database: DatabaseOptions
  /** The URLs of VRFs that are on servers of their own. */
  readonly servers?: Readonly<Record<string, string>> | undefined
  readonly embedded: boolean
}

const Options = Schema.Struct({
  url: Schema.optional(Schema.NonEmptyString),
  servers: Schema.optional(Schema.Record(Name, Schema.NonEmptyString)),
  data: Schema.optional(Schema.NonEmptyString),
  embedded: Schema.optional(Schema.Boolean),
  idleSeconds: Schema.optional(
    Schema.Number.check(
      Schema.isBetween({ minimum: 0, maximum: 86_400 }, { message: "must be a number of seconds, at most 86400" }),
    ),
  ),
  ssl: Schema.optional(Schema.Unknown),
  max: Schema.optional(Schema.Number),
  prepare: Schema.optional(Schema.Boolean),
  batch: Schema.optional(Schema.Boolean),
  timeoutSeconds: Schema.optional(Schema.Number),
  applicationName: Schema.optional(Schema.String),
})
const checkOptions = decodeInput(Options)

/**
 * Locates the database by the first of these: `url`, `DATABASE_URL`, `data`, and with `embedded` the folder `SAGA_IPAM_DATA`, else the
 * default folder. Empty variables count as not set. An embedded server runs while the scope is open, and longer only if other programs
 * use it or `idleSeconds` says so. Fails with `DatabaseMisconfigured` if nothing names a database.
 */
export const locate = Effect.fn("locate")(function* (
  options: ConnectOptions,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Effect.fn.Return<Location, InvalidInput | DatabaseUnreachable | DatabaseMisconfigured | DiskFull, Scope> {
  yield* checkOptions(options)
  const { data, embedded = false, idleSeconds = 0, servers, ...database } = options
  const url = options.url ?? (env["DATABASE_URL"] || undefined)
  if (url !== undefined) return { database: { ...database, url }, servers, embedded: false }
  if (servers !== undefined) return yield* new InvalidInput({ field: "servers", message: `servers: ${noRest}` })
  if (data === undefined && !embedded)
    return yield* new DatabaseMisconfigured({ call: "connect", reason: nothingNamed })
  const server = yield* Effect.acquireRelease(
    acquireEmbedded(data ?? (env["SAGA_IPAM_DATA"] || undefined), idleSeconds * 1000),
    ({ release }) =>
      Effect.ignore(Effect.tryPromise(release), { log: "Warn", message: "The embedded server was not stopped" }),
    { interruptible: true },
  )
  const address = { host: server.host, port: server.port, user: server.user, password: "", database: server.database }
  return { database: { ...database, ...address, ssl: false }, embedded: true }
})

const noRest = "the server of all other VRFs is missing; name it by url or DATABASE_URL"

const nothingNamed =
  "none is named; name one by connect({ url }) or DATABASE_URL, " +
  "or ask for the embedded server by connect({ data: FOLDER }) or connect({ embedded: true })"

/** Starts or joins the server of the folder. Its modules are loaded only here: most programs bring their own server. */
const acquireEmbedded = (folder: string | undefined, idleMs: number) =>
  Effect.tryPromise({
    try: async (signal) => {
      const [{ acquireServer }, { defaultDataFolder }] = await Promise.all([
        import("../embedded/sharedServer.ts"),
        import("../embedded/server.ts"),
      ])
      return acquireServer(folder ?? defaultDataFolder(), { idleMs, signal })
    },
    catch: (cause) => cause,
  }).pipe(
    Effect.catch((cause) =>
      isEmbeddedFailure(cause) ? Effect.fail(embeddedServerError(cause, "connect")) : Effect.die(cause),
    ),
  )

/** By its tag, since the class is loaded with the server. */
const isEmbeddedFailure = (cause: unknown): cause is EmbeddedServerFailed =>
  cause instanceof Error && "_tag" in cause && cause._tag === "EmbeddedServerFailed"
