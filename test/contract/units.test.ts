/**
 * The arithmetic on units, at the ends of both families: exact, and in one place, so that no planner can compute what the branch
 * around it was meant to guard. A planner knows the operands of a cold connection and of custom plans, and only of those.
 */
import { randomUUID } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { expect, test } from "vitest"
import { sqlFolder } from "../../src/database/migrate.ts"
import { database, owner } from "../harness/fixture.ts"

const top6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

test("each function of units is exact at both ends of both families, and null past them", async () => {
  const [row] = await owner.rows(`
    select
      host(ipam.unit_next('255.255.255.254')) as next4, host(ipam.unit_prev('0.0.0.1')) as prev4,
      host(ipam.unit_next('${top6.slice(0, -1)}e')) = host('${top6}'::inet) as next6, host(ipam.unit_prev('::1')) as prev6,
      num_nulls(
        ipam.unit_next('255.255.255.255'), ipam.unit_prev('0.0.0.0'), ipam.unit_next('${top6}'), ipam.unit_prev('::'),
        ipam.unit_after('255.255.255.255', 1), ipam.unit_after('0.0.0.0', 2::numeric ^ 32), ipam.unit_after('${top6}', 1),
        ipam.unit_after('::', 2::numeric ^ 128)
      ) as past,
      ipam.unit_count('0.0.0.0', '255.255.255.255')::text as all4, ipam.unit_count('::', '${top6}')::text as all6,
      ipam.unit_count('ffff:ffff:ffff:ffff::', '${top6}')::text as last64, ipam.unit_count('10.0.0.1', '10.0.0.0')::text as none,
      ipam.unit_after('::', ipam.unit_number('${top6}')) = '${top6}' as end6,
      host(ipam.unit_after('0.0.0.0', ipam.unit_number('255.255.255.255'))) as end4,
      ipam.unit_span('0.0.0.0', '255.255.255.255')::text as span4, ipam.unit_span('::', '${top6}')::text as span6,
      ipam.unit_span('::1', '::')::text as no_span`)
  expect(row).toEqual({
    next4: "255.255.255.255",
    prev4: "0.0.0.0",
    next6: true,
    prev6: "::",
    past: 8,
    all4: String(2n ** 32n),
    all6: String(2n ** 128n),
    last64: String(2n ** 64n),
    none: "0",
    end6: true,
    end4: "255.255.255.255",
    span4: "[0.0.0.0,)",
    span6: "[::,)",
    no_span: "empty",
  })
})

test("nothing else in sql/ adds to an address or subtracts from one", async () => {
  const folder = `${sqlFolder}functions/`
  const found: Array<string> = []
  const files = await readdir(folder, { recursive: true })
  for (const file of files.filter((path) => path.endsWith(".sql") && !path.startsWith("unit/"))) {
    const code = (await readFile(folder + file, "utf8")).replaceAll(/--.*/g, "")
    for (const [sum] of code.matchAll(
      /\b\w*(?:next|last|first|unit|address|gateway|before|after|low|high|inet|(?:broadcast|network|lower|upper|host)\([^()]*\))(?:::inet)? ?[+-] ?[\d(]/g,
    ))
      found.push(`${file}: ${sum}`)
  }
  expect(found).toEqual([])
})

const ends = [
  ["240.0.0.0/4", "240.0.0.0", "255.255.255.255"],
  ["0.0.0.0/0", "0.0.0.0", "255.255.255.255"],
  ["ffff:ffff:ffff:ffff::/64", "ffff:ffff:ffff:ffff::", top6],
  ["::/0", "::", top6],
] as const

/** What is called on a pool of the range, in this order, each with the outcome of its rows where it has one. */
const callsOn = (range: string, first: string, last: string) => {
  const [low, high, both, some, batch, source] = Array.from({ length: 6 }, () => randomUUID())
  const pool = "'default', 'ends'"
  return [
    [`create_pool(${pool}, array['${range}'], gateway => 'last', include_network_addresses => true)`, ["created"]],
    [`create_pool(${pool}, array['${range}'], gateway => 'last', include_network_addresses => true)`, ["exists"]],
    [`create_pool('default', 'other', array['${first}-${last}'])`, ["range_overlaps"]],
    [`get_pool(${pool})`, ["found"]],
    [`list_pools('default')`, ["found"]],
    [`list_reservations(${pool})`],
    [`unreserve(${pool}, '${last}')`],
    [`reserve(${pool}, '${range}')`, ["reserved"]],
    [`unreserve(${pool}, '${range}')`, ["unreserved"]],
    [`reserve(${pool}, '${last}')`],
    [`unreserve(${pool}, '${last}')`],
    [
      `import_reservations(${pool}, array['${range}', '${last}'], array['import a', 'import b'], 'import ')`,
      ["reserved"],
    ],
    [`unprotected(${pool}, array['${first}']::inet[], array['${last}']::inet[])`, []],
    [
      `import_addresses(${pool}, '${source}', array['a', 'b'], array['${first}', '${last}']::inet[], array[null, null], array[null, null])`,
      ["allocated", "allocated"],
    ],
    [
      `lift_reservations(${pool}, array['${first}', '${last}']::inet[], array['${last}', '${last}']::inet[], array['import a', 'import b'])`,
      ["unreserved"],
    ],
    [`unprotected(${pool}, array['${first}', '${last}']::inet[], array['${first}', '${last}']::inet[])`, []],
    [`release_many('default', '${source}', array['a', 'b'])`, ["released", "released"]],
    [`allocate(${pool}, '${low}', address => '${first}', owner_kind => 'machine', owner_id => '1')`, ["allocated"]],
    [
      `allocate(${pool}, '${high}', address => '${last}', owner_kind => 'machine', owner_id => '1', allow_reserved => true)`,
      ["allocated"],
    ],
    [`allocate(${pool}, '${both}', address => '${last}')`, ["address_taken"]],
    [`allocate(${pool}, '${some}', ttl_seconds => 0.000001)`, ["allocated"]],
    [`allocate_batch(${pool}, array['${batch}']::uuid[], array['a'], array[null], array[null], array[null::float8])`],
    [`release_batch('default', array['${batch}']::uuid[], array['a'])`],
    [
      `allocate_many('default', '${both}', array['a', 'b'], array['ends', 'ends'], array['${first}', '${last}']::inet[])`,
      ["address_taken", "address_taken"],
    ],
    [`list_by_pool(${pool}, after_address => '${first}')`, ["held", "held"]],
    [`list_by_prefix('default', '${range}')`, ["held", "held", "held"]],
    [`list_by_address('default', '${last}')`, ["held"]],
    [`list_all('default', after_vrf => 'default', after_address => '${first}')`],
    [`describe_address('default', '${last}')`, ["held"]],
    [`describe_address('default', '${last}')`],
    [`list_all('default', after_vrf => 'default', after_address => '${first}')`, ["held", "held"]],
    [`list_by_owner('default', 'machine', '1', after_vrf => 'default', after_address => '${first}')`, ["held"]],
    [`orphan_candidates(${pool}, 0, after_address => '${first}')`],
    [`reclaim_expired()`, ["released"]],
    [`set_draining(${pool}, true, '${last}')`],
    [`set_draining(${pool}, false)`],
    [`remove_range(${pool}, '${range}')`, ["range_in_use"]],
    [`delete_pool(${pool})`, ["pool_in_use"]],
    [`release('default', '${low}')`, ["released"]],
    [`release('default', '${high}')`, ["released"]],
    [`upkeep(min_extents => 2)`],
    [`upkeep('default', 1, '${first}', 2)`],
    [`doctor()`, []],
    [`update_pool(${pool}, gateway => '${first}')`, ["updated"]],
    [`remove_range(${pool}, '${last}')`, ["removed"]],
    [`add_range(${pool}, '${last}')`, ["added"]],
    [`remove_range(${pool}, '${first}')`, ["removed"]],
    [`repair(${pool})`],
    [`doctor()`, []],
    [`delete_pool(${pool})`, ["deleted"]],
  ] as const
}

test.each(["force_custom_plan", "force_generic_plan"])(
  "every function that takes a pool or an address works at the ends, on cold connections, with plan_cache_mode %s",
  async (mode) => {
    const called = new Set<string>()
    for (const [range, first, last] of ends) {
      for (const [call, outcomes] of callsOn(range, first, last)) {
        const cold = database().session()
        await cold.run(`set plan_cache_mode = ${mode}`)
        const rows = await cold.rows(`select to_jsonb(x) ->> 'outcome' as outcome from ipam.${call} x`)
        if (outcomes !== undefined)
          expect([range, call, rows.map((row) => row["outcome"])]).toEqual([range, call, outcomes])
        await cold.end()
        called.add(call.slice(0, call.indexOf("(")))
      }
    }
    const taking = await owner.rows(`
      select distinct p.proname as name
      from pg_proc p
      where p.pronamespace = 'ipam'::regnamespace and has_function_privilege('ipam_operator', p.oid, 'execute')
        and p.proargnames && array['pool', 'pools', 'address', 'addresses', 'after_address', 'prefix', 'range', 'ranges']`)
    expect(taking.map((row) => row["name"]).filter((name) => !called.has(String(name)))).toEqual([])
  },
)
