/** Sources of owners for the reconciler, where the caller has no function: a query, or a file. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readFile } from "node:fs/promises"
import { arrayLiteral } from "../contract/row.ts"
import { Database } from "../database/Database.ts"
import { decodeInput } from "../contract/input.ts"
import { Name } from "../domain/identity.ts"
import type { OwnerAsked, OwnerSource } from "./owners.ts"

/** An owner that is there; without a vrf, whatever VRF its addresses are in. */
interface Present {
  readonly vrf: string | null
  readonly kind: string
  readonly id: string
}

const nameOf = (kind: string, id: string): string => JSON.stringify([kind, id])

const answer = (asked: ReadonlyArray<OwnerAsked>, present: ReadonlyArray<Present>) => {
  const vrfs = Map.groupBy(present, ({ kind, id }) => nameOf(kind, id))
  return asked.map((owner) => ({
    ...owner,
    exists: (vrfs.get(nameOf(owner.kind, owner.id)) ?? []).some(({ vrf }) => vrf === null || vrf === owner.vrf),
  }))
}

/**
 * A query on the database at hand that answers every owner that is there, with the columns `kind`, `id` and, where it matters,
 * `vrf`. Of its rows only those of the owners asked about are read.
 */
export const ownersByQuery =
  (text: string): OwnerSource<unknown, Database> =>
  (asked) =>
    Effect.gen(function* () {
      const { queryAnySchema } = yield* Database
      const statement = {
        text: `select o.kind::text, o.id::text, to_jsonb(o) ->> 'vrf' as vrf from (\n${text.replace(/;\s*$/, "")}\n) o
join (select distinct kind, id from unnest($1::text[], $2::text[]) a (kind, id)) a on a.kind = o.kind::text and a.id = o.id::text`,
        repeatable: true,
      }
      const parameters = [arrayLiteral(asked.map(({ kind }) => kind)), arrayLiteral(asked.map(({ id }) => id))]
      const rows = yield* queryAnySchema(statement, parameters, { call: "owners" })
      return answer(
        asked,
        rows.map(({ vrf, kind, id }) => ({
          vrf: typeof vrf === "string" ? vrf : null,
          kind: String(kind),
          id: String(id),
        })),
      )
    })

const Owners = Schema.Array(Schema.Struct({ vrf: Schema.optional(Name), kind: Name, id: Name }))
const readOwners = decodeInput(Owners)

/**
 * A file that lists every owner that is there, `[{ "kind": "instance", "id": "i-1" }, ...]`, each with a `vrf` where it matters.
 * Read anew for each question, so that the second look is one. A file that was cut short is no JSON, and fails.
 */
export const ownersByFile =
  (file: string): OwnerSource =>
  (asked) =>
    Effect.gen(function* () {
      const owners = yield* readOwners(JSON.parse(yield* Effect.promise(() => readFile(file, "utf8"))))
      return answer(
        asked,
        owners.map(({ vrf = null, kind, id }) => ({ vrf, kind, id })),
      )
    })
