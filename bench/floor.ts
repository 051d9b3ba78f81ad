/**
 * The function under pgbench against its floor: one INSERT into a table like the allocation's, with all of its indexes and
 * checks, and one counter UPDATE, in one statement. Pairs alternate, and the median of their ratios counts.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, writeFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { quantile, type Bench } from "./database.ts"

const debian = "/usr/lib/postgresql"
const findPgbench = (): string | undefined =>
  [
    ...(process.env["PATH"] ?? "").split(":"),
    ...(existsSync(debian) ? readdirSync(debian).map((version) => join(debian, version, "bin")) : []),
  ]
    .map((folder) => join(folder, "pgbench"))
    .find((path) => existsSync(path))

const tables = `
  create table public.floor_allocation (like ipam.allocation including all);
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
const oursScript = "select * from ipam.allocate('default', 'wide', gen_random_uuid());\n"

export const floor = async ({ ipam, sql, host, short }: Bench): Promise<void> => {
  const pgbench = findPgbench()
  if (pgbench === undefined) {
    console.log("left out: pgbench is not installed (it comes with PostgreSQL's server packages)")
    return
  }
  await ipam.createPool({ name: "wide", ranges: ["10.128.0.0/9"] })
  await sql.unsafe(tables).simple()
  const folder = mkdtempSync(join(tmpdir(), "saga-ipam-floor-"))
  const rate = (script: string, clients: number): number => {
    const file = join(folder, "script.sql")
    writeFileSync(file, script)
    const options = [
      "-h",
      host,
      "-U",
      "ipam",
      "-n",
      "-M",
      "prepared",
      "-c",
      `${clients}`,
      "-j",
      "2",
      "-T",
      short ? "1" : "4",
    ]
    const done = spawnSync(pgbench, [...options, "-f", file, "postgres"], { encoding: "utf8", timeout: 60_000 })
    const tps = /^tps = ([\d.]+)/m.exec(done.stdout)?.[1]
    if (done.status !== 0 || tps === undefined) throw new Error(`pgbench: ${done.stderr}`)
    return Number(tps)
  }
  try {
    console.log("| clients | floor /s | allocate /s | ratio | to reach |\n|---|---|---|---|---|")
    for (const [clients, goal] of [
      [1, 0.6],
      [16, 0.7],
    ] as const) {
      const pairs = Array.from(
        { length: short ? 2 : 7 },
        () => [rate(floorScript, clients), rate(oursScript, clients)] as const,
      )
      const median = (numbers: ReadonlyArray<number>) => quantile(numbers, 0.5)
      const ratio = median(pairs.map(([bare, ours]) => ours / bare))
      const rates = [median(pairs.map(([bare]) => bare)), median(pairs.map(([, ours]) => ours))].map((n) =>
        n.toFixed(0),
      )
      console.log(`| ${clients} | ${rates.join(" | ")} | ${ratio.toFixed(2)} | ${goal} |`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
