/** The algorithms whose client chooses the address, in a transaction that locks the whole pool. */
import { arrayLiteral } from "../../src/contract/row.ts"
import { countRows, type Algorithm } from "./algorithm.ts"

/** The addresses of the pool, lowest first. */
type Addresses = ReadonlyArray<string>

/**
 * The pool is one row with a JSON document: the key that holds each address. The client reads the document under a lock, and
 * writes it whole. The key is looked up in the document.
 */
export const jsonDocument = (addresses: Addresses): Algorithm => ({
  name: "JSON document per pool",
  hasKey: true,
  setup: "create schema json_document; create table json_document.pool (held jsonb not null)",
  needsTransaction: true,
  fill: (sql) =>
    sql
      .unsafe(
        `truncate json_document.pool;
          insert into json_document.pool (held)
          select coalesce(jsonb_object_agg(host(ip), key), '{}') from public.peer_held`,
      )
      .simple(),
  countHeld: (sql) => countRows(sql, "json_document.pool, jsonb_object_keys(held)"),
  attempt: async (sql, key) => {
    const read = "select held::text as held from json_document.pool for update"
    const [row] = await sql.unsafe<Array<{ held: string }>>(read, [], { prepare: true })
    const held = JSON.parse(row?.held ?? "{}") as Record<string, string>
    const known = Object.entries(held).find(([, holder]) => holder === key)
    if (known !== undefined) return known[0]
    const ip = addresses.find((address) => held[address] === undefined)
    if (ip === undefined) return undefined
    held[ip] = key
    const write = "update json_document.pool set held = $1::text::jsonb"
    await sql.unsafe(write, [JSON.stringify(held)], { prepare: true })
    return ip
  },
  release: (sql, given) =>
    sql.unsafe("update json_document.pool set held = held - $1::text::text[]", [
      arrayLiteral(given.map(({ ip }) => ip)),
    ]),
})

/** The client reads all held addresses under one advisory lock for all pools, and inserts the lowest other one. There is no key. */
export const fetchAndDiff = (addresses: Addresses): Algorithm => ({
  name: "fetch all, diff in the client",
  hasKey: false,
  setup: `create schema fetch_and_diff;
      create table fetch_and_diff.address (ip inet primary key, key uuid not null)`,
  needsTransaction: true,
  fill: (sql) =>
    sql
      .unsafe(
        "truncate fetch_and_diff.address; insert into fetch_and_diff.address (ip, key) select ip, key from public.peer_held",
      )
      .simple(),
  countHeld: (sql) => countRows(sql, "fetch_and_diff.address"),
  attempt: async (sql, key) => {
    await sql.unsafe("select pg_advisory_xact_lock(1)", [], { prepare: true })
    const read = "select host(ip) as ip from fetch_and_diff.address"
    const held = new Set((await sql.unsafe<Array<{ ip: string }>>(read, [], { prepare: true })).map(({ ip }) => ip))
    const ip = addresses.find((address) => !held.has(address))
    if (ip === undefined) return undefined
    const write = "insert into fetch_and_diff.address (ip, key) values ($1::text::inet, $2)"
    await sql.unsafe(write, [ip, key], { prepare: true })
    return ip
  },
  release: (sql, given) =>
    sql.unsafe("delete from fetch_and_diff.address where ip = any($1::text::inet[])", [
      arrayLiteral(given.map(({ ip }) => ip)),
    ]),
})
