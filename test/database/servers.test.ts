/** Servers by VRF: each call goes to the server of its VRF, and a call that names none is answered by all of them. */
import { beforeAll, afterAll, describe, expect, test } from "vitest"
import { everySent } from "../../src/contract/calls.ts"
import { AmbiguousIdentity, connect, InvalidInput, type Ipam } from "../../src/promise.ts"
import { useDatabase, type Session } from "../harness/database.ts"

const main = useDatabase()
const other = useDatabase()
let onMain: Session
let onOther: Session
let ipam: Ipam

/** In the order of names, the VRFs of one server stand between those of the other. */
const vrfs = ["amber", "blue", "coral", "dusk"]
const connectBoth = () => connect({ url: main().url(), servers: { blue: other().url(), dusk: other().url() } })

beforeAll(async () => {
  onMain = main().session()
  onOther = other().session()
  ipam = await connectBoth()
  for (const vrf of vrfs) {
    await ipam.createPool({ vrf, name: "one", ranges: ["10.0.0.0-10.0.0.99"] })
    await ipam.createPool({ vrf, name: "two", ranges: ["10.0.1.0-10.0.1.99"] })
  }
})
afterAll(() => ipam.close())

const anyId = () => crypto.randomUUID()
const owner = { kind: "instance", id: "i-1" }
const begin = (vrf: string, operationId = anyId(), ...targets: ReadonlyArray<string>) =>
  ipam.beginOperation({
    operationId,
    vrf,
    kind: "Create",
    targets: [vrf, ...targets].map((one) => ({ vrf: one, kind: "instance", id: operationId })),
  })

const rowsOf = async (session: Session, text: string) =>
  (await session.rows(text)).map((row) => Object.values(row).join(" "))

test("a call goes to the server of its VRF, and to the other one in no way", async () => {
  for (const vrf of [...vrfs, "default"]) {
    const key = { vrf, requestId: anyId() }
    if (vrf === "default") await ipam.createPool({ name: "one", ranges: ["10.0.0.0-10.0.0.99"] })
    expect(await ipam.allocate({ ...key, pool: "one", ttlSeconds: 60 })).toMatchObject({ vrf, outcome: "allocated" })
    expect(await ipam.extend({ ...key, ttlSeconds: 90 })).toMatchObject({ outcome: "extended" })
    expect(await ipam.confirm(key)).toMatchObject({ outcome: "confirmed" })
    expect(await ipam.get(key)).toMatchObject({ vrf, state: "confirmed" })
    expect(await ipam.list({ vrf, requestId: key.requestId })).toHaveLength(1)
    expect(await ipam.getPool({ vrf, pool: "one" })).toMatchObject({ vrf, held: 1n })
    await ipam.release(key)
  }
  const pools = "select distinct vrf::text from ipam.pool order by 1"
  const keys = "select distinct vrf::text from ipam.allocation order by 1"
  for (const text of [pools, keys]) {
    expect(await rowsOf(onMain, text)).toEqual(["amber", "coral", "default"])
    expect(await rowsOf(onOther, text)).toEqual(["blue", "dusk"])
  }
})

describe("a list of all VRFs", () => {
  const everyPage = async <A>(read: (last: A | undefined) => Promise<ReadonlyArray<A>>, size: number) => {
    const found: Array<A> = []
    for (;;) {
      const page = await read(found.at(-1))
      found.push(...page)
      if (page.length < size) return found
    }
  }

  test.each([1, 3, 4, 100])("comes in the order of VRFs, each row once, in pages of %i", async (pageSize) => {
    const pools = await everyPage<Awaited<ReturnType<Ipam["getPool"]>>>(
      (last) => ipam.listPools({ pageSize, after: last && { vrf: last.vrf, name: last.name } }),
      pageSize,
    )
    expect(pools.filter(({ vrf }) => vrfs.includes(vrf)).map(({ vrf, name }) => `${vrf} ${name}`)).toEqual(
      vrfs.flatMap((vrf) => [`${vrf} one`, `${vrf} two`]),
    )
  })

  test("has what an owner holds, and everything, page by page", async () => {
    const id = anyId()
    const held: Array<string> = []
    for (const vrf of vrfs) {
      for (const pool of ["one", "two"]) {
        const { address } = await ipam.allocate({ vrf, pool, requestId: anyId(), owner: { kind: "instance", id } })
        held.push(`${vrf} ${address}`)
      }
    }
    for (const filter of [{ owner: { kind: "instance", id } }, { allVrfs: true }]) {
      const found = await everyPage<Awaited<ReturnType<Ipam["list"]>>[number]>(
        (last) => ipam.list({ ...filter, pageSize: 3, after: last && { vrf: last.vrf, address: last.address ?? "" } }),
        3,
      )
      expect(found.filter((one) => one.owner?.id === id).map(({ vrf, address }) => `${vrf} ${address}`)).toEqual(held)
    }
    expect(await ipam.list({ allVrfs: true })).toHaveLength(held.length)
  })

  test("names both candidates where one identity is on two servers", async () => {
    const address = "10.0.0.50"
    for (const vrf of ["amber", "blue"]) await ipam.allocate({ vrf, pool: "one", requestId: anyId(), address, owner })
    for (const ask of [
      () => ipam.who({ address }),
      () => ipam.describeAddress({ address }),
      () => ipam.identify(owner),
    ]) {
      const error: unknown = await ask().catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(AmbiguousIdentity)
      expect(error).toMatchObject({ candidates: expect.arrayContaining([expect.objectContaining({ vrf: "blue" })]) })
    }
    expect(await ipam.who({ address, vrf: "blue" })).toMatchObject({ vrf: "blue" })
  })
})

describe("an operation", () => {
  test("is refused where its VRFs are on two servers, and begins where they share one", async () => {
    const refused = begin("amber", anyId(), "coral", "blue")
    await expect(refused).rejects.toBeInstanceOf(InvalidInput)
    await expect(refused).rejects.toMatchObject({
      message: 'vrf: VRF "blue" is on another server than VRF "amber"; all VRFs of an operation must be on one server',
    })
    expect(await begin("blue", anyId(), "dusk")).toMatchObject({ outcome: "begun", vrf: "blue" })
    expect(await begin("amber", anyId(), "coral")).toMatchObject({ outcome: "begun", vrf: "amber" })
  })

  test.each(["amber", "blue"])(
    "of VRF %s is found by its id, gates its target, and ends with its addresses",
    async (vrf) => {
      const { operationId } = await begin(vrf)
      const target = { kind: "instance", id: operationId }
      expect(await ipam.getOperation({ operationId })).toMatchObject({ vrf, state: "pending" })
      expect(await ipam.getOperation({ operationId, vrf })).toMatchObject({ vrf })
      expect(await ipam.getOperation({ operationId, vrf: "coral" })).toBeNull()
      expect(await ipam.hasPendingOperation(target)).toBe(true)
      expect(await ipam.pendingOperations(target)).toMatchObject([{ operationId }])
      expect(await ipam.latestOperation(target)).toMatchObject({ operationId })
      expect(await ipam.listOperations(target)).toMatchObject([{ operationId }])
      expect(await ipam.identify(target)).toMatchObject({ vrf })
      await ipam.allocate({ vrf, pool: "one", requestId: operationId, ttlSeconds: 60 })
      expect(await ipam.finishOperation({ operationId, vrf, state: "succeeded" })).toMatchObject({ state: "succeeded" })
      expect(await ipam.get({ vrf, requestId: operationId })).toMatchObject({ state: "confirmed" })
      expect(await ipam.hasPendingOperation(target)).toBe(false)
    },
  )

  test("is listed once, though each server numbers its own", async () => {
    for (let times = 0; times < 3; times++) for (const vrf of ["amber", "blue"]) await begin(vrf)
    const text = "select operation_id from ipam.operation"
    const begun = [...(await rowsOf(onMain, text)), ...(await rowsOf(onOther, text))]
    for (const pageSize of [1, 2, 5]) {
      const found: Array<string> = []
      let before: bigint | undefined
      for (;;) {
        const page = await ipam.listOperationsByState({ pageSize, before })
        found.push(...page.map(({ operationId }) => operationId))
        before = page.at(-1)?.sequence
        if (page.length < pageSize) break
      }
      expect(found.toSorted()).toEqual(begun.toSorted())
    }
  })
})

describe("upkeep", () => {
  const expire = async (vrf: string, session: Session) => {
    const requestId = anyId()
    await ipam.allocate({ vrf, pool: "two", requestId, owner: { kind: "gone", id: requestId }, ttlSeconds: 60 })
    await session.rows("update ipam.allocation set expires_at = now() - interval '1 s' where request_id = $1", [
      requestId,
    ])
    return requestId
  }

  test("reclaims what has expired on each server, or in the VRF that is named", async () => {
    await expire("amber", onMain)
    const blue = await expire("blue", onOther)
    expect(await ipam.reclaimExpired({ vrf: "blue" })).toMatchObject([{ vrf: "blue", requestId: blue }])
    await expire("blue", onOther)
    expect((await ipam.reclaimExpired()).map(({ vrf }) => vrf).toSorted()).toEqual(["amber", "blue"])
  })

  test("reconciles each server, and counts all that it did", async () => {
    for (const [vrf, session] of [
      ["amber", onMain],
      ["blue", onOther],
    ] as const) {
      await expire(vrf, session)
      await ipam.allocate({ vrf, pool: "two", requestId: anyId(), owner: { kind: "gone", id: "yes" } })
    }
    const source: Parameters<Ipam["reconcile"]>[0] = async (asked) =>
      asked.map((one) => ({ ...one, exists: one.kind !== "gone" }))
    const at = { graceSeconds: 0, settleSeconds: 0, maxShare: 1, perSecond: 10_000 }
    expect(await ipam.reconcile(source, { ...at, dryRun: true })).toMatchObject({ expired: 2, marked: 0 })
    expect(await ipam.reconcile(source, { ...at, vrf: "blue" })).toMatchObject({ expired: 1, marked: 1 })
    expect(await ipam.reconcile(source, at)).toMatchObject({ expired: 1, marked: 1, released: [{ vrf: "blue" }] })
    expect(await ipam.reconcile(source, at)).toMatchObject({ expired: 0, released: [{ vrf: "amber" }] })
  })

  test("prunes what has ended on each server", async () => {
    for (const [vrf, session] of [
      ["amber", onMain],
      ["blue", onOther],
    ] as const) {
      const { operationId } = await begin(vrf)
      await ipam.finishOperation({ vrf, operationId, state: "unwound" })
      await session.rows(
        `update ipam.operation set begun_at = begun_at - interval '200 d', finished_at = finished_at - interval '200 d'
        where operation_id = $1`,
        [operationId],
      )
    }
    expect(await ipam.prune()).toMatchObject({ operations: 2 })
  })

  test("finds and repairs what is wrong on each server", async () => {
    for (const session of [onMain, onOther]) {
      await session.rows("delete from ipam.free_extent where vrf in ('coral', 'dusk')")
    }
    const wrong = (await ipam.doctor()).map(({ vrf }) => vrf)
    expect(new Set(wrong)).toEqual(new Set(["coral", "dusk"]))
    await ipam.repair()
    expect(await ipam.doctor()).toEqual([])
  })
})

describe("the servers", () => {
  test("need one for all other VRFs, and URLs, of which none is repeated", async () => {
    const servers = { blue: other().url() }
    await expect(connect({ servers, embedded: true })).rejects.toMatchObject({
      field: "servers",
      message: "servers: the server of all other VRFs is missing; name it by url or DATABASE_URL",
    })
    const secret = "postgres://me:sesame@"
    const error: unknown = await connect({ url: main().url(), servers: { blue: `${secret}/a?b=c` } }).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ _tag: "InvalidInput", field: "servers.blue" })
    expect(String(error)).not.toContain("sesame")
  })

  test("are told apart by their URLs: VRFs of one URL share its connections", async () => {
    const one = await connect({
      url: main().url(),
      servers: { blue: other().url(), dusk: other().url(), coral: main().url() },
      applicationName: "shared",
      max: 1,
    })
    await one.ping()
    await Promise.all(vrfs.map((vrf) => one.getPool({ vrf, pool: "one" })))
    const text = "select datname from pg_stat_activity where application_name = 'shared' order by 1"
    expect(await rowsOf(onMain, text)).toEqual([main().name, other().name].toSorted())
    await one.close()
  })
})

test("what names no VRF declares who answers it, but for what belongs to the VRF default or to a claim", () => {
  const silent = everySent.filter(
    ({ parameters, everywhere }) => everywhere === undefined && !parameters.some(([name]) => name === "vrf"),
  )
  expect([...new Set(silent.map(({ sqlName }) => sqlName))]).toEqual([
    "import_bindings",
    "bind_import",
    // Their requests have the VRF of the saga.
    "advance_saga",
    "advance_saga_batch",
    "refuse_step",
    "report_attempt",
    "finish_saga_batch",
  ])
})
