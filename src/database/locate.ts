/**
 * Which database is meant: a URL, the environment's, or the embedded server in a folder, where it is asked for.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { DatabaseMisconfigured } from "../errors/errors.ts"
import type { DatabaseUnreachable, DiskFull, InvalidInput } from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import type { EmbeddedServerFailed } from "../embedded/failure.ts"
import { embeddedServerError } from "./failure.ts"
import type { DatabaseOptions } from "./settings.ts"

/** What a program may say about its database. All of it may be left out where `DATABASE_URL` is set. */
export interface ConnectOptions extends Omit<DatabaseOptions, "host" | "port" | "user" | "password" | "database"> {
  /** Use the embedded server, with its data in this folder. `url` and `DATABASE_URL` come before it. */
  readonly data?: string | undefined
  /** Use the embedded server, with its data in the folder `SAGA_IPAM_DATA`, or else in one of the user's. As `data` otherwise. */
  readonly embedded?: boolean | undefined
  /** How long the embedded server is kept for another program after the last one has closed, in seconds, at most 86400; 0 when left out. */
  readonly idleSeconds?: number | undefined
}

/** Where the database is. `embedded`: this program is its only kind of user, so it is migrated without being asked. */
export interface Location {
  readonly database: DatabaseOptions
  readonly embedded: boolean
}

const Options = Schema.Struct({
  url: Schema.optional(Schema.NonEmptyString),
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
  timeoutSeconds: Schema.optional(Schema.Number),
  applicationName: Schema.optional(Schema.String),
})
const checkOptions = decodeInput(Options)

/**
 * The first of: `url`, `DATABASE_URL`, `data`, and, where `embedded` asks for it, `SAGA_IPAM_DATA` or the default folder. Empty
 * variables count as not set. A folder's server runs while the scope is open, and longer only while other programs use it.
 */
export const locate = Effect.fn("locate")(function* (
  options: ConnectOptions,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Effect.fn.Return<Location, InvalidInput | DatabaseUnreachable | DatabaseMisconfigured | DiskFull, Scope> {
  yield* checkOptions(options)
  const { data, embedded = false, idleSeconds = 0, ...database } = options
  const url = options.url ?? (env["DATABASE_URL"] || undefined)
  if (url !== undefined) return { database: { ...database, url }, embedded: false }
  if (data === undefined && !embedded)
    return yield* new DatabaseMisconfigured({ call: "connect", reason: nothingNamed })
  const server = yield* Effect.acquireRelease(
    acquireEmbedded(data ?? (env["SAGA_IPAM_DATA"] || undefined), idleSeconds * 1000),
    ({ release }) =>
      Effect.ignore(Effect.tryPromise(release), { log: "Warn", message: "The embedded server was not stopped" }),
    { interruptible: true },
  )
  const place = { host: server.host, port: server.port, user: server.user, password: "", database: server.database }
  return { database: { ...database, ...place, ssl: false }, embedded: true }
})

const nothingNamed =
  "none is named; name one by connect({ url }) or DATABASE_URL, " +
  "or ask for the embedded server by connect({ data: FOLDER }) or connect({ embedded: true })"

/** The server is loaded only when it is needed: most programs bring their own. */
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

/** By its tag, since the class comes with the server. */
const isEmbeddedFailure = (cause: unknown): cause is EmbeddedServerFailed =>
  cause instanceof Error && "_tag" in cause && cause._tag === "EmbeddedServerFailed"
