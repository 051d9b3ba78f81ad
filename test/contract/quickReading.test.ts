/** A request that is read without its schema comes out as its schema reads it; whatever else it may be, the schema is asked. */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as SchemaParser from "effect/SchemaParser"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { allocationCalls } from "../../src/contract/allocationCalls.ts"
import { calls } from "../../src/contract/calls.ts"
import { quickReaderOfStruct } from "../../src/contract/input.ts"
import { MAX_NAME_LENGTH, MAX_SECONDS } from "../../src/domain/identity.ts"

const requestId = "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b"
const { allocate, confirm, extend, get, release, releaseAll } = allocationCalls

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 12 }),
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom(
    "",
    "\0",
    "a\ud800",
    "\udc00",
    "a/b",
    "007",
    "9223372036854775807",
    "9223372036854775808",
    "__proto__",
  ),
  fc
    .constantFrom("a", "\u{1f600}", "e\u0301")
    .chain((unit) =>
      fc.integer({ min: MAX_NAME_LENGTH - 1, max: MAX_NAME_LENGTH + 1 }).map((times) => unit.repeat(times)),
    ),
)
const nothing = fc.constantFrom(null, undefined, 0, 5n, true, [], {}, ["a"], Number.NaN, Symbol("a"), () => "a")
const uuid = fc.oneof(
  fc.uuid(),
  fc.uuid().map((id) => id.toUpperCase()),
  fc.constantFrom("00000000-0000-0000-0000-000000000000", `{${requestId}}`, ` ${requestId}`, `${requestId}\n`, ""),
)
const address = fc.oneof(
  fc.ipV4(),
  fc.array(fc.nat(300), { minLength: 4, maxLength: 4 }).map((numbers) => numbers.join(".")),
  fc.ipV4Extended(),
  fc.ipV6(),
  fc.constantFrom("010.0.0.1", "10.0.0.256", "10.0.0.1\n", "0.0.0.0", "255.255.255.255", "10.0.0.0/24", "1.2.3"),
)
const seconds = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(-0, 0, 1e-7, 0.000001, MAX_SECONDS, MAX_SECONDS + 1, "60", Number.POSITIVE_INFINITY),
)
const flag = fc.constantFrom(true, false, "yes", 1, Object(false))
const part = fc.oneof(fc.constant("i-1"), name)
const owner = hostile(fc.record({ kind: part, id: part, extra: part }, { requiredKeys: ["kind", "id"] }))
/** What a field may be given, by its name, and a value of each that is right: most of a request is, else none would be read. */
const values: { readonly [field: string]: readonly [right: unknown, tried: fc.Arbitrary<unknown>] } = {
  vrf: ["blue", name],
  pool: ["web", name],
  slot: ["eth0/v4", name],
  requestId: [requestId, uuid],
  address: ["10.0.0.5", address],
  owner: [{ kind: "instance", id: "i-1/eth0" }, owner],
  ttlSeconds: [0.5, seconds],
  allowReserved: [true, flag],
  allowCooling: [false, flag],
  allowDraining: [false, flag],
}

/** The record as it is, and in shapes that look like it. */
function hostile(record: fc.Arbitrary<object>): fc.Arbitrary<unknown> {
  const shapes: ReadonlyArray<(fields: object) => unknown> = [
    (fields) => Object.assign(Object.create(null) as object, fields),
    (fields) => Object.create(fields) as object,
    (fields) => Object.assign(Object.create({ slot: "inherited", kind: "inherited" }) as object, fields),
    (fields) => new Proxy(fields, {}),
    (fields) => Object.defineProperties({}, Object.getOwnPropertyDescriptors(fields)),
    (fields) => Object.defineProperty({ ...fields }, "hidden", { value: 1 }),
    (fields) => ({ ...fields, [Symbol("extra")]: 1 }),
    (fields) => ({ ...fields, ttl: 60 }),
    (fields) => Object.fromEntries(Object.entries(fields).toReversed()),
    (fields) => Object.defineProperty({ ...fields }, "slot", { get: () => "read", enumerable: true }),
    (fields) => Object.assign(new (class Request {})(), fields),
    (fields) => Object.entries(fields),
    (fields) => Object.keys(fields).join(" "),
  ]
  return fc.oneof(
    { arbitrary: record, weight: 12 },
    fc.tuple(record, fc.constantFrom(...shapes)).map(([fields, shaped]) => shaped(fields)),
    nothing,
  )
}

const inputOf = (schema: Schema.ConstraintDecoder<unknown>): fc.Arbitrary<unknown> => {
  const fields = Object.keys("fields" in schema ? (schema.fields as object) : {})
  const given = fields.map((field) => {
    const [right, tried] = values[field] ?? [undefined, fc.anything()]
    return [field, fc.oneof({ arbitrary: fc.constant(right), weight: 40 }, { arbitrary: tried, weight: 5 }, nothing)]
  })
  const record = fc.record(Object.fromEntries(given) as Record<string, fc.Arbitrary<unknown>>, { requiredKeys: [] })
  return hostile(record)
}

describe.each(Object.entries(calls))("%s", (_, { request }) => {
  const read = quickReaderOfStruct(request)
  const bySchema = SchemaParser.decodeUnknownResult(request, { onExcessProperty: "error" })
  test("is read as the schema reads it, or by the schema", () => {
    fc.assert(
      fc.property(inputOf(request), (input) => {
        const quickly = read(input)
        if (quickly === undefined) return
        const expected: unknown = Result.getOrThrow(bySchema(input))
        expect(quickly).toStrictEqual(expected)
        expect(Object.keys(quickly as object)).toEqual(Object.keys(expected as object))
      }),
      { numRuns: 1000 },
    )
  })
})

const full = Object.fromEntries(Object.entries(values).map(([field, [right]]) => [field, right]))
const key = { vrf: "blue", requestId, slot: "eth0/v4" }
test.each([
  ["allocate", allocate, { pool: "web", requestId }],
  ["allocate, with all of its fields", allocate, full],
  ["confirm", confirm, { requestId }],
  ["extend", extend, { requestId, ttlSeconds: 60 }],
  ["get", get, key],
  ["release", release, key],
  ["releaseAll", releaseAll, { requestId }],
])("a usual request of %s is read without the schema", (_, { request }, input) => {
  expect(quickReaderOfStruct(request)(input)).toMatchObject(input)
})

test("what is read keeps nothing of the caller's that could change meanwhile", () => {
  const read = quickReaderOfStruct(allocate.request)(full)
  expect(read).toStrictEqual(full)
  expect(read).not.toBe(full)
  expect((read as typeof full)["owner"]).not.toBe(full["owner"])
})
