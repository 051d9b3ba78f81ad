/** Rows of keys are read by hand, and must come out as the schemas of what they are read to say. */
import * as SchemaParser from "effect/SchemaParser"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { toAllocation, toKeyRecord, toReleased } from "../../src/contract/allocationRows.ts"
import { Allocation, Released, Tombstone } from "../../src/contract/allocation.ts"

const asAllocation = SchemaParser.decodeUnknownSync(Allocation)
const asReleased = SchemaParser.decodeUnknownSync(Released)
const asTombstone = SchemaParser.decodeUnknownSync(Tombstone)

const timeWith = (separator: string, offset: string) =>
  fc
    .tuple(
      fc.date({ min: new Date("1990-01-01"), max: new Date("2200-01-01"), noInvalidDate: true }),
      fc.constantFrom("", ".1", ".12", ".123", ".123456", ".000001", ".999999"),
    )
    .map(([date, fraction]) => `${date.toISOString().slice(0, 19).replace("T", separator)}${fraction}${offset}`)
const time = timeWith(" ", "+00")
const timeInJson = timeWith("T", "+00:00")
const address = fc.constantFrom(
  "10.0.0.5",
  "255.255.255.255",
  "2001:db8::5",
  "::1:0:0:0:5",
  "10.0.0.0/28",
  "2001:db8::/64",
)
const row = fc.record({
  outcome: fc.constantFrom("allocated", "replayed", "confirmed", "extended", "held"),
  vrf: fc.string(),
  pool: fc.string(),
  request_id: fc.uuid(),
  slot: fc.string(),
  address,
  prefix_length: fc.option(fc.nat(128)),
  gateway: fc.option(fc.constantFrom("10.0.0.1", "2001:db8::1")),
  generation: fc.bigInt({ min: 1n, max: 9_223_372_036_854_775_807n }).map(String),
  state: fc.constantFrom("provisional", "confirmed"),
  allocated_at: time,
  expires_at: fc.option(time),
  owner_kind: fc.constantFrom(null, "instance"),
  owner_id: fc.constantFrom("i-1", "i/2"),
  freed: fc.constant(null),
  detail: fc.constant(null),
})

/** The fields of a row as the schemas name them. */
const fieldsOf = (one: typeof row extends fc.Arbitrary<infer Row> ? Row : never) => ({
  ...one,
  requestId: one.request_id,
  prefixLength: one.prefix_length,
  allocatedAt: one.allocated_at,
  expiresAt: one.expires_at,
  owner: one.owner_kind === null ? null : { kind: one.owner_kind, id: one.owner_id },
})

/** Equal, with their fields in the same order, in which JSON shows them. */
const expectAlike = (read: object, bySchema: object) => {
  expect(read).toStrictEqual(bySchema)
  expect(Object.keys(read)).toEqual(Object.keys(bySchema))
}

test("every allocation is read as the schema reads it", () => {
  fc.assert(
    fc.property(row, (one) => {
      expectAlike(toAllocation(one), asAllocation(fieldsOf(one)))
      expectAlike(toKeyRecord({ ...one, outcome: "held" }), asAllocation({ ...fieldsOf(one), outcome: "held" }))
    }),
  )
})

const neverKnown = fc.constant({ pool: null, address: null, prefix_length: null, generation: null, allocated_at: null })
const detail = fc.record(
  {
    reason: fc.constantFrom("released", "expired", "orphaned"),
    releasedAt: timeInJson,
    releasedBy: fc.string(),
    note: fc.string(),
  },
  { requiredKeys: ["reason", "releasedAt"] },
)

test("every tombstone is read as the schema reads it, and so is every release", () => {
  fc.assert(
    fc.property(row, fc.option(neverKnown), detail, fc.boolean(), (one, unknown, released, freed) => {
      const tombstone = { ...one, ...unknown, state: "released", outcome: "released", detail: released, freed }
      const { reason, releasedAt, releasedBy = null, note = null } = released
      const fields = {
        ...fieldsOf(one),
        ...(unknown === null ? {} : { ...unknown, prefixLength: null, allocatedAt: null }),
        state: "released",
        outcome: "released",
        freed,
        releasedAt,
        releaseReason: reason,
        releasedBy,
        releaseNote: note,
      }
      expectAlike(toKeyRecord(tombstone), asTombstone(fields))
      for (const outcome of ["released", "already_released"]) {
        expectAlike(toReleased({ ...tombstone, outcome }), asReleased({ ...fields, outcome }))
      }
    }),
  )
})

describe("a row that does not fit is a bug of ours, never an answer", () => {
  const good = {
    outcome: "allocated",
    vrf: "default",
    pool: "web",
    request_id: "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b",
    slot: "default",
    address: "10.0.0.5",
    prefix_length: 24,
    gateway: null,
    generation: "1",
    state: "confirmed",
    allocated_at: "2026-01-31 12:00:00+00",
    expires_at: null,
    owner_kind: null,
    owner_id: null,
    freed: null,
    detail: null,
  }
  test.each([
    ["outcome", "exhausted"],
    ["outcome", null],
    ["vrf", null],
    ["pool", null],
    ["request_id", null],
    ["slot", 5],
    ["address", null],
    ["prefix_length", "24"],
    ["prefix_length", 1.5],
    ["gateway", 5],
    ["generation", null],
    ["generation", 1],
    ["generation", "x"],
    ["state", "released"],
    ["state", null],
    ["expires_at", "tomorrow"],
    ["expires_at", 5],
    ["owner_kind", "instance"],
  ])("%s: %s", (column, value) => {
    expect(toAllocation(good)).toMatchObject({ address: "10.0.0.5" })
    expect(() => toAllocation({ ...good, [column]: value })).toThrow(/does not fit/)
  })

  const detailGood = { reason: "released", releasedAt: "2026-01-31T12:00:00+00:00" }
  const released = { ...good, outcome: "released", state: "released", freed: true, detail: detailGood }
  test.each([
    ["outcome", "held"],
    ["state", "confirmed"],
    ["freed", null],
    ["pool", 5],
    ["generation", 1],
    ["detail", null],
    ["detail", "released"],
    ["detail", {}],
    ["detail", { ...detailGood, reason: "lost" }],
    ["detail", { ...detailGood, releasedAt: null }],
    ["detail", { ...detailGood, releasedBy: null }],
    ["detail", { ...detailGood, note: 5 }],
  ])("of a release, %s: %j", (column, value) => {
    expect(toReleased(released)).toMatchObject({ freed: true })
    expect(() => toReleased({ ...released, [column]: value })).toThrow(/does not fit/)
  })
})
