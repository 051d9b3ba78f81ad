/** Rows of `ipam.answer`, the type of every call on keys: its columns, and what they are read to. Pure. */
import * as Schema from "effect/Schema"
import { Time } from "../domain/time.ts"
import { Allocation, FreeAddress, KeyRecord, Released, ReleaseReason } from "./allocation.ts"
import { fieldsIn, reader, type Columns, type Row } from "./row.ts"

/** The columns of `ipam.answer`. */
export const answerColumns = {
  outcome: "text",
  vrf: "text",
  pool: "text",
  request_id: "uuid",
  slot: "text",
  address: "inet",
  prefix_length: "integer",
  gateway: "inet",
  generation: "bigint",
  state: "text",
  expires_at: "timestamp with time zone",
  owner_kind: "text",
  owner_id: "text",
  freed: "boolean",
  detail: "jsonb",
  allocated_at: "timestamp with time zone",
} satisfies Columns

const columnsOf = fieldsIn(answerColumns)

const fieldsOf = (row: Row) => ({
  ...columnsOf(row),
  owner: row["owner_kind"] === null ? null : { kind: row["owner_kind"], id: row["owner_id"] },
})

const ReleaseDetail = Schema.Struct({
  reason: ReleaseReason,
  releasedAt: Time,
  releasedBy: Schema.optional(Schema.String),
  note: Schema.optional(Schema.String),
})
/** When and why a key was released, and by whom where that was a reconciler. */
export const releaseDetailOf = reader("a release", ReleaseDetail)

const tombstoneFields = (row: Row) => {
  const { reason, releasedAt, releasedBy = null, note = null } = releaseDetailOf(row["detail"])
  return { ...fieldsOf(row), releasedAt, releaseReason: reason, releasedBy, releaseNote: note }
}

const readReleased = reader("a released allocation", Released)
const readKeyRecord = reader("a key", KeyRecord)

/**
 * A row of `ipam.answer` that holds a live allocation. Checked by hand, field by field, since every allocate passes here: the
 * schema does the same at ten times the cost. A test holds the two equal.
 */
export const toAllocation = (row: Row): Allocation => {
  const outcome = row["outcome"]
  const state = row["state"]
  const prefixLength = row["prefix_length"]
  const generation = row["generation"]
  const allocatedAt = row["allocated_at"]
  const expiresAt = row["expires_at"]
  const allocation = {
    outcome: outcomes.has(outcome) ? outcome : misfit("outcome", outcome),
    vrf: text(row, "vrf"),
    pool: text(row, "pool"),
    requestId: text(row, "request_id"),
    slot: text(row, "slot"),
    address: text(row, "address"),
    prefixLength:
      prefixLength === null || Number.isInteger(prefixLength) ? prefixLength : misfit("prefix_length", prefixLength),
    gateway: textOrNull(row, "gateway"),
    generation:
      typeof generation === "string" && /^\d{1,19}$/.test(generation)
        ? BigInt(generation)
        : misfit("generation", generation),
    state: state === "provisional" || state === "confirmed" ? state : misfit("state", state),
    allocatedAt: allocatedAt === null ? null : timeOf(allocatedAt),
    expiresAt: expiresAt === null ? null : timeOf(expiresAt),
    owner: row["owner_kind"] === null ? null : { kind: text(row, "owner_kind"), id: text(row, "owner_id") },
  }
  return allocation as Allocation
}

const outcomes = new Set<unknown>(Allocation.fields.outcome.literals)

const misfit = (column: string, value: unknown): never => {
  throw new Error(`The database answered an allocation whose ${column} does not fit: ${String(value)}`)
}
const text = (row: Row, column: string): string => {
  const value = row[column]
  return typeof value === "string" ? value : misfit(column, value)
}
const textOrNull = (row: Row, column: string): string | null => (row[column] === null ? null : text(row, column))

const readTime = reader("a time", Time)

/** `2026-01-31 12:00:00.123456+00` as `2026-01-31T12:00:00.123Z`; other spellings by the schema. */
const timeOf = (value: unknown): string => {
  const [, day, clock, fraction = ""] =
    (typeof value === "string" && /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/.exec(value)) || []
  return day === undefined ? readTime(value) : `${day}T${clock}.${fraction.padEnd(3, "0").slice(0, 3)}Z`
}

/** A row of `ipam.answer` of a release. */
export const toReleased = (row: Row): Released => readReleased(tombstoneFields(row))

/** A row of `ipam.answer` of a read: live, or a tombstone. */
export const toKeyRecord = (row: Row): KeyRecord =>
  readKeyRecord(row["state"] === "released" ? tombstoneFields(row) : fieldsOf(row))

const FreeDetail = Schema.Struct({
  until: FreeAddress.fields.until,
  lastOwner: FreeAddress.fields.lastOwner,
  draining: FreeAddress.fields.draining,
  reservations: FreeAddress.fields.reservations,
})
const readFree = reader("a free address", FreeAddress)
const freeDetailOf = reader("a free address", FreeDetail)

/** A row of `ipam.describe_address` of an address that nobody holds. */
export const toFreeAddress = (row: Row): FreeAddress => readFree({ ...fieldsOf(row), ...freeDetailOf(row["detail"]) })
