/** The library and PostgreSQL agree on addresses and ranges of both families: on their text, number and size. */
import * as Result from "effect/Result"
import fc from "fast-check"
import { beforeAll, expect, test } from "vitest"
import { parseAddress, toBigInt, type IpAddress } from "../../src/domain/address.ts"
import { parseRange, printRange } from "../../src/domain/range.ts"
import { printV4, printV6, spelling, v4Number, v6Number } from "../domain/addresses.ts"
import type { Session } from "../harness/database.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase()
let session: Session
beforeAll(() => {
  session = database().session()
  // PostgreSQL before 16 has no pg_input_is_valid.
  return session.run(`create function pg_temp.read(text) returns text language plpgsql as $$
    begin return host($1::inet); exception when invalid_text_representation then return null; end $$`)
})

const many = { numRuns: 20, endOnFailure: true }
const inArray = (texts: ReadonlyArray<string>) => JSON.stringify(texts)
const all = `select t.ordinality, t.value #>> '{}' as text from jsonb_array_elements($1::text::jsonb) with ordinality t`
const anyText = fc.oneof(
  v4Number.map(printV4),
  v6Number.chain((value) => spelling(value)),
)
const address = (text: string): IpAddress => Result.getOrThrow(parseAddress(text))

test("an address in any spelling has the same text and number as in the server", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyText, { minLength: 200, maxLength: 200 }), async (texts) => {
      const rows = await session.rows(
        `select host(text::inet) as host, ipam.unit_number(text::inet)::text as number from (${all}) t order by ordinality`,
        [inArray(texts)],
      )
      const ours = texts.map(address)
      expect(ours).toEqual(rows.map((row) => row["host"]))
      expect(ours.map((one) => String(toBigInt(one)))).toEqual(rows.map((row) => row["number"]))
    }),
    many,
  )
})

/** Texts that are almost addresses: valid ones with a character replaced or inserted. */
const almost = fc
  .tuple(anyText, fc.nat(), fc.constantFrom("", "0", "1", "9", "a", "g", ".", ":", "/", "-", " ", "%"), fc.boolean())
  .map(([text, position, character, replace]) => {
    const at = position % (text.length + 1)
    return text.slice(0, at) + character + text.slice(at + (replace ? 1 : 0))
  })

test("a text that is almost an address is read as the server reads it, or refused; those that only the server accepts are refused on purpose", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(almost, { minLength: 200, maxLength: 200 }), async (texts) => {
      const rows = await session.rows(`select pg_temp.read(text) as read from (${all}) t order by ordinality`, [
        inArray(texts),
      ])
      for (const [index, text] of texts.entries()) {
        const read = rows[index]?.["read"] ?? null
        const ours = Result.getOrUndefined(parseAddress(text))
        if (ours !== undefined) expect(`${text}: ${read as string}`).toBe(`${text}: ${ours}`)
        // A prefix length, a leading zero in a quad, a trailing dot, a dotted quad in IPv6, or a block that stands for IPv4.
        else if (read !== null) expect(text).toMatch(/\/|(^|\.)0\d|:.*\.|^[0:]*(:|ffff:)|^::|\.$/i)
      }
    }),
    many,
  )
})

const anyRange = fc
  .oneof(
    fc.tuple(v4Number, v4Number).map(([a, b]) => [printV4(a < b ? a : b), printV4(a < b ? b : a)] as const),
    fc
      .tuple(v6Number, v6Number)
      .map(([a, b]) => [a | (1n << 64n), b | (1n << 64n)] as const)
      .map(([a, b]) => [printV6(a < b ? a : b), printV6(a < b ? b : a)] as const),
  )
  .map(([first, last]) => `${first}-${last}`)

test("a range has the same ends and size as in the server", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRange, { minLength: 100, maxLength: 100 }), async (texts) => {
      const rows = await session.rows(
        `select host(r.first) || '-' || host(r.last) as ends, ipam.unit_count(r.first, r.last)::text as size
         from (${all}) t cross join lateral ipam.parse_range(t.text) r order by ordinality`,
        [inArray(texts)],
      )
      const ours = texts.map((text) => Result.getOrThrow(parseRange(text)))
      expect(ours.map((range) => `${range.first}-${range.last}`)).toEqual(rows.map((row) => row["ends"]))
      expect(ours.map((range) => String(toBigInt(range.last) - toBigInt(range.first) + 1n))).toEqual(
        rows.map((row) => row["size"]),
      )
      expect(ours.map((range) => printRange(Result.getOrThrow(parseRange(printRange(range)))))).toEqual(
        ours.map(printRange),
      )
    }),
    many,
  )
})
