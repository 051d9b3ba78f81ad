/** The algorithms that are one function in the database: a file of SQL each, with a schema of its name. */
import { readFileSync } from "node:fs"
import { arrayLiteral } from "../../src/contract/row.ts"
import { countRows, type Algorithm, type Given } from "./algorithm.ts"

const inDatabase = (
  schema: string,
  about: Pick<Algorithm, "name" | "hasKey">,
  more: Partial<Algorithm> = {},
): Algorithm => ({
  ...about,
  setup: readFileSync(new URL(`${schema}.sql`, import.meta.url), "utf8"),
  needsTransaction: false,
  fill: (sql) =>
    sql
      .unsafe(
        `truncate ${schema}.address; insert into ${schema}.address (ip, key) select ip, key from public.peer_held`,
      )
      .simple(),
  countHeld: (sql) => countRows(sql, `${schema}.address where key is not null`),
  attempt: async (sql, key) => {
    const text = `select ${schema}.allocate($1) as ip`
    const [row] = await sql.unsafe<Array<{ ip: string | null }>>(text, [key], { prepare: true })
    return row?.ip ?? undefined
  },
  release: (sql, given) => sql.unsafe(`delete from ${schema}.address where ip = any($1::text::inet[])`, [ips(given)]),
  ...more,
})

const ips = (given: ReadonlyArray<Given>): string => arrayLiteral(given.map(({ ip }) => ip))

const rowPerAddress: Partial<Algorithm> = {
  fill: (sql) =>
    sql
      .unsafe(
        `truncate row_per_address.address;
        insert into row_per_address.address (ip, key)
        select first + n, h.key
        from public.peer_pool cross join generate_series(0, size - 1) n left join public.peer_held h on h.ip = first + n`,
      )
      .simple(),
  release: (sql, given) =>
    sql.unsafe("update row_per_address.address set key = null where ip = any($1::text::inet[])", [ips(given)]),
}

const poolRowLock: Partial<Algorithm> = {
  fill: (sql) =>
    sql
      .unsafe(
        `truncate pool_row_lock.address, pool_row_lock.pool;
        insert into pool_row_lock.address (ip, key) select ip, key from public.peer_held;
        insert into pool_row_lock.pool (floor, last, free)
        select first, first + (size - 1), size - (select count(*) from public.peer_held) from public.peer_pool`,
      )
      .simple(),
  release: (sql, given) =>
    sql.unsafe(
      `with gone as (delete from pool_row_lock.address where ip = any($1::text::inet[]) returning ip)
      update pool_row_lock.pool
      set floor = least(floor, (select min(ip) from gone)), free = free + (select count(*) from gone)`,
      [ips(given)],
    ),
}

export const databaseAlgorithms = [
  inDatabase("left_join", { name: "LEFT JOIN on all addresses", hasKey: true }),
  inDatabase("self_join", { name: "self-join on ip + 1", hasKey: true }),
  inDatabase("random_start", { name: "random start, next gap", hasKey: false }),
  inDatabase("pool_row_lock", { name: "lock on the pool, search floor", hasKey: false }, poolRowLock),
  inDatabase("row_per_address", { name: "row per address, SKIP LOCKED", hasKey: true }, rowPerAddress),
]
