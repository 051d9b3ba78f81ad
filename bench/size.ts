/**
 * What size costs: calls, lists and reads on a small database and on a large one, by the pages that they touch and by their time, and
 * the upkeep, by its time for each row.
 */
import { randomBytes, randomUUID } from "node:crypto"
import type postgres from "postgres"
import { connect } from "../src/promise.ts"
import { bulkLoad, ipv4, type Loaded, type LoadedPool } from "./bulkLoad.ts"
import { assert, openDatabase, openDriver, type Bench } from "./database.ts"
import { inTurn, median, ratioOf, timed } from "./measure.ts"
import { serverMemory } from "./serverMemory.ts"
import { grouped, ms, table, type Goal, type Section } from "./report.ts"

/** A loaded database, and one connection to it. */
interface Sized {
  readonly url: string
  readonly sql: postgres.Sql
  readonly loaded: Loaded
  readonly remove: () => Promise<void>
}

interface Statement {
  readonly text: string
  readonly values: ReadonlyArray<string>
  /** What a call that changes something must answer. */
  readonly outcome?: string
}

/** A UUID of version 7 of the present, as a caller that wants its tombstones pruned would draw it. */
const uuidv7 = (): string => {
  const hex = Date.now().toString(16).padStart(12, "0") + "7" + randomBytes(10).toString("hex").slice(1, 4)
  const rest = `8${randomBytes(8).toString("hex").slice(1)}`
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), rest.slice(0, 4), rest.slice(4)].join("-")
}

const anyOf = <A>(all: ReadonlyArray<A>): A => {
  const one = all[Math.floor(Math.random() * all.length)]
  assert(one !== undefined, "a list is empty")
  return one
}

/** A random held address. Of its pool's lower half, so that a page after it is full. */
const someAddress = ({ first, held }: LoadedPool): string =>
  ipv4(first + BigInt(Math.floor((Math.random() * held) / 2)))

/** The owner of a random held address. */
const someOwner = ({ held }: Loaded): string => `i-${String(Math.floor(Math.random() * held)).padStart(10, "0")}`

const PAGE = "50"

/** The reads that are measured, each with random arguments. */
const readsOf = ({ loaded }: Sized, keys: Keys): Readonly<Record<string, () => Statement>> => {
  const pool = () => anyOf(loaded.pools)
  return {
    "get, held": () => ({ text: "select * from ipam.get($1, $2)", values: anyOf(keys.held) }),
    "get, released": () => ({ text: "select * from ipam.get($1, $2)", values: anyOf(keys.released) }),
    "list a request": () => ({ text: "select * from ipam.list_by_request($1, $2)", values: anyOf(keys.held) }),
    "list all": () => {
      const one = pool()
      return {
        text: "select * from ipam.list_all(null, $1, $2, $3::int)",
        values: [one.vrf, someAddress(one), PAGE],
      }
    },
    "list a pool": () => {
      const one = pool()
      return {
        text: "select * from ipam.list_by_pool($1, $2, $3, $4::int)",
        values: [one.vrf, one.pool, someAddress(one), PAGE],
      }
    },
    "list a prefix": () => {
      const one = pool()
      return {
        text: "select * from ipam.list_by_prefix($1, $2, null, $3::int)",
        values: [one.vrf, `${ipv4(one.first)}/26`, PAGE],
      }
    },
    "list an owner": () => ({
      text: "select * from ipam.list_by_owner(null, 'instance', $1)",
      values: [someOwner(loaded)],
    }),
    "list an address": () => ({
      text: "select * from ipam.list_by_address(null, $1)",
      values: [someAddress(pool())],
    }),
    "describe an address": () => ({
      text: "select * from ipam.describe_address(null, $1)",
      values: [someAddress(pool())],
    }),
    "get a pool": () => {
      const one = pool()
      return { text: "select * from ipam.get_pool($1, $2)", values: [one.vrf, one.pool] }
    },
    "list pools": () => ({ text: "select * from ipam.list_pools()", values: [] }),
    "count the expired": () => ({ text: "select * from ipam.count_expired()", values: [] }),
  }
}

interface Keys {
  readonly held: ReadonlyArray<ReadonlyArray<string>>
  readonly released: ReadonlyArray<ReadonlyArray<string>>
}

/** Random keys: held ones by their owners, and tombstones by the moment of their release. */
const drawKeys = async ({ sql, loaded }: Sized, count: number): Promise<Keys> => {
  const draw = async (condition: string, value: () => string) => {
    const keys: Array<ReadonlyArray<string>> = []
    while (keys.length < count) {
      const [row] = await sql.unsafe<Array<{ vrf: string; request_id: string }>>(
        `select a.vrf, a.request_id from ipam.allocation a where ${condition} limit 1`,
        [value()],
      )
      assert(row !== undefined, "a key that was loaded is not there")
      keys.push([row.vrf, row.request_id])
    }
    return keys
  }
  // Released from a year to a hundred days ago.
  const day = () => String(101 + Math.random() * 263)
  return {
    held: await draw("a.owner_kind = 'instance' and a.owner_id = $1 and a.released_at is null", () =>
      someOwner(loaded),
    ),
    released: await draw(
      `a.released_at >= now() - $1::float8 * interval '1 day' and a.released_at is not null
        and get_byte(uuid_send(a.request_id), 6) >> 4 = 7 order by a.released_at`,
      day,
    ),
  }
}

/** Rejects if it is answered by no row or by another outcome. */
const call = async ({ sql }: Sized, { text, values, outcome }: Statement): Promise<void> => {
  const [row] = await sql.unsafe<Array<Record<string, unknown>>>(text, [...values], { prepare: true })
  assert(row !== undefined, `no row came back from ${text}`)
  assert(outcome === undefined || row["outcome"] === outcome, `${text} answered ${String(row["outcome"])}`)
}

const writes = ["allocate", "confirm", "release"] as const

/** The calls that change something, in the order of an address's life, on one key. */
const writesOf = (
  { vrf, pool }: LoadedPool,
  requestId: string,
  ownerId: string,
): Readonly<Record<(typeof writes)[number], Statement>> => ({
  allocate: {
    text: "select * from ipam.allocate($1, $2, $3, owner_kind => 'instance', owner_id => $4, ttl_seconds => 600)",
    values: [vrf, pool, requestId, ownerId],
    outcome: "allocated",
  },
  confirm: { text: "select * from ipam.confirm($1, $2)", values: [vrf, requestId], outcome: "confirmed" },
  release: { text: "select * from ipam.release($1, $2)", values: [vrf, requestId], outcome: "released" },
})

/** Makes these calls on a new key. */
const cycle = async (sized: Sized, act: (name: string, statement: Statement) => Promise<unknown>): Promise<void> => {
  const calls = writesOf(anyOf(sized.loaded.pools), uuidv7(), randomUUID())
  for (const name of writes) await act(name, calls[name])
}

interface PlanBuffers {
  readonly "Shared Hit Blocks": number
  readonly "Shared Read Blocks": number
}

/** The pages that a statement touches, in memory or not, without those of its planning. */
const buffersOf = async (sized: Sized, statement: Statement): Promise<number> => {
  const text = `explain (analyze, buffers, timing off, format json) ${statement.text}`
  const [row] = await sized.sql.unsafe<Array<{ "QUERY PLAN": readonly [{ readonly Plan: PlanBuffers }] }>>(
    text,
    [...statement.values],
    { prepare: true },
  )
  assert(row !== undefined, "no plan came back")
  const [{ Plan: plan }] = row["QUERY PLAN"]
  return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
}

/** The pages that each call touches: medians, after the connection has read the catalog and made its plans. */
const countBuffers = async (sized: Sized, keys: Keys, rounds: number): Promise<ReadonlyMap<string, number>> => {
  const counts = new Map<string, Array<number>>()
  const count = async (name: string, statement: Statement) => {
    counts.set(name, [...(counts.get(name) ?? []), await buffersOf(sized, statement)])
  }
  for (let round = 0; round < rounds; round += 1) {
    await cycle(sized, count)
    for (const [name, statement] of Object.entries(readsOf(sized, keys))) await count(name, statement())
  }
  return new Map([...counts].map(([name, all]) => [name, median(all.slice(Math.floor(rounds / 2)))]))
}

/** The medians of the times of each call, in batches that alternate between the two databases: those of every pair of batches. */
const compareTimes = async (small: Sized, large: Sized, keys: readonly [Keys, Keys], rounds: number) => {
  const batch = (sized: Sized, of: Keys, times: Map<string, Array<number>>) => async () => {
    const batchTimes = new Map<string, Array<number>>()
    const time = async (name: string, statement: Statement) => {
      const took = await timed(() => call(sized, statement))
      batchTimes.set(name, [...(batchTimes.get(name) ?? []), took])
    }
    const reads = readsOf(sized, of)
    for (let turn = 0; turn < 20; turn += 1) {
      await cycle(sized, time)
      for (const [name, statement] of Object.entries(reads)) await time(name, statement())
    }
    for (const [name, all] of batchTimes) times.set(name, [...(times.get(name) ?? []), median(all)])
    return 0
  }
  const [ofSmall, ofLarge] = [new Map<string, Array<number>>(), new Map<string, Array<number>>()]
  await inTurn(rounds, { small: batch(small, keys[0], ofSmall), large: batch(large, keys[1], ofLarge) })
  return new Map(
    [...ofLarge].map(([name, times]) => [
      name,
      { small: median(ofSmall.get(name) ?? []), large: median(times), ratio: ratioOf(times, ofSmall.get(name) ?? []) },
    ]),
  )
}

/** What each of `writes` adds to the write-ahead log, as a mean over so many calls. */
const walOf = async (sized: Sized, calls: number, draw: () => string): Promise<ReadonlyArray<Wal>> => {
  const batch = Array.from({ length: calls }, () => {
    const requestId = draw()
    return writesOf(anyOf(sized.loaded.pools), requestId, requestId)
  })
  const written: Array<Wal> = []
  for (const name of writes) {
    const before = await walPosition(sized)
    for (const statements of batch) await call(sized, statements[name])
    const after = await walPosition(sized)
    written.push({ bytes: (after.bytes - before.bytes) / calls, images: (after.images - before.images) / calls })
  }
  return written
}

interface Wal {
  readonly bytes: number
  /** Images of whole pages, which a page costs at its first change after a checkpoint. */
  readonly images: number
}

const walPosition = async ({ sql }: Sized): Promise<Wal> => {
  await sql.unsafe("select pg_stat_force_next_flush()")
  const [row] = await sql.unsafe<Array<Record<string, string>>>(
    "select pg_current_wal_insert_lsn() - '0/0' as bytes, wal_fpi as images from pg_stat_wal",
  )
  return { bytes: Number(row?.["bytes"]), images: Number(row?.["images"]) }
}

/** Bytes on disk for each row of its kind, as loaded: indexes are as dense as they can be. */
const bytesOf = async ({ sql, loaded }: Sized) => {
  const rows = await sql.unsafe<Array<{ name: string; bytes: string }>>(`
    select c.relname as name, pg_relation_size(c.oid) as bytes
    from pg_class c
    where c.oid = 'ipam.allocation'::regclass
      or c.oid in (select i.indexrelid from pg_index i where i.indrelid = 'ipam.allocation'::regclass)`)
  const bytes = new Map(rows.map((row) => [row.name, Number(row.bytes)]))
  const of = (name: string) => bytes.get(name) ?? Number.NaN
  const both = loaded.held + loaded.tombstones
  return {
    table: of("allocation") / both,
    key: of("allocation_pkey") / both,
    onlyHeld: (of("allocation_unit") + of("allocation_owner")) / loaded.held,
    onlyReleased: of("allocation_prunable") / loaded.tombstones,
  }
}

/** The time of each row in microseconds, of the milliseconds that so many rows took. */
const micros = (milliseconds: number, rows: number): string => ((1000 * milliseconds) / rows).toFixed(1)

/** A round of upkeep over all pools, also those that a worker would leave because they have few extents. */
const mergeAll = async (sql: postgres.Sql): Promise<void> => {
  let after: ReadonlyArray<string | null> = [null, null, null]
  do {
    const [row] = await sql.unsafe<Array<Record<"vrf" | "pool_id" | "last", string | null>>>(
      "select vrf, pool_id, last from ipam.upkeep($1, $2::bigint, $3::inet, min_extents => 2)",
      [...after],
    )
    after = [row?.vrf ?? null, row?.pool_id ?? null, row?.last ?? null]
  } while (after[0] !== null)
}

/** The time of a read of a pool whose fragments are all cooling: it counts what they hold. */
const readCooling = async ({ sql, loaded }: Sized) => {
  const { vrf, pool } = anyOf(loaded.pools)
  const cool = async (until: string) =>
    (
      await sql.unsafe(
        `update ipam.free_extent e set available_at = ${until}
        from ipam.pool p
        where p.vrf = $1 and p.name = $2 and e.vrf = p.vrf and e.pool_id = p.pool_id and e.next = e.last`,
        [vrf, pool],
      )
    ).count
  const extents = await cool("now() + interval '1 day'")
  const times: Array<number> = []
  for (let turn = 0; turn < 5; turn += 1) {
    times.push(await timed(() => sql.unsafe("select * from ipam.get_pool($1, $2)", [vrf, pool], { prepare: true })))
  }
  await cool("'-infinity'")
  return { time: median(times), extents }
}

/** Runs the whole upkeep once, and checks what it did. Returns the columns of the table. */
const upkeepOf = async (sized: Sized): Promise<ReadonlyArray<string>> => {
  const { loaded, sql, url } = sized
  const ipam = await connect({ url, max: 2, timeoutSeconds: 3600 })
  try {
    const doctor = () =>
      timed(async () => {
        const findings = await sql.unsafe("select * from ipam.doctor()")
        assert(findings.length === 0, `the doctor found ${JSON.stringify(findings.slice(0, 3))}`)
      })
    const extents = async () => Number((await sql.unsafe("select count(*) as n from ipam.free_extent"))[0]?.["n"])
    const checked = await doctor()
    const cooled = await readCooling(sized)
    const before = await extents()
    const merged = await timed(() => mergeAll(sql))
    const gone = before - (await extents())
    assert(gone > loaded.fragments / 2, `merging left ${before - gone} of ${before} extents`)
    let keys = 0
    const pruned = await timed(async () => {
      keys = (await ipam.prune({ horizonSeconds: 90 * 86_400 })).keys
    })
    assert(keys === loaded.tombstones, `${keys} of ${loaded.tombstones} tombstones were pruned`)
    await doctor()
    return [
      grouped(loaded.held),
      micros(checked, loaded.held + loaded.tombstones + loaded.fragments),
      micros(merged, loaded.fragments),
      micros(cooled.time, cooled.extents),
      micros(pruned, loaded.tombstones),
    ]
  } finally {
    await ipam.close()
  }
}

const open = async (bench: Bench, size: number): Promise<Sized & { readonly loading: number }> => {
  const database = await openDatabase({ purpose: "size", url: bench.url, durable: true })
  const sql = openDriver(database.url, 1)
  const remove = async () => {
    await sql.end({ timeout: 1 })
    await database.remove()
  }
  try {
    const start = performance.now()
    const loaded = await bulkLoad(sql, size)
    return { url: database.url, sql, loaded, remove, loading: performance.now() - start }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Sizes between those two, ten times apart. */
const stepsBetween = (small: number, large: number): ReadonlyArray<number> =>
  10 * small >= large ? [] : [10 * small, ...stepsBetween(10 * small, large)]

const flatness = async (bench: Bench, small: Sized, large: Sized): Promise<Section> => {
  const rounds = bench.short ? 6 : 40
  const keys = [await drawKeys(small, 200), await drawKeys(large, 200)] as const
  const buffers = [await countBuffers(small, keys[0], rounds), await countBuffers(large, keys[1], rounds)] as const
  for (const [name, pages] of buffers[1]) {
    const fewer = buffers[0].get(name) ?? Number.NaN
    assert(
      pages <= 2 * fewer,
      `${name} touches ${fewer} pages at ${small.loaded.held} allocations, ${pages} at ${large.loaded.held}`,
    )
  }
  const times = await compareTimes(small, large, keys, bench.short ? 2 : 20)
  const rows = [...times].map(([name, time]) => [
    name,
    buffers[0].get(name) ?? "-",
    buffers[1].get(name) ?? "-",
    ms(time.small),
    ms(time.large),
    time.ratio.toFixed(2),
  ])
  const [at, from] = [grouped(large.loaded.held), grouped(small.loaded.held)]
  const goals: ReadonlyArray<Goal> = writes.map((name) => ({
    name: `${name} at ${at} allocations, to ${from}`,
    figure: times.get(name)?.ratio ?? Number.NaN,
    atMost: 1.3,
  }))
  return {
    blocks: [
      table(["call", `pages at ${from}`, `pages at ${at}`, `p50 ms at ${from}`, `p50 ms at ${at}`, "ratio"], rows),
    ],
    goals,
  }
}

const log = async (bench: Bench, sizes: ReadonlyArray<Sized>): Promise<string> => {
  const rows: Array<ReadonlyArray<string>> = []
  for (const sized of sizes) {
    for (const [version, draw] of Object.entries({ "version 7": uuidv7, "version 4": randomUUID })) {
      const wal = await walOf(sized, bench.short ? 20 : 1000, draw)
      const cells = wal.map(({ bytes, images }) => `${grouped(bytes)} (${images.toFixed(2)})`)
      rows.push([`${grouped(sized.loaded.held)}, keys of ${version}`, ...cells])
    }
  }
  return table(["bytes of WAL a call (whole pages among them)", ...writes], rows)
}

const disk = async (sized: Sized): Promise<string> => {
  const bytes = await bytesOf(sized)
  return table(
    ["bytes on disk", "table", "index of keys", "other indexes"],
    [
      ["an allocation", grouped(bytes.table), grouped(bytes.key), grouped(bytes.onlyHeld)],
      ["a tombstone", grouped(bytes.table), grouped(bytes.key), grouped(bytes.onlyReleased)],
    ],
  )
}

/** The benchmark, up to so many allocations and as many tombstones. The largest database comes first, since all but upkeep is about it. */
export const size =
  (allocations: number | undefined) =>
  async (bench: Bench): Promise<Section> => {
    const smallest = bench.short ? 1000 : 10_000
    const largest = bench.short ? 10_000 : (allocations ?? 1_000_000)
    const small = await open(bench, smallest)
    const blocks: Array<string> = []
    const goals: Array<Goal> = []
    const upkeep: Array<ReadonlyArray<string>> = []
    // A large database takes its time, and what is known already may be all that one wants.
    const show = (text: string) => (bench.short ? undefined : console.error(`${text}\n`))
    try {
      for (const step of [largest, ...stepsBetween(smallest, largest).toReversed()]) {
        const sized = await open(bench, step)
        try {
          if (step === largest) {
            const flat = await flatness(bench, small, sized)
            goals.push(...flat.goals)
            blocks.push(...flat.blocks)
            show(flat.blocks.join("\n\n"))
            const others = [await log(bench, [small, sized]), await disk(sized), await serverMemory(sized.sql)]
            blocks.push(...others)
            show(others.join("\n\n"))
          }
          const row = [...(await upkeepOf(sized)), (sized.loading / 1000).toFixed(1)]
          show(row.join(" | "))
          upkeep.unshift(row)
        } finally {
          await sized.remove()
        }
      }
      upkeep.unshift([...(await upkeepOf(small)), (small.loading / 1000).toFixed(1)])
    } finally {
      await small.remove()
    }
    const head = [
      "allocations, and as many tombstones",
      "doctor, us a row",
      "merge, us an extent",
      "a pool's cooling, us an extent",
      "prune, us a tombstone",
      "loaded in s",
    ]
    return { blocks: [...blocks, table(head, upkeep)], goals }
  }
