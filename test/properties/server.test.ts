/** Our reading of addresses and ranges against the server's, over both families: one text, one number, one size. */
import * as Result from "effect/Result"
import fc from "fast-check"
import { beforeAll, expect, test } from "vitest"
import { parseAddress, toBigInt, type IpAddress } from "../../src/domain/address.ts"
import { parseRange, printRange, sizeOf } from "../../src/domain/range.ts"
import { printV4, printV6, spelling, v4Number, v6Number } from "../domain/addresses.ts"
import type { Session } from "../harness/database.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase()
let session: Session
beforeAll(() => {
  session = database().session()
  // pg_input_is_valid is not there before PostgreSQL 16.
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

test("an address in any spelling has the server's text, number and order", async () => {
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

/** Texts that are nearly addresses: a valid one with a character changed, dropped or doubled. */
const nearly = fc
  .tuple(anyText, fc.nat(), fc.constantFrom("", "0", "1", "9", "a", "g", ".", ":", "/", "-", " ", "%"), fc.boolean())
  .map(([text, place, character, instead]) => {
    const at = place % (text.length + 1)
    return text.slice(0, at) + character + text.slice(at + (instead ? 1 : 0))
  })

test("what we accept of texts that are nearly addresses the server reads alike; what it alone accepts has a mask or a meaning that we refuse", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(nearly, { minLength: 200, maxLength: 200 }), async (texts) => {
      const rows = await session.rows(`select pg_temp.read(text) as read from (${all}) t order by ordinality`, [
        inArray(texts),
      ])
      for (const [place, text] of texts.entries()) {
        const read = rows[place]?.["read"] ?? null
        const ours = Result.getOrUndefined(parseAddress(text))
        if (ours !== undefined) expect(`${text}: ${read as string}`).toBe(`${text}: ${ours}`)
        // A mask, a leading zero in a quad (octal to some), a dot at the end, a dotted tail or a block that stands for IPv4.
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

test("a range has the server's ends and size", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRange, { minLength: 100, maxLength: 100 }), async (texts) => {
      const rows = await session.rows(
        `select host(r.first) || '-' || host(r.last) as ends, ipam.unit_count(r.first, r.last)::text as size
         from (${all}) t cross join lateral ipam.parse_range(t.text) r order by ordinality`,
        [inArray(texts)],
      )
      const ours = texts.map((text) => Result.getOrThrow(parseRange(text)))
      expect(ours.map((range) => `${range.first}-${range.last}`)).toEqual(rows.map((row) => row["ends"]))
      expect(ours.map((range) => String(sizeOf(range)))).toEqual(rows.map((row) => row["size"]))
      expect(ours.map((range) => printRange(Result.getOrThrow(parseRange(printRange(range)))))).toEqual(
        ours.map(printRange),
      )
    }),
    many,
  )
})
