/** `saga-ipam reconcile` and `saga-ipam prune`: their sources, output and exit codes. What they release is tested in test/services. */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { createDatabase, useDatabase, type Session } from "../harness/database.ts"
import { useCommand } from "./command.ts"

const database = useDatabase()
const { cli, answer, refusal } = useCommand(database)
let session: Session
let folder: string
let file: string
let number = 0
let vrf: string

beforeAll(async () => {
  session = database().session()
  folder = await mkdtemp(join(tmpdir(), "saga-ipam-upkeep-"))
  await session.run("create schema cloud; create table cloud.instance (id text)")
})
afterAll(() => rm(folder, { recursive: true, force: true }))

beforeEach(async () => {
  number += 1
  vrf = `vrf-${number}`
  file = join(folder, `${vrf}.json`)
  await session.rows("select from ipam.create_pool($1, 'web', array['10.0.0.0/24'], '{}', 'none', 0)", [vrf])
})

/** At once: no grace, no settling, no share that is too great. */
const now = ["--grace", "0", "--settle", "0", "--max-share", "1", "--rate", "10000"] as const
const take = async (...ids: ReadonlyArray<string>): Promise<ReadonlyArray<string>> =>
  Promise.all(
    ids.map(async (id) => {
      const requestId = crypto.randomUUID()
      await session.rows("select from ipam.allocate($1, 'web', $2::uuid, owner_kind => 'instance', owner_id => $3)", [
        vrf,
        requestId,
        id,
      ])
      return requestId
    }),
  )
/** The same, provisional, and past its ttl. */
const takeExpired = async (id: string, of: string): Promise<string> => {
  const requestId = crypto.randomUUID()
  await session.rows(
    "select from ipam.allocate($1, 'web', $2::uuid, owner_kind => 'instance', owner_id => $3, ttl_seconds => 0.001)",
    [of, requestId, id],
  )
  await session.until("select 1 from ipam.allocation where request_id = $1 and expires_at < clock_timestamp()", [
    requestId,
  ])
  return requestId
}
const holds = async (): Promise<ReadonlyArray<unknown>> => {
  const rows = await session.rows(
    "select owner_id from ipam.allocation where released_at is null and vrf = $1 order by owner_id",
    [vrf],
  )
  return rows.map((row) => row["owner_id"])
}
const there = (...ids: ReadonlyArray<string>) =>
  writeFile(file, JSON.stringify(ids.map((id) => ({ kind: "instance", id }))))
const reconcile = () => ["reconcile", "--vrf", vrf, ...now] as const

describe("reconcile", () => {
  test("by a file releases orphans, and their tombstones say who released them and why", async () => {
    const [, gone] = await take("here", "gone")
    await there("here")
    const dry = await answer(...reconcile(), "--owners", file, "--dry-run")
    const orphan = { requestId: gone, owner: { kind: "instance", id: "gone" } }
    expect(dry).toMatchObject({ expired: 0, orphans: [orphan], marked: 0, released: [] })
    expect(await holds()).toEqual(["gone", "here"])

    const run = [...reconcile(), "--owners", file, "--by", "night shift"]
    expect(await answer(...run)).toMatchObject({ expired: 0, orphans: [orphan], marked: 1, released: [] })
    expect(await answer(...run)).toMatchObject({ orphans: [orphan], marked: 0, released: [{ ...orphan, freed: true }] })
    expect(await holds()).toEqual(["here"])
    const key = ["--vrf", vrf, "--request", gone ?? ""]
    const tombstone = { state: "released", releaseReason: "orphaned", releasedBy: "night shift" }
    expect(await answer("get", ...key)).toMatchObject(tombstone)
    const { out } = await cli("get", ...key)
    expect(out).toMatch(
      /\nreleased {5}\S+ \(orphaned\)\nreleased by {2}night shift\nnote {9}owner instance\/gone absent/,
    )
  })

  test("marks orphans first, and releases them in a later run, once they have been marked long enough", async () => {
    await take("gone")
    await there()
    const slow = ["reconcile", "--vrf", vrf, "--owners", file, "--grace", "0", "--max-share", "1"]
    expect(await answer(...slow)).toMatchObject({ marked: 1, released: [] })
    expect(await answer(...slow)).toMatchObject({ marked: 0, released: [], orphans: [{}] })
    expect(await answer(...slow, "--settle", "0")).toMatchObject({
      marked: 0,
      released: [{ releasedBy: expect.stringMatching(/.+@.+/) }],
    })
    expect(await holds()).toEqual([])
  })

  test("releases what has expired in the named VRF only; a dry run counts it", async () => {
    const other = `${vrf}-other`
    await session.rows("select from ipam.create_pool($1, 'web', array['10.0.0.0/24'])", [other])
    const elsewhere = await takeExpired("here", other)
    await takeExpired("here", vrf)
    await there("here")
    const run = [...reconcile(), "--owners", file] as const
    expect(await answer(...run, "--dry-run")).toMatchObject({ expired: 1, orphans: [] })
    expect((await cli(...run, "--dry-run")).out).toBe(
      "expired  1 would be released\norphans  0; nothing was marked or released\n",
    )
    expect(await holds()).toEqual(["here"])
    expect(await answer(...run)).toMatchObject({ expired: 1 })
    expect(await holds()).toEqual([])
    expect(await answer("get", "--vrf", other, "--request", elsewhere)).toMatchObject({ state: "provisional" })
  })

  test("prints a summary and a table without --json", async () => {
    await take("gone", "here")
    await there("here")
    const dry = await cli(...reconcile(), "--owners", file, "--dry-run")
    expect(dry).toMatchObject({ code: 0, err: "" })
    const table = "ADDRESS +STATE +POOL +VRF +REQUEST +SLOT +OWNER +SINCE +UNTIL\n10\\.0\\.0\\.\\d+/24 +"
    expect(dry.out).toMatch(
      new RegExp(
        `^expired  0 would be released\norphans  1; nothing was marked or released\n\n${table}confirmed +[^\n]* instance/gone +\\S+ +-\n$`,
      ),
    )
    expect((await cli(...reconcile(), "--owners", file)).out).toMatch(/\norphans {2}1: 1 marked now, 0 released\n/)
    const done = await cli(...reconcile(), "--owners", file)
    expect(done.out).toMatch(
      new RegExp(
        `^expired  0 released\norphans  1: 0 marked now, 1 released\n\n${table}released +[^\n]* instance/gone +\\S+ +\\S+\n$`,
      ),
    )
    const nothing = await cli(...reconcile(), "--owners", file)
    expect(nothing.out).toBe("expired  0 released\norphans  0: 0 marked now, 0 released\n")
  })

  test("by a query works on the allocator's database and on another one", async () => {
    const elsewhere = await createDatabase("empty")
    try {
      await take("ours", "theirs", "nobody's")
      await session.run("truncate cloud.instance; insert into cloud.instance values ('ours')")
      await elsewhere
        .session()
        .run("create schema cloud; create table cloud.instance (id text); insert into cloud.instance values ('theirs')")
      const query = ["--owners-sql", "select 'instance' as kind, id from cloud.instance;"]
      const there = await answer(...reconcile(), ...query, "--owners-url", elsewhere.url(), "--dry-run")
      expect(there).toMatchObject({ orphans: [{}, {}] })
      expect(await answer(...reconcile(), ...query)).toMatchObject({ marked: 2, released: [] })
      expect(await answer(...reconcile(), ...query)).toMatchObject({ marked: 0, released: [{}, {}] })
      expect(await holds()).toEqual(["ours"])
    } finally {
      await elsewhere.drop()
    }
  })

  test("refuses to run without exactly one source, and with invalid bounds", async () => {
    await take("gone")
    await there()
    const query = "select 'instance' as kind, '1' as id"
    const cases = [
      [[], "owners"],
      [["--owners", file, "--owners-sql", query], "owners"],
      [["--owners", file, "--owners-url", "postgres:///x"], "owners-url"],
      [["--owners", file, "--max-share", "1.1"], "max-share"],
      [["--owners", file, "--grace", "-1"], "grace"],
      [["--owners", file, "--by", ""], "by"],
      [["--owners", file, "--rate", "many"], "rate"],
    ] as const
    expect(await Promise.all(cases.map(([args]) => refusal("reconcile", ...args)))).toMatchObject(
      cases.map(([, field]) => ({ code: 2, error: "InvalidInput", field })),
    )
    expect(await holds()).toEqual(["gone"])
  })

  test("releases nothing if the source cannot be read, and ends with 6", async () => {
    await take("gone")
    await writeFile(file, '[{"kind":"instance","id":"here"},{"kind":"inst')
    const empty = join(folder, "empty.json")
    await writeFile(empty, "")
    const odd = join(folder, "odd.json")
    await writeFile(odd, '[{"kind":"instance","ident":"here"}]')
    const sources = [
      ["--owners", file],
      ["--owners", empty],
      ["--owners", odd],
      ["--owners", join(folder, "nowhere.json")],
      ["--owners-sql", "select id from cloud.instance"],
      ["--owners-sql", "select pg_sleep(60), 'instance' as kind, '1' as id", "--owners-timeout", "0.1"],
      ["--owners-sql", "select 1", "--owners-url", "postgres://me:sesame@127.0.0.1:1/none"],
    ]
    const refused = await Promise.all(sources.map((source) => refusal(...reconcile(), ...source)))
    expect(refused).toMatchObject(
      sources.map(() => ({
        code: 6,
        error: "OwnersUnreadable",
        message: expect.stringMatching(/cannot be relied on/),
      })),
    )
    expect(JSON.stringify(refused)).not.toContain("sesame")
    expect(await holds()).toEqual(["gone"])
    const people = await cli(...reconcile(), "--owners", file)
    expect(people).toMatchObject({ code: 6, out: "" })
    expect(people.err).toMatch(/^saga-ipam: OwnersUnreadable: [^\n]+\n$/)
  })

  test("releases nothing if too much looks orphaned, and ends with 7", async () => {
    await take("one", "two", "three")
    await there("one", "two")
    const usual = ["reconcile", "--vrf", vrf, "--owners", file, "--grace", "0", "--settle", "0"]
    const refused = { code: 7, error: "TooManyOrphans", vrf, pool: "web", orphans: "1", held: "3", maxShare: 0.25 }
    expect(await refusal(...usual)).toMatchObject(refused)
    expect(await refusal(...usual, "--dry-run")).toMatchObject(refused)
    const people = await cli(...usual)
    expect(people).toMatchObject({ code: 7, out: "" })
    expect(people.err).toMatch(/^saga-ipam: TooManyOrphans: [^\n]+\n$/)
    expect(await holds()).toHaveLength(3)
    expect(await session.rows("select from ipam.orphan_mark where vrf = $1", [vrf])).toEqual([])
  })
})

describe("prune", () => {
  /** An operation that ended so many days ago. */
  const ended = async (days: number): Promise<string> => {
    const operationId = crypto.randomUUID()
    await session.rows(
      `insert into ipam.operation (operation_id, vrf, kind, fingerprint, state, result, begun_at, finished_at)
       select $1::uuid, $2, 'Create', '', 'succeeded', '1', at, at from (select now() - make_interval(days => $3::int) as at) t`,
      [operationId, vrf, days],
    )
    return operationId
  }

  test("prunes what ended more than 90 days ago, or than --days", async () => {
    const [old, young] = [await ended(91), await ended(40)]
    expect(await answer("prune")).toEqual({ operations: 1, keys: 0, held: 0 })
    expect(await answer("saga", "status", old)).toMatchObject({ result: null, prunedAt: expect.any(String) })
    expect(await answer("saga", "status", young)).toMatchObject({ result: 1, prunedAt: null })
    const { code, out, err } = await cli("prune", "--days", "30")
    expect({ code, out, err }).toEqual({ code: 0, out: "operations  1 pruned\ntombstones  0 deleted\n", err: "" })
    expect(await answer("saga", "status", young)).toMatchObject({ prunedAt: expect.any(String) })
  })

  test("keeps an operation that still holds an address, and says so", async () => {
    const operationId = crypto.randomUUID()
    await session.rows(
      `insert into ipam.operation (operation_id, vrf, kind, fingerprint, state, begun_at)
       values ($1::uuid, $2, 'Create', '', 'pending', now() - interval '100 days')`,
      [operationId, vrf],
    )
    await session.rows("select from ipam.allocate($1, 'web', $2::uuid)", [vrf, operationId])
    await session.rows(
      "update ipam.operation set state = 'succeeded', result = '1', finished_at = begun_at where operation_id = $1",
      [operationId],
    )
    expect(await answer("prune")).toEqual({ operations: 0, keys: 0, held: 1 })
    expect((await cli("prune")).out).toBe(
      "operations  0 pruned\ntombstones  0 deleted\nkept        1 operation that holds addresses\n",
    )
    expect(await answer("saga", "status", operationId)).toMatchObject({ result: 1, prunedAt: null })
  })

  test("refuses less than a day, and what is not a number", async () => {
    const cases = ["0", "-1", "0.99", "1e9", "NaN", "soon"]
    expect(await Promise.all(cases.map((days) => refusal("prune", `--days=${days}`)))).toMatchObject(
      cases.map(() => ({ code: 2, error: "InvalidInput", field: "days" })),
    )
  })
})
