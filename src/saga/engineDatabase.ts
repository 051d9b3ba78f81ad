/**
 * The engine's own connections to the database of the allocator, as Effect's `SqlClient`, and the schema of its tables.
 *
 * The engine holds locks for as long as a connection lives, so it needs the server itself and not a pooler in transaction mode.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { DatabaseMisconfigured, InvalidInput, NotPermitted } from "../errors/errors.ts"
import { locate, type ConnectOptions } from "../database/locate.ts"
import { toDomainError, type DatabaseError } from "../contract/sqlState.ts"
import { toFailure } from "../database/failure.ts"
import { SCHEMA } from "./engineTables.ts"
import { resolveSettings, type DatabaseSettings, type Endpoint } from "../database/settings.ts"

/** The names of statements may be written without a schema: they mean the engine's. */
const configOf = (
  settings: DatabaseSettings,
  endpoint: Endpoint,
  ssl: PgClient.PgClientConfig["ssl"],
): PgClient.PgPoolConfig => ({
  ...("path" in endpoint ? { path: endpoint.path } : endpoint),
  ssl,
  username: settings.user,
  password: Redacted.make(settings.password),
  database: settings.database,
  applicationName: `${settings.applicationName} engine`,
  startupParameters: { search_path: SCHEMA },
  startupOptions: settings.serverOptions,
  prepare: settings.prepare,
  maxConnections: settings.max,
  connectTimeout: "5 seconds",
})

/** Every way the settings allow to reach the server, the preferred one first. */
const waysOf = (settings: DatabaseSettings): ReadonlyArray<PgClient.PgPoolConfig> => {
  const lenient = { rejectUnauthorized: false }
  const { ssl } = settings
  const modes = ssl === "prefer" ? [lenient, false] : [ssl === "require" ? lenient : ssl]
  return settings.endpoints.flatMap((endpoint) =>
    "path" in endpoint
      ? [configOf(settings, endpoint, false)]
      : modes.map((mode) => configOf(settings, endpoint, mode)),
  )
}

// Several workers may start at once, and `if not exists` alone does not keep two of them from meeting.
const create = `do $$
begin
  perform pg_advisory_xact_lock(hashtextextended('saga-ipam ${SCHEMA}', 0));
  create schema if not exists ${SCHEMA};
end $$`

const prepareSchema = Effect.gen(function* () {
  const sql = yield* SqlClient
  // Asked first: who may not create a schema may still use the one that is there.
  const found = yield* sql`select 1 from pg_catalog.pg_namespace where nspname = ${SCHEMA}`
  if (found.length === 0) yield* sql.unsafe(create)
})

/** Why the engine cannot use the database. */
export const unavailable = (error: SqlError): DatabaseError => {
  // What the server said is the innermost cause.
  let innermost: Error = error
  while (innermost.cause instanceof Error) innermost = innermost.cause
  const state = "severity" in innermost && "code" in innermost ? String(innermost.code) : undefined
  const failure = toFailure(innermost, state)
  const { reason, code } = failure
  if (state === "42501" || state === "3F000") {
    const needs = `the role needs the schema ${SCHEMA} and its tables, which the role of the first worker owns`
    return new NotPermitted({ call: "connect", reason: `${reason}; ${needs}`, code })
  }
  return toDomainError(failure, { call: "connect" }) ?? new DatabaseMisconfigured({ call: "connect", reason, code })
}

/** `SqlClient` on the database of the options, with the engine's schema made where it is missing. */
export const sqlLayer = (options: ConnectOptions): Layer.Layer<SqlClient, DatabaseError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { database } = yield* locate(options)
      const resolved = resolveSettings(database)
      if (Result.isFailure(resolved)) return yield* new InvalidInput({ field: "database", message: resolved.failure })
      const ways = waysOf(resolved.success).map((config) =>
        Effect.as(
          Effect.scoped(Effect.provide(prepareSchema, PgClient.layer({ ...config, maxConnections: 1 }))),
          config,
        ),
      )
      const config = yield* Effect.mapError(
        Effect.firstSuccessOf(ways as [(typeof ways)[number], ...typeof ways]),
        unavailable,
      )
      return Layer.catchTag(
        PgClient.layer(config),
        "SqlError",
        (error) => Layer.effectDiscard(Effect.fail(unavailable(error))) as never,
      )
    }),
  )
