/**
 * The version of a database's schema, and whether it fits this library.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { SchemaTooNew, SchemaTooOld } from "../errors/errors.ts"
import type { Row } from "../contract/row.ts"
import type { DatabaseError, Failure } from "../contract/sqlState.ts"

/** The schema version that this library needs: `ipam.schema_version.version` after its migrations. */
export const SCHEMA_VERSION = 10

/** The row of `ipam.schema_version`. `compatibleFrom` is the oldest library, by the version it needs, that may use this schema. */
export interface SchemaVersion {
  readonly version: number
  readonly compatibleFrom: number
}

/** The version found, or why the library must not use the schema. `found` is `undefined` if there is no schema. */
export const checkVersion = (
  found: SchemaVersion | undefined,
  library: number = SCHEMA_VERSION,
): Result.Result<SchemaVersion, SchemaTooOld | SchemaTooNew> => {
  if (found === undefined) return Result.fail(new SchemaTooOld({ version: null, compatibleFrom: null, library }))
  if (found.version < library) return Result.fail(new SchemaTooOld({ ...found, library }))
  if (found.compatibleFrom > library) return Result.fail(new SchemaTooNew({ ...found, library }))
  return Result.succeed(found)
}

/** Reads the row that `versionIn` decodes. */
export const readVersion = {
  text: "select version, compatible_from from ipam.schema_version",
  repeatable: true,
} as const

/** The version in the answer to `readVersion`; `undefined` if there is no schema. */
export const versionIn = (
  answer: Effect.Effect<ReadonlyArray<Row>, Failure>,
  fail: (failure: Failure) => Effect.Effect<never, DatabaseError>,
) =>
  answer.pipe(
    Effect.map(([row]) => (row === undefined ? undefined : toVersion(row))),
    Effect.catch((failure) => (failure.kind === "schema_mismatch" ? Effect.succeed(undefined) : fail(failure))),
  )

const toVersion = (row: Row): SchemaVersion => ({
  version: Number(row["version"]),
  compatibleFrom: Number(row["compatible_from"]),
})
