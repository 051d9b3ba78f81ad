/**
 * Which database is meant: a URL, the environment's, or the embedded server in a folder, which is started when it is not running.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { DatabaseMisconfigured, DatabaseUnreachable, DiskFull, InvalidInput } from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import type { EmbeddedServerFailed } from "../embedded/failure.ts"
import { embeddedServerError } from "./failure.ts"
import type { DatabaseOptions } from "./settings.ts"

/** What a program may say about its database. All of it may be left out. */
export interface ConnectOptions extends Omit<DatabaseOptions, "host" | "port" | "user" | "password" | "database"> {
  /** The folder of the embedded server's data. `url` and `DATABASE_URL` come before it. */
  readonly data?: string | undefined
}

/** Where the database is. `embedded`: this program is its only kind of user, so it is migrated without being asked. */
export interface Location {
  readonly database: DatabaseOptions
  readonly embedded: boolean
}

const Options = Schema.Struct({
  url: Schema.optional(Schema.NonEmptyString),
  data: Schema.optional(Schema.NonEmptyString),
  ssl: Schema.optional(Schema.Unknown),
  max: Schema.optional(Schema.Number),
  prepare: Schema.optional(Schema.Boolean),
  timeoutSeconds: Schema.optional(Schema.Number),
  applicationName: Schema.optional(Schema.String),
})
const checkOptions = decodeInput(Options)

/**
 * The first of: `url`, `DATABASE_URL`, `data`, `SAGA_IPAM_DATA`, the default folder. Empty variables count as not set. A folder's
 * server is running when this returns, and stays when this program ends.
 */
export const locate = Effect.fn("locate")(function* (
  options: ConnectOptions,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Effect.fn.Return<Location, InvalidInput | DatabaseUnreachable | DatabaseMisconfigured | DiskFull> {
  yield* checkOptions(options)
  const { data, ...database } = options
  const url = options.url ?? (env["DATABASE_URL"] || undefined)
  if (url !== undefined) return { database: { ...database, url }, embedded: false }
  const server = yield* Effect.tryPromise({
    try: () => startEmbedded(data ?? (env["SAGA_IPAM_DATA"] || undefined)),
    catch: (cause) => cause,
  }).pipe(
    Effect.catch((cause) =>
      isEmbeddedFailure(cause) ? Effect.fail(embeddedServerError(cause, "connect")) : Effect.die(cause),
    ),
  )
  const place = { host: server.host, port: server.port, user: server.user, password: "", database: server.database }
  return { database: { ...database, ...place, ssl: false }, embedded: true }
})

/** By its tag, since the class comes with the server. */
const isEmbeddedFailure = (cause: unknown): cause is EmbeddedServerFailed =>
  cause instanceof Error && "_tag" in cause && cause._tag === "EmbeddedServerFailed"

/** Loaded only when it is needed: most programs bring their own server. */
const startEmbedded = async (folder: string | undefined) => {
  const { defaultDataFolder, startServer } = await import("../embedded/server.ts")
  return startServer(folder ?? defaultDataFolder())
}
