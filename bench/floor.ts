/**
 * `ipam.allocate` under pgbench against its floor, the least that any allocator on these tables must do: one INSERT into a table with
 * the same indexes and checks as `ipam.allocation`, and one UPDATE of a counter, in one statement.
 */
import type postgres from "postgres"
import { assert, type Bench } from "./database.ts"
import { inTurn, median, ratioOf } from "./measure.ts"
import { pgbench, runPgbench, withoutPgbench } from "./pgbench.ts"
import { grouped, leftOut, table, type Goal, type Section } from "./report.ts"

const tables = `
  create table public.floor_allocation (like ipam.allocation including all excluding constraints);
  do $$
  begin
    execute (
      select
        'create domain public.floor_valid as public.floor_allocation '
          || string_agg(format('constraint %I %s', c.conname, pg_get_constraintdef(c.oid)), ' ')
      from pg_constraint c
      where c.contypid = 'ipam.valid_allocation'::regtype
    );
  end
  $$;
  alter table public.floor_allocation add check (floor_allocation::public.floor_valid is distinct from null);
  create table public.floor_counter (like ipam.pool_counter including all) with (fillfactor = 50);
  create sequence public.floor_next cache 100;
  insert into public.floor_counter (vrf, pool_id, shard) select 'default', 1, n from generate_series(0, 63) n;
`
const floorScript = `\\set s random(0, 63)
with i as (
  insert into public.floor_allocation (vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint, allocated_at, confirmed_at)
  values ('default', gen_random_uuid(), 'default', 1, 1, '10.0.0.0'::inet + nextval('public.floor_next'), 1,
    '\\x0102030405060708090a0b0c0d0e0f1011', now(), now())
  returning unit
), c as (
  update public.floor_counter set held = held + 1 where vrf = 'default' and pool_id = 1 and shard = :s
)
select unit from i;
`

/** A script for pgbench, and a query of how many addresses it has allocated so far. */
export interface Contender {
  readonly script: string
  readonly held: () => Promise<number>
}

const heldBy = async (sql: postgres.Sql, counter: string): Promise<number> =>
  Number((await sql.unsafe(`select sum(held) as held from ${counter}`))[0]?.["held"])

/** Creates the tables of the floor. */
export const makeFloor = async (sql: postgres.Sql): Promise<Contender> => {
  await sql.unsafe(tables).simple()
  return { script: floorScript, held: () => heldBy(sql, "public.floor_counter") }
}

/** Creates a pool so large that no run exhausts it. `held` counts in all pools. */
export const makeAllocate = async ({ ipam, sql }: Bench): Promise<Contender> => {
  await ipam.createPool({ name: "wide", ranges: ["10.128.0.0/9"] })
  return {
    script: "select * from ipam.allocate('default', 'wide', gen_random_uuid());\n",
    held: () => heldBy(sql, "ipam.pool_counter"),
  }
}

/** Transactions per second of one run. Rejects unless every transaction has allocated one address. */
export const rateOf = async (
  contender: Contender,
  run: Omit<Parameters<typeof runPgbench>[0], "script">,
): Promise<number> => {
  const before = await contender.held()
  const { rate, transactions } = await runPgbench({ ...run, script: contender.script })
  const made = (await contender.held()) - before
  assert(made === transactions, `${transactions} transactions allocated ${made} addresses`)
  return rate
}

export const floor = async (bench: Bench): Promise<Section> => {
  if (pgbench === undefined) return leftOut(withoutPgbench)
  const { sql, url, short } = bench
  const [floorOf, allocate] = [await makeFloor(sql), await makeAllocate(bench)]
  const rows: Array<Array<string | number>> = []
  const goals: Array<Goal> = []
  for (const [clients, atLeast] of [
    [1, 0.6],
    [16, 0.7],
  ] as const) {
    const run = { url, clients, seconds: short ? 1 : 3 }
    const rates = await inTurn(short ? 1 : 7, {
      floor: () => rateOf(floorOf, run),
      allocate: () => rateOf(allocate, run),
    })
    const ratio = ratioOf(rates.allocate, rates.floor)
    rows.push([clients, grouped(median(rates.floor)), grouped(median(rates.allocate)), ratio.toFixed(2)])
    goals.push({
      name: `allocate to its floor, ${clients === 1 ? "1 client" : `${clients} clients`}`,
      figure: ratio,
      atLeast,
    })
  }
  return { blocks: [table(["clients", "floor /s", "allocate /s", "ratio"], rows)], goals }
}
