import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { serverStatus } from "../src/embedded/server.ts"
import {
  connect,
  DatabaseUnreachable,
  InvalidInput,
  KeyReused,
  UnknownPool,
  type ConnectOptions,
  type Ipam,
} from "../src/promise.ts"
import { newFolder } from "./embedded/harness.ts"
import { useDatabase, type Session } from "./harness/database.ts"
import { until } from "./harness/until.ts"

const database = useDatabase()
let ipam: Ipam
let operator: Ipam
let owner: Session

beforeAll(async () => {
  owner = database().session()
  ipam = await connect({ url: database().url("ipam_allocator"), applicationName: "probe" })
  operator = await connect({ url: database().url("ipam_operator") })
  await operator.createPool({ name: "web", ranges: ["10.0.0.0/24"] })
})
afterAll(async () => {
  await ipam.close()
  await operator.close()
})

const anyId = () => crypto.randomUUID()

describe("a call", () => {
  test("answers what a hypervisor needs, and its repetition the same", async () => {
    const request = {
      pool: "web",
      requestId: anyId().toUpperCase(),
      owner: { kind: "instance", id: "i-1" },
      ttlSeconds: 60,
    }
    const answer = await ipam.allocate(request)
    expect(answer).toEqual({
      outcome: "allocated",
      vrf: "default",
      pool: "web",
      requestId: request.requestId.toLowerCase(),
      slot: "default",
      address: expect.stringMatching(/^10\.0\.0\.\d+$/),
      prefixLength: 24,
      gateway: null,
      generation: 1n,
      state: "provisional",
      allocatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      expiresAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      owner: request.owner,
    })
    expect(await ipam.allocate(request)).toEqual({ ...answer, outcome: "replayed" })
  })

  test("rejects with the class of its error, as it is", async () => {
    const requestId = anyId()
    await ipam.allocate({ pool: "web", requestId })
    const error: unknown = await ipam
      .allocate({ pool: "web", requestId, owner: { kind: "a", id: "b" } })
      .catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(KeyReused)
    expect(error).toMatchObject({ _tag: "KeyReused", requestId, differs: ["owner"] })
    await expect(ipam.allocate({ pool: "nowhere", requestId: anyId() })).rejects.toBeInstanceOf(UnknownPool)
  })

  test("is refused with a request that is no object, in words that say so", async () => {
    const text: unknown = "web"
    const refused = operator.getPool(text as Parameters<typeof operator.getPool>[0])
    await expect(refused).rejects.toMatchObject({ _tag: "InvalidInput", message: "The input: must be an object" })
  })

  test("of several slots answers in the order asked, and rejects with the slot that was refused", async () => {
    const slots = ["c", "a", "b"].map((slot) => ({ slot, pool: "web" }))
    const answers = await ipam.allocateMany({ requestId: anyId(), slots })
    expect(answers.map((answer) => answer.slot)).toEqual(["c", "a", "b"])
    const refused = ipam.allocateMany({
      requestId: anyId(),
      slots: [
        { slot: "a", pool: "web" },
        { slot: "b", pool: "nowhere" },
      ],
    })
    await expect(refused).rejects.toMatchObject({ _tag: "UnknownPool", slot: "b" })
  })

  test("runs through a whole life: confirm, extend, list, release, get", async () => {
    const key = { requestId: anyId(), slot: "eth0" }
    const { address } = await ipam.allocate({ ...key, pool: "web", ttlSeconds: 60 })
    expect(await ipam.extend({ ...key, ttlSeconds: 120 })).toMatchObject({ outcome: "extended", state: "provisional" })
    expect(await ipam.confirm(key)).toMatchObject({ outcome: "confirmed", state: "confirmed", address })
    expect(await ipam.list({ address })).toMatchObject([{ outcome: "held", requestId: key.requestId }])
    expect(await ipam.who({ address })).toMatchObject({ requestId: key.requestId })
    expect(await ipam.release(key)).toMatchObject({ outcome: "released", freed: true, address })
    expect(await ipam.release(key)).toMatchObject({ outcome: "already_released", freed: false })
    expect(await ipam.get(key)).toMatchObject({ state: "released", releaseReason: "released" })
    await expect(ipam.confirm(key)).rejects.toMatchObject({ _tag: "KeyReleased", reason: "released" })
    await expect(ipam.allocate({ ...key, pool: "web" })).rejects.toMatchObject({ _tag: "KeyReleased" })
    expect(await ipam.get({ requestId: anyId() })).toBeNull()
  })

  test("on a pool gives its counts as bigint", async () => {
    await operator.createPool({ vrf: "six", name: "big", ranges: ["2001:db8::/64"], reserve: ["2001:db8::ff"] })
    const pool = await operator.getPool({ pool: "big", vrf: "six" })
    expect(pool).toMatchObject({ size: 2n ** 64n, held: 0n, cooling: 0n, family: 6 })
    expect(pool.free + pool.reserved).toBe(pool.size)
    expect((await operator.listPools({ vrf: "six" })).map((one) => one.name)).toEqual(["big"])
    await operator.addRange({ vrf: "six", pool: "big", range: "2001:db8:1::/120" })
    await operator.reserve({ vrf: "six", pool: "big", range: "2001:db8:1::10" })
    await operator.unreserve({ vrf: "six", pool: "big", range: "2001:db8:1::10" })
    expect((await operator.removeRange({ vrf: "six", pool: "big", range: "2001:db8:1::/120" })).size).toBe(2n ** 64n)
    expect(await operator.deletePool({ pool: "big", vrf: "six" })).toMatchObject({ outcome: "deleted" })
    await expect(operator.getPool({ pool: "big", vrf: "six" })).rejects.toMatchObject({ _tag: "UnknownPool" })
  })
})

describe("a list", () => {
  test("of pools comes whole, or page by page", async () => {
    for (const name of ["a", "b", "c"]) {
      await operator.createPool({ vrf: "paged", name, ranges: [`10.${name.charCodeAt(0)}.0.0/30`] })
    }
    const all = await operator.listPools({ vrf: "paged" })
    expect(all.map(({ name }) => name)).toEqual(["a", "b", "c"])
    const first = await operator.listPools({ vrf: "paged", pageSize: 2 })
    const [, last] = first
    const second = await operator.listPools({
      vrf: "paged",
      pageSize: 2,
      after: { vrf: "paged", name: last?.name ?? "" },
    })
    expect([...first, ...second]).toEqual(all)
    expect(await operator.listPools({ vrf: "paged", after: { vrf: "paged", name: "c" } })).toEqual([])
    await expect(operator.listPools({ vrf: "pagd" })).rejects.toMatchObject({ _tag: "UnknownVrf", vrf: "pagd" })
  })

  test("of reservations comes whole, or page by page", async () => {
    const pool = { vrf: "paged", pool: "reserved" }
    const reserve = ["10.90.0.4", "10.90.0.5"]
    await operator.createPool({ vrf: pool.vrf, name: pool.pool, ranges: ["10.90.0.0/29"], gateway: "first", reserve })
    const all = await operator.listReservations(pool)
    expect(all.map(({ first }) => first)).toEqual(["10.90.0.0", "10.90.0.1", "10.90.0.4", "10.90.0.5", "10.90.0.7"])
    const page = await operator.listReservations({ ...pool, pageSize: 3 })
    const last = page.at(-1)
    const after = { first: last?.first ?? "", last: last?.last ?? "", kind: last?.kind ?? "network" }
    expect([...page, ...(await operator.listReservations({ ...pool, pageSize: 3, after }))]).toEqual(all)
  })
})

describe("a call that is cancelled", () => {
  const waits =
    "select pid from pg_stat_activity where application_name = 'probe' and datname = current_database() and wait_event_type = 'Lock'"

  test("rejects with the signal's reason, runs no more, and leaves the key definite", async () => {
    const key = { requestId: anyId(), slot: "cancelled" }
    const control = new AbortController()
    await owner.run("begin; select from ipam.free_extent for update")
    const call = ipam.allocate({ ...key, pool: "web", signal: control.signal })
    await owner.until(waits)
    const reason = new Error("enough")
    control.abort(reason)
    await expect(call).rejects.toBe(reason)
    expect(await owner.rows(waits)).toEqual([])
    await owner.run("commit")
    expect(await ipam.get(key)).toBeNull()
    expect(await ipam.allocate({ ...key, pool: "web" })).toMatchObject({ outcome: "allocated" })
  })

  test("before it began sends nothing", async () => {
    const requestId = anyId()
    await expect(ipam.release({ requestId, signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" })
    expect(await ipam.get({ requestId })).toBeNull()
  })
})

describe("a call whose connection is lost", () => {
  test("is repeated with its key: one allocation, and a definite answer", async () => {
    const requestId = anyId()
    await owner.run("begin; select from ipam.free_extent for update")
    const call = ipam.allocate({ pool: "web", requestId })
    const { pid } = await owner.until(
      "select pid from pg_stat_activity where application_name = 'probe' and datname = current_database() and wait_event_type = 'Lock'",
    )
    await owner.run(`select pg_terminate_backend(${String(pid)})`)
    await owner.run("commit")
    expect(await call).toMatchObject({ outcome: "allocated" })
    expect(await ipam.list({ requestId })).toHaveLength(1)
  })
})

describe("connect", () => {
  test("rejects when nothing can be reached, and keeps the password to itself", async () => {
    const refused = connect({ url: "postgres://u:s3cr3t@127.0.0.1:1/d", timeoutSeconds: 60 })
    await expect(refused).rejects.toBeInstanceOf(DatabaseUnreachable)
    await expect(refused).rejects.not.toThrow(/s3cr3t/)
  })

  test.each<[string, unknown]>([
    ["a misspelt option", { url: "postgres://h/d", timeoutSecond: 3 }],
    ["a number as text", { url: "postgres://h/d", max: "10" }],
    ["a URL that is none", { url: "localhost" }],
    ["an empty URL", { url: "" }],
    ["a URL instead of options", "postgres://u:s3cr3t@h/d"],
    ["nothing", null],
  ])("refuses options that cannot be meant: %s", async (_, options) => {
    const refused = connect(options as ConnectOptions)
    await expect(refused).rejects.toBeInstanceOf(InvalidInput)
    await expect(refused).rejects.not.toThrow(/s3cr3t/)
  })

  test("and close leave a process nothing to wait for, also after a call was refused, some were cancelled and others waited", async () => {
    const output = await runScript(
      `const ipam = await connect({ url: process.env.URL_OF_TEST, max: 4 });
      await ipam.ping();
      await ipam.allocate({ pool: "nowhere", requestId: crypto.randomUUID() }).catch((error) => console.log(error._tag));
      const signal = AbortSignal.timeout(1);
      await Promise.all(Array.from({ length: 20 }, () => ipam.get({ requestId: crypto.randomUUID(), signal }).catch(() => undefined)));
      const served = Promise.all(Array.from({ length: 50 }, () => ipam.get({ requestId: crypto.randomUUID() })));
      await ipam.close();
      console.log((await served).length);
      await ipam.ping().catch((error) => console.log(error._tag));`,
      { URL_OF_TEST: database().url("ipam_allocator") },
    )
    expect(output).toBe("UnknownPool\n50\nDatabaseUnreachable\n")
  })

  test("and close end a worker that is still starting, and none starts afterwards", async () => {
    const output = await runScript(
      `const ipam = await connect({ url: process.env.URL_OF_TEST });
      const starting = ipam.startWorker({ sagas: [] });
      await ipam.close();
      await starting;
      await ipam.startWorker({ sagas: [] }).catch((error) => console.log(error._tag));`,
      { URL_OF_TEST: database().url("ipam_allocator") },
    )
    expect(output).toBe("DatabaseUnreachable\n")
  })

  test("starts, migrates and stops the embedded server, which keeps its data, where it is asked for", async () => {
    const folder = newFolder()
    const connected = (options: string) => `const ipam = await connect(${options});
      const pool = await ipam.createPool({ name: "web", ranges: ["10.0.0.0/24"] });
      console.log(pool.outcome);`
    const env = { DATABASE_URL: "", SAGA_IPAM_DATA: folder }
    const stopped = { state: "stopped", folder }
    expect(await runScript(`${connected("{ embedded: true }")} await ipam.close();`, env)).toBe("created\n")
    expect(await serverStatus(folder)).toEqual(stopped)
    expect(await runScript(`${connected(`{ data: ${JSON.stringify(folder)} }`)} process.exit();`, env)).toBe("exists\n")
    await until("the server has stopped", async () => (await serverStatus(folder)).state === "stopped")
  })

  test("starts none unasked: says what would name a database, and makes no folder", async () => {
    const folder = newFolder()
    const script = "await connect().catch(({ _tag, message }) => console.log(_tag, message));"
    expect(await runScript(script, { DATABASE_URL: "", SAGA_IPAM_DATA: folder })).toMatch(
      /^DatabaseMisconfigured .*connect\(\{ url \}\).*DATABASE_URL.*data.*embedded: true/,
    )
    expect(existsSync(folder)).toBe(false)
  })
})

/** What a program prints that connects; it must end by itself. */
const runScript = async (body: string, env: Record<string, string>): Promise<string> => {
  const module = new URL("../src/promise.ts", import.meta.url).href
  const script = `import { connect } from ${JSON.stringify(module)}; ${body}`
  const options = { env: { ...process.env, ...env }, timeout: 120_000 }
  return (await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], options)).stdout
}
