/**
 * From rows of the database to what the domain calls them. Pure. A row that does not fit is a bug of ours: these functions
 * throw, which makes it a defect in Effect code.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { Allocation, FreeAddress, KeyRecord, Released, ReleaseReason } from "../contract/allocation.ts"
import { Finding, Repair } from "../errors/errors.ts"
import { Pool, Reservation } from "../contract/pool.ts"
import { Time } from "../domain/time.ts"
import type { Row } from "../database/Database.ts"

const explain = SchemaIssue.makeFormatterDefault()

/** A reader by schema that throws, naming the column, on a value that does not fit. */
export const reader = <S extends Schema.ConstraintDecoder<unknown>>(what: string, schema: S) => {
  const decode = SchemaParser.decodeUnknownResult(schema)
  return (value: unknown): S["Type"] => {
    const read = decode(value)
    if (Result.isSuccess(read)) return read.success
    throw new Error(`The database answered ${what} that does not fit: ${explain(read.failure)}`)
  }
}

/** The outcome of a row, one of those given. */
export const outcomeOf = <const Outcome extends string>(row: Row, outcomes: ReadonlyArray<Outcome>): Outcome => {
  const outcome = outcomes.find((one) => one === row["outcome"])
  if (outcome === undefined)
    throw new Error(`The database answered an outcome that does not fit: ${String(row["outcome"])}`)
  return outcome
}

/** Text of a column that may be null. */
export const textOf = (row: Row, column: string): string | undefined => {
  const value = row[column]
  return typeof value === "string" ? value : undefined
}

/** The row of a call that answers exactly one. */
export const onlyRow = (rows: ReadonlyArray<Row>): Row => {
  const [row] = rows
  if (row === undefined || rows.length > 1) throw new Error(`The database answered ${rows.length} rows instead of one`)
  return row
}

/** Each row with what it answers: a call of several slots answers one row for each, in their order. */
export const oneEach = <Asked>(
  rows: ReadonlyArray<Row>,
  asked: ReadonlyArray<Asked>,
): ReadonlyArray<readonly [Row, Asked]> => {
  if (rows.length !== asked.length)
    throw new Error(`The database answered ${rows.length} rows to ${asked.length} slots`)
  return asked.flatMap((one, index) => {
    const row = rows[index]
    return row === undefined ? [] : [[row, one] as const]
  })
}

const fieldsOf = (row: Row) => ({
  outcome: row["outcome"],
  vrf: row["vrf"],
  pool: row["pool"],
  requestId: row["request_id"],
  slot: row["slot"],
  address: row["address"],
  prefixLength: row["prefix_length"],
  gateway: row["gateway"],
  generation: row["generation"],
  state: row["state"],
  allocatedAt: row["allocated_at"],
  expiresAt: row["expires_at"],
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
export const toReleased = (row: Row): Released => readReleased({ ...tombstoneFields(row), freed: row["freed"] })

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
export const toFreeAddress = (row: Row): FreeAddress =>
  readFree({
    outcome: row["outcome"],
    address: row["address"],
    vrf: row["vrf"],
    pool: row["pool"],
    prefixLength: row["prefix_length"],
    gateway: row["gateway"],
    ...freeDetailOf(row["detail"]),
  })

const readPool = reader("a pool", Pool)

/** A row of `ipam.pool_answer`. */
export const toPool = (row: Row): Pool =>
  readPool({
    outcome: row["outcome"],
    vrf: row["vrf"],
    name: row["name"],
    id: row["pool_id"],
    family: row["family"],
    size: row["size"],
    held: row["held"],
    reserved: row["reserved"],
    cooling: row["cooling"],
    free: row["free"],
    draining: row["draining"],
    cooldownSeconds: row["cooldown_seconds"],
    gateway: row["gateway"],
    includeNetworkAddresses: row["include_network_addresses"],
    state: row["state"],
    description: row["description"],
    revision: row["revision"],
    ranges: row["ranges"],
    createdAt: row["created_at"],
  })

const readReservation = reader("a reservation", Reservation)

/** A row of `ipam.list_reservations`. */
export const toReservation = (row: Row): Reservation =>
  readReservation({ first: row["first"], last: row["last"], kind: row["kind"], reason: row["reason"] })

const readFinding = reader("a finding", Finding)

/** A row of `ipam.doctor`. */
export const toFinding = (row: Row): typeof Finding.Type =>
  readFinding({
    check: row["check_name"],
    vrf: row["vrf"],
    pool: row["pool"],
    detail: row["detail"],
    repair: row["repair"],
  })

const readRepair = reader("a repair", Repair)

/** A row of `ipam.repair`, of that pool. */
export const toRepair = (row: Row, vrf: string, pool: string): typeof Repair.Type =>
  readRepair({ check: row["check_name"], vrf, pool, detail: row["detail"], done: row["done"] })
