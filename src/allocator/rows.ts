/**
 * From rows of the database to what the domain calls them. Pure. A row that does not fit is a bug of ours: these functions
 * throw, which makes it a defect in Effect code.
 */
import * as Result from "effect/Result";
import * as Schema from "effect/Schema";
import * as SchemaIssue from "effect/SchemaIssue";
import * as SchemaParser from "effect/SchemaParser";
import { Allocation, KeyRecord, Released, ReleaseReason } from "../domain/allocation.ts";
import { Finding } from "../domain/errors.ts";
import { Pool } from "../domain/pool.ts";
import { Time } from "../domain/time.ts";
import type { Row } from "../database/Database.ts";

const explain = SchemaIssue.makeFormatterDefault();

/** A reader by schema that throws, naming the column, on a value that does not fit. */
export const reader = <S extends Schema.ConstraintDecoder<unknown>>(what: string, schema: S) => {
  const decode = SchemaParser.decodeUnknownResult(schema);
  return (value: unknown): S["Type"] => {
    const read = decode(value);
    if (Result.isSuccess(read)) return read.success;
    throw new Error(`The database answered ${what} that does not fit: ${explain(read.failure)}`);
  };
};

/** The outcome of a row, one of those given. */
export const outcomeOf = <const Outcome extends string>(row: Row, outcomes: ReadonlyArray<Outcome>): Outcome => {
  const outcome = outcomes.find((one) => one === row["outcome"]);
  if (outcome === undefined) throw new Error(`The database answered an outcome that does not fit: ${String(row["outcome"])}`);
  return outcome;
};

/** Text of a column that may be null. */
export const textOf = (row: Row, column: string): string | undefined => {
  const value = row[column];
  return typeof value === "string" ? value : undefined;
};

/** The row of a call that answers exactly one. */
export const onlyRow = (rows: ReadonlyArray<Row>): Row => {
  const [row] = rows;
  if (row === undefined || rows.length > 1) throw new Error(`The database answered ${rows.length} rows instead of one`);
  return row;
};

/** Each row with what it answers: a call of several slots answers one row for each, in their order. */
export const oneEach = <Asked>(rows: ReadonlyArray<Row>, asked: ReadonlyArray<Asked>): ReadonlyArray<readonly [Row, Asked]> => {
  if (rows.length !== asked.length) throw new Error(`The database answered ${rows.length} rows to ${asked.length} slots`);
  return asked.flatMap((one, index) => {
    const row = rows[index];
    return row === undefined ? [] : [[row, one] as const];
  });
};

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
  expiresAt: row["expires_at"],
  owner: row["owner_kind"] === null ? null : { kind: row["owner_kind"], id: row["owner_id"] },
});

const ReleaseDetail = Schema.Struct({ reason: ReleaseReason, releasedAt: Time });
/** When and why a key was released. */
export const releaseDetailOf = reader("a release", ReleaseDetail);

const tombstoneFields = (row: Row) => {
  const { reason, releasedAt } = releaseDetailOf(row["detail"]);
  return { ...fieldsOf(row), releasedAt, releaseReason: reason };
};

const readAllocation = reader("an allocation", Allocation);
const readReleased = reader("a released allocation", Released);
const readKeyRecord = reader("a key", KeyRecord);

/** A row of `ipam.answer` that holds a live allocation. */
export const toAllocation = (row: Row): Allocation => readAllocation(fieldsOf(row));

/** A row of `ipam.answer` of a release. */
export const toReleased = (row: Row): Released => readReleased({ ...tombstoneFields(row), freed: row["freed"] });

/** A row of `ipam.answer` of a read: live, or a tombstone. */
export const toKeyRecord = (row: Row): KeyRecord =>
  readKeyRecord(row["state"] === "released" ? tombstoneFields(row) : fieldsOf(row));

const readPool = reader("a pool", Pool);

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
    cooldownSeconds: row["cooldown_seconds"],
    gateway: row["gateway"],
    includeNetworkAddresses: row["include_network_addresses"],
    ranges: row["ranges"],
    createdAt: row["created_at"],
  });

const readFinding = reader("a finding", Finding);

/** A row of `ipam.doctor` or `ipam.repair`. */
export const toFinding = (row: Row): typeof Finding.Type =>
  readFinding({
    check: row["check_name"],
    vrf: row["vrf"],
    pool: row["pool"],
    detail: row["detail"],
    repair: row["repair"],
  });
