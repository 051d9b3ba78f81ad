/**
 * Whether the schema in a database and this library fit each other. Pure.
 */
import * as Result from "effect/Result"
import { SchemaTooNew, SchemaTooOld } from "../domain/errors.ts"

/** The schema that this library is written for; `ipam.schema_version.version` after its migrations. */
export const SCHEMA_VERSION = 2

/** The row of `ipam.schema_version`: what the schema is, and the oldest library that may write to it. */
export interface SchemaVersion {
  readonly version: number
  readonly compatibleFrom: number
}

/** The version found, or why the library must not write; `undefined` means that there is no schema. */
export const checkVersion = (
  found: SchemaVersion | undefined,
  library: number = SCHEMA_VERSION,
): Result.Result<SchemaVersion, SchemaTooOld | SchemaTooNew> => {
  if (found === undefined) return Result.fail(new SchemaTooOld({ version: null, compatibleFrom: null, library }))
  if (found.version < library) return Result.fail(new SchemaTooOld({ ...found, library }))
  if (found.compatibleFrom > library) return Result.fail(new SchemaTooNew({ ...found, library }))
  return Result.succeed(found)
}
