/**
 * Writes `sql/schema.sql` from a database that it makes, migrates and drops: on the server of `DATABASE_URL`, else on the
 * embedded one.
 */
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { Database } from "../src/database/Database.ts"
import { locate } from "../src/database/locate.ts"
import { migrate, sqlFolder } from "../src/database/migrate.ts"
import { readCatalog } from "./catalog.ts"

const name = `ipam_schema_${randomBytes(5).toString("hex")}`
const context = { call: "schema" }

const program = Effect.gen(function* () {
  const { database } = yield* locate({})
  const admin = (text: string) =>
    Effect.flatMap(Database, (service) => service.script(text, 60_000)).pipe(Effect.provide(Database.layer(database)))
  const dump = Effect.gen(function* () {
    yield* migrate()
    const service = yield* Database
    const read = (query: string) =>
      Effect.runPromise(
        Effect.map(service.queryAnySchema({ text: query, repeatable: true }, [], context), (rows) =>
          rows.map((row) => String(row["line"])),
        ),
      )
    return yield* Effect.promise(() => readCatalog(read))
  }).pipe(Effect.provide(Database.layer({ ...database, database: name })))
  const made = Effect.acquireUseRelease(
    admin(`create database ${name}`),
    () => dump,
    () => Effect.ignore(admin(`drop database if exists ${name} with (force)`)),
  )
  const text = yield* made
  yield* Effect.promise(() => writeFile(`${sqlFolder}schema.sql`, text))
})

await Effect.runPromise(program)
