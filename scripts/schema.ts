/** Writes `sql/schema.sql` from a temporary, migrated database: on the server of `DATABASE_URL`, else on a temporary server. */
import * as Effect from "effect/Effect"
import { writeFile } from "node:fs/promises"
import { Database } from "../src/database/Database.ts"
import { sqlFolder } from "../src/database/migrate.ts"
import { openScratchDatabase } from "../src/database/scratchDatabase.ts"
import { readCatalog } from "./catalog.ts"

const scratch = await openScratchDatabase({
  purpose: "schema",
  url: process.env["DATABASE_URL"] || undefined,
  durable: false,
})
const dump = Effect.gen(function* () {
  const database = yield* Database
  const read = (query: string) =>
    Effect.runPromise(
      Effect.map(database.queryAnySchema({ text: query, repeatable: true }, [], { call: "schema" }), (rows) =>
        rows.map((row) => String(row["line"])),
      ),
    )
  return yield* Effect.promise(() => readCatalog(read))
})
try {
  const text = await Effect.runPromise(Effect.provide(dump, Database.layer({ url: scratch.url })))
  await writeFile(`${sqlFolder}schema.sql`, text)
} finally {
  await scratch.remove()
}
