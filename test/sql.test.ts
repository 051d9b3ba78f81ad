/** The statements of `saga-ipam/sql`, sent by clients that know nothing of this library, in transactions of their own. */
import pg from "pg"
import postgres from "postgres"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { connect, type Ipam } from "../src/promise.ts"
import {
  calls,
  Contended,
  InvalidInput,
  isRepeatable,
  KeyReleased,
  NotPermitted,
  PoolExhausted,
  type SqlStatement,
} from "../src/sql.ts"
import { useDatabase, type Session, type TestRole } from "./harness/database.ts"

type Rows = ReadonlyArray<Readonly<Record<string, unknown>>>
type Query = (text: string, values?: ReadonlyArray<string | number | boolean | null>) => Promise<Rows>

/** A client with one connection. `transaction` commits, or rolls back what throws. */
interface Client {
  readonly query: Query
  readonly transaction: <A>(work: (query: Query) => Promise<A>) => Promise<A>
  readonly close: () => Promise<void>
}

const database = useDatabase()
let owner: Session
let ipam: Ipam
beforeAll(async () => {
  owner = database().session()
  ipam = await connect({ url: database().url() })
  await owner.run("create table machine (id text primary key, address inet not null)")
  await ipam.createPool({ name: "web", ranges: ["10.0.0.0/24"], cooldownSeconds: 60, gateway: "first" })
  await ipam.createPool({ name: "full", ranges: ["10.1.0.0/32"] })
  await ipam.allocate({ pool: "full", requestId: anyId() })
})
afterAll(() => ipam.close())

const anyId = () => crypto.randomUUID()

/** Another spelling of times, and a client that is told to read some types in its own way. */
const settings = "set datestyle = 'German, DMY'; set timezone = 'Asia/Tokyo'; set intervalstyle = 'iso_8601'"

const openPg = async (role?: TestRole): Promise<Client> => {
  const { host, port, user, password, database: name } = database().options()
  const types = new pg.TypeOverrides()
  types.setTypeParser(pg.types.builtins.BOOL, () => "neither")
  types.setTypeParser(pg.types.builtins.INT8, BigInt)
  const client = new pg.Client({ host, port, user, password, database: name, types })
  await client.connect()
  await client.query(role === undefined ? settings : `${settings}; set role ${role}`)
  const query: Query = async (text, values = []) => (await client.query({ text, values: [...values] })).rows
  return {
    query,
    transaction: async (work) => {
      await client.query("begin")
      try {
        const answer = await work(query)
        await client.query("commit")
        return answer
      } catch (error) {
        await client.query("rollback")
        throw error
      }
    },
    close: () => client.end(),
  }
}

const openPostgres = async (role?: TestRole): Promise<Client> => {
  const { host, port, user, password, database: name } = database().options()
  const sql = postgres({
    max: 1,
    types: { bigint: postgres.BigInt },
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(name === undefined ? {} : { database: name }),
  })
  await sql.unsafe(role === undefined ? settings : `${settings}; set role ${role}`)
  const queryOn =
    (on: postgres.ISql): Query =>
    async (text, values = []) => [...(await on.unsafe(text, [...values]))]
  return {
    query: queryOn(sql),
    // As its users write a transaction. Nothing of the library itself does: a lost connection would split one in two.
    transaction: async (work) => (await sql.begin((inside) => work(queryOn(inside)))) as never,
    close: () => sql.end({ timeout: 1 }),
  }
}

const send = async <A>(query: Query, statement: SqlStatement<A>): Promise<A> => {
  const rows = await query(statement.text, statement.values).catch((error: unknown) => {
    throw statement.readError(error)
  })
  return statement.read(rows)
}

/** What is known of a key and of a machine once a transaction has ended. */
const known = async (requestId: string, id: string) => ({
  key: (await ipam.get({ requestId }))?.state ?? null,
  machines: await owner.rows("select address::text from machine where id = $1", [id]),
})

describe.each([
  ["pg", openPg],
  ["postgres.js", openPostgres],
] as const)("through %s", (_, open) => {
  let client: Client
  beforeAll(async () => {
    client = await open()
  })
  afterAll(() => client.close())

  const createMachine = async (query: Query, requestId: string, id: string) => {
    const { address } = await send(query, calls.allocate.statement({ pool: "web", requestId, ttlSeconds: 60 }))
    await query("insert into machine values ($1, $2)", [id, address])
    return address
  }

  test("an allocation commits together with the caller's own row", async () => {
    const [requestId, id] = [anyId(), anyId()]
    const address = await client.transaction((query) => createMachine(query, requestId, id))
    expect(await known(requestId, id)).toEqual({ key: "provisional", machines: [{ address: `${address}/32` }] })
  })

  test("an allocation is rolled back together with the caller's own row, and its key is as if never seen", async () => {
    const [requestId, id] = [anyId(), anyId()]
    const failed = client.transaction(async (query) => {
      await createMachine(query, requestId, id)
      throw new Error("no rack")
    })
    await expect(failed).rejects.toThrow("no rack")
    expect(await known(requestId, id)).toEqual({ key: null, machines: [] })
    expect(await send(client.query, calls.allocate.statement({ pool: "web", requestId }))).toMatchObject({
      outcome: "allocated",
    })
  })

  test("a refusal is thrown by `read`, and leaves the transaction as it is", async () => {
    const [requestId, id] = [anyId(), anyId()]
    const address = await client.transaction(async (query) => {
      const refused: unknown = await send(query, calls.allocate.statement({ pool: "full", requestId })).catch(
        (error: unknown) => error,
      )
      expect(refused).toBeInstanceOf(PoolExhausted)
      expect(refused).toMatchObject({ held: 1n, size: 1n, nextFreeAt: null })
      return createMachine(query, requestId, id)
    })
    expect(await known(requestId, id)).toMatchObject({ key: "provisional", machines: [{ address: `${address}/32` }] })
  })

  test("a release is rolled back or committed with what the caller deletes", async () => {
    const [requestId, id] = [anyId(), anyId()]
    await client.transaction((query) => createMachine(query, requestId, id))
    const removeMachine = async (query: Query) => {
      await query("delete from machine where id = $1", [id])
      return send(query, calls.release.statement({ requestId }))
    }
    const failed = client.transaction(async (query) => {
      await removeMachine(query)
      throw new Error("the switch is down")
    })
    await expect(failed).rejects.toThrow("the switch is down")
    expect(await known(requestId, id)).toMatchObject({ key: "provisional", machines: [{}] })
    expect(await client.transaction(removeMachine)).toMatchObject({ outcome: "released", freed: true })
    expect(await known(requestId, id)).toEqual({ key: "released", machines: [] })
    const late = send(client.query, calls.allocate.statement({ pool: "web", requestId }))
    await expect(late).rejects.toBeInstanceOf(KeyReleased)
  })

  test("every answer is what the library itself answers", async () => {
    const operationId = anyId()
    const target = { kind: "machine", id: `ü"\\${anyId()}` }
    const beginning = { operationId, kind: "Create", payload: { a: ["ü", 1.5, null] }, targets: [target] }
    const slots = [
      { slot: 'a"b', pool: "web" },
      { slot: "c\\d", pool: "web", address: "10.0.0.200" },
    ]
    const many = { requestId: operationId, slots, owner: target, ttlSeconds: 60.5, allowCooling: true }
    const keys = { requestId: operationId, slots: slots.map(({ slot }) => slot) }
    const begun = await send(client.query, calls.beginOperation.statement(beginning))
    expect({ ...begun, outcome: "replayed" }).toEqual(await ipam.beginOperation(beginning))
    const allocated = await send(client.query, calls.allocateMany.statement(many))
    const replayed = await ipam.allocateMany(many)
    expect(allocated.map((one) => Object.assign({}, one, { outcome: "replayed" }))).toEqual(replayed)
    expect(await send(client.query, calls.confirmMany.statement(keys))).toEqual(await ipam.confirmMany(keys))

    const first = { requestId: operationId, slot: 'a"b' }
    const inVrf = { vrf: "default", ...target }
    const address = allocated[0]?.address ?? ""
    const pool = { pool: "web" }
    const pairs: ReadonlyArray<readonly [SqlStatement<unknown>, Promise<unknown>]> = [
      [calls.get.statement(first), ipam.get(first)],
      [calls.get.statement({ requestId: anyId() }), ipam.get({ requestId: anyId() })],
      [calls.list.statement({ owner: target }), ipam.list({ owner: target })],
      [calls.list.statement({ prefix: "10.0.0.0/25" }), ipam.list({ prefix: "10.0.0.0/25" })],
      [calls.list.statement(), ipam.list()],
      [calls.describeAddress.statement({ address }), ipam.describeAddress({ address })],
      [calls.describeAddress.statement({ address: "10.0.0.1" }), ipam.describeAddress({ address: "10.0.0.1" })],
      [calls.describeAddress.statement({ address: "192.0.2.1" }), ipam.describeAddress({ address: "192.0.2.1" })],
      [calls.getPool.statement(pool), ipam.getPool(pool)],
      [calls.listPools.statement(), ipam.listPools()],
      [calls.listReservations.statement(pool), ipam.listReservations(pool)],
      [calls.getOperation.statement({ operationId }), ipam.getOperation({ operationId })],
      [calls.pendingOperations.statement(target), ipam.pendingOperations(target)],
      [calls.hasPendingOperation.statement(target), ipam.hasPendingOperation(target)],
      [calls.latestOperation.statement(inVrf), ipam.latestOperation(inVrf)],
      [calls.listOperations.statement(inVrf), ipam.listOperations(inVrf)],
      [calls.listOperationsByState.statement({ state: "pending" }), ipam.listOperationsByState({ state: "pending" })],
      [calls.identify.statement(target), ipam.identify(target)],
      [calls.doctor.statement(), ipam.doctor()],
    ]
    for (const [statement, answer] of pairs) {
      expect({ text: statement.text, answer: await send(client.query, statement) }).toEqual({
        text: statement.text,
        answer: await answer,
      })
    }
    const released = await send(client.query, calls.releaseMany.statement(keys))
    const again = await ipam.releaseMany(keys)
    const repeated = { outcome: "already_released", freed: false }
    expect(released.map((one) => Object.assign({}, one, repeated))).toEqual(again)
    const end = { operationId, state: "unwound", error: { why: "é" } } as const
    const finished = await send(client.query, calls.finishOperation.statement(end))
    expect({ ...finished, outcome: "replayed" }).toEqual(await ipam.finishOperation(end))
  })

  test("`readError` says what the server's exception means, and whether the transaction may be made again", async () => {
    const requestId = anyId()
    await owner.run("begin; select from ipam.free_extent for update")
    const allocate = calls.allocate.statement({ pool: "web", requestId }, { waitSeconds: 0 })
    const contended: unknown = await client
      .transaction((query) => send(query, allocate))
      .catch((error: unknown) => error)
    await owner.run("rollback")
    expect(contended).toBeInstanceOf(Contended)
    expect(contended).toMatchObject({ call: "allocate", pool: "web", requestId })
    expect(isRepeatable(contended)).toBe(true)

    const repeatable = client.transaction(async (query) => {
      await query("set transaction isolation level repeatable read")
      return send(query, allocate)
    })
    await expect(repeatable).rejects.toBeInstanceOf(InvalidInput)

    const reader = await open("ipam_reader")
    const refused = send(reader.query, allocate)
    await expect(refused).rejects.toBeInstanceOf(NotPermitted)
    await expect(refused).rejects.toMatchObject({ role: "ipam_allocator" })
    await reader.close()
  })

  test("`readError` leaves alone what means nothing to it", async () => {
    const { readError } = calls.allocate.statement({ pool: "web", requestId: anyId() })
    const own: unknown = await client.query("insert into machine values ('x', null)").catch((error: unknown) => error)
    expect(readError(own)).toBe(own)
    for (const other of [new Error("gone"), Object.assign(new Error("pipe"), { code: "EPIPE" }), undefined, null, 5]) {
      expect(readError(other)).toBe(other)
    }
  })
})

test("a request that breaks a rule never becomes a statement", () => {
  expect(() => calls.allocate.statement({ pool: "web", requestId: "1" })).toThrow(InvalidInput)
  expect(() => calls.allocate.statement(undefined as never)).toThrow(/requestId|vrf|pool/)
})

test("columns that a client has parsed all the same are refused, not misread", () => {
  const { read } = calls.hasPendingOperation.statement({ kind: "a", id: "b" })
  expect(read([{ has_pending_operation: "true" }])).toBe(true)
  expect(() => read([{ has_pending_operation: true }])).toThrow(/instead of text/)
})
