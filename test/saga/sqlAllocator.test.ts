/** The allocator over Effect's `SqlClient`: the same answers, within the transactions of others. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { SqlClient } from "effect/sql/SqlClient"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Allocator } from "../../src/services/Allocator.ts"
import { layer } from "../../src/layer.ts"
import { Operations } from "../../src/services/Operations.ts"
import { sqlLayer } from "../../src/saga/engineDatabase.ts"
import { sqlAllocatorLayer } from "../../src/saga/sqlAllocator.ts"
import { createDatabase, type Session, type TestDatabase } from "../harness/database.ts"
import { requestIds, script, tags } from "./sameCalls.ts"

type Services = Allocator | Operations

/** A database with its pools, and the services on it that a layer gives. */
const open = async (servicesOf: (url: string) => Layer.Layer<Services, unknown>) => {
  const database = await createDatabase()
  const session = database.session()
  for (const [name, range] of [
    ["v4", "10.0.0.0/28"],
    ["v6", "fd00::/64"],
    ["odd", "0:0:1::/112"],
    ["even", "1:0:0:2:0:0:2:0/120"],
    ["tiny", "192.0.2.4-192.0.2.5"],
  ] as const) {
    await session.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [name, range])
  }
  const runtime = ManagedRuntime.make(servicesOf(database.url()))
  const close = async () => {
    await runtime.dispose()
    await database.drop()
  }
  return { database, session, runtime, close }
}

const overSql = (url: string) => sqlAllocatorLayer.pipe(Layer.provideMerge(sqlLayer({ url, max: 3 })))

describe("the same calls", () => {
  test("are answered alike by both, and each reads what the other wrote", async () => {
    const ours = await open((url) => layer({ url }))
    const theirs = await open(overSql)
    try {
      const many = crypto.randomUUID()
      const expected = await ours.runtime.runPromise(script)
      const found = await theirs.runtime.runPromise(script)
      expect(found).toEqual(expected)
      expect(new Set(found.map(({ tag }) => tag))).toEqual(new Set(tags))

      // Many, since a time is read to the millisecond and may not be rounded.
      const slots = Array.from({ length: 100 }, (_, index) => ({ slot: `${index}`, pool: "v6" }))
      const everything = Effect.gen(function* () {
        const allocator = yield* Allocator
        const operations = yield* Operations
        for (const one of slots) yield* allocator.allocate({ ...one, requestId: many, ttlSeconds: 1000 })
        const keys = yield* Effect.forEach([...requestIds, many], (requestId) => allocator.list({ requestId }))
        return [...keys.flat(), ...(yield* operations.listOperationsByState())]
      })
      const asWritten = await theirs.runtime.runPromise(everything)
      const readByOurs = Effect.provide(everything, layer({ url: theirs.database.url() }))
      expect(await Effect.runPromise(readByOurs)).toEqual(asWritten)
      expect(asWritten.length).toBeGreaterThan(107)
    } finally {
      await ours.close()
      await theirs.close()
    }
  })

  test("reach each what its layer was given, in one program", async () => {
    const here = await open(overSql)
    const there = await open((url) => layer({ url }))
    const url = here.database.url()
    const found = new Map<string, Allocator["Service"]>()
    const keep = <E, R>(name: string, services: Layer.Layer<Allocator, E, R>) =>
      Layer.effectDiscard(Effect.map(Allocator, (service) => found.set(name, service))).pipe(Layer.provide(services))
    const runtime = ManagedRuntime.make(
      Layer.mergeAll(
        keep("here", layer({ url })),
        keep("there", layer({ url: there.database.url() })),
        keep("inTransaction", sqlAllocatorLayer),
      ).pipe(Layer.provideMerge(sqlLayer({ url }))),
    )
    const allocate = (name: string) =>
      Effect.flatMap(
        Effect.sync(() => found.get(name) ?? expect.unreachable()),
        (service) => service.allocate({ pool: "v4", requestId: crypto.randomUUID(), slot: name }),
      )
    try {
      await runtime.runPromise(allocate("here"))
      await runtime.runPromise(allocate("there"))
      const inTransaction = Effect.andThen(allocate("inTransaction"), Effect.fail("rolled back"))
      const sql = await runtime.runPromise(SqlClient)
      expect(await runtime.runPromise(Effect.flip(sql.withTransaction(inTransaction)))).toBe("rolled back")
      const slots = "select slot from ipam.allocation"
      expect(await here.session.rows(slots)).toEqual([{ slot: "here" }])
      expect(await there.session.rows(slots)).toEqual([{ slot: "there" }])
    } finally {
      await runtime.dispose()
      await here.close()
      await there.close()
    }
  })

  test("are not made where the schema does not fit", async () => {
    const empty = await createDatabase("empty")
    const built = Effect.scoped(Layer.build(overSql(empty.url())))
    expect(await Effect.runPromise(Effect.flip(built))).toMatchObject({ _tag: "SchemaTooOld", version: null })
    await empty.drop()
  })
})

describe("within a transaction", () => {
  let database: TestDatabase
  let session: Session
  let runtime: ManagedRuntime.ManagedRuntime<Services | SqlClient, unknown>
  let close: () => Promise<void>

  beforeAll(async () => {
    const opened = await open(overSql)
    ;({ database, session, close } = opened)
    runtime = opened.runtime as typeof runtime
  })
  afterAll(() => close())

  const allocate = (requestId: string) => Allocator.use((allocator) => allocator.allocate({ pool: "v6", requestId }))
  const inTransaction = <A, E>(body: Effect.Effect<A, E, Services | SqlClient>) =>
    runtime.runPromiseExit(Effect.flatMap(SqlClient, (sql) => sql.withTransaction(body)))
  const held = async (requestId: string) =>
    (await session.rows("select state from ipam.list_by_request('default', $1)", [requestId])).map(
      (row) => row["state"],
    )
  const failureOf = (exit: Exit.Exit<unknown, unknown>) => (Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined)

  test("that fails nothing is allocated and nothing begun, and in one that succeeds both are", async () => {
    const [lost, kept] = [crypto.randomUUID(), crypto.randomUUID()]
    const targets = [{ kind: "instance", id: "i" }]
    const body = (id: string) =>
      Effect.andThen(
        Operations.use((operations) => operations.beginOperation({ operationId: id, kind: "k", targets })),
        allocate(id),
      )
    const failed = await inTransaction(Effect.andThen(body(lost), Effect.fail("no")))
    expect(failureOf(failed)).toMatchObject({ _tag: "Fail", error: "no" })
    expect(await held(lost)).toEqual([])
    const seen: Array<unknown> = []
    const succeeded = await inTransaction(
      Effect.andThen(
        body(kept),
        Effect.promise(async () => seen.push(...(await held(kept)))),
      ),
    )
    expect(Exit.isSuccess(succeeded)).toBe(true)
    expect(seen).toEqual([])
    expect(await held(kept)).toEqual(["confirmed"])
    expect(await session.rows("select operation_id from ipam.operation")).toEqual([{ operation_id: kept }])
  })

  test("a refusal breaks nothing: what was done before it commits", async () => {
    const requestId = crypto.randomUUID()
    const refused = Allocator.use((allocator) => allocator.allocate({ pool: "nowhere", requestId, slot: "other" }))
    const exit = await inTransaction(Effect.andThen(allocate(requestId), Effect.flip(refused)))
    expect(exit).toMatchObject({ value: { _tag: "UnknownPool" } })
    expect(await held(requestId)).toEqual(["confirmed"])
  })

  test("contention is sent once, breaks it, and leaves nothing", async () => {
    const [before, after] = [crypto.randomUUID(), crypto.randomUUID()]
    const contended = Allocator.use((allocator) => allocator.allocate({ pool: "v4", requestId: after }))
    const blocker = database.session()
    await blocker.run(
      "begin; select from ipam.free_extent e join ipam.pool p using (pool_id) where p.name = 'v4' for update of e",
    )
    const errors: Array<unknown> = []
    const noted = (effect: typeof contended) =>
      Effect.tapError(effect, (error) => Effect.sync(() => errors.push(error)))
    const exit = await inTransaction(
      Effect.andThen(
        allocate(before),
        Effect.ignore(Effect.andThen(Effect.ignore(noted(contended)), noted(allocate(after)))),
      ),
    )
    await blocker.run("rollback")
    expect(errors).toMatchObject([
      { _tag: "Contended", call: "allocate", requestId: after },
      { _tag: "Contended", call: "allocate", requestId: after },
    ])
    expect(failureOf(exit)).toMatchObject({ error: { _tag: "SqlError" } })
    expect(await held(before)).toEqual([])
    expect(await held(after)).toEqual([])
  })

  test("a connection that is lost is reported, not opened anew", async () => {
    const requestId = crypto.randomUUID()
    const cut = Effect.flatMap(SqlClient, (sql) =>
      Effect.flatMap(sql.unsafe<{ pid: number }>("select pg_backend_pid() as pid"), ([row]) =>
        Effect.promise(() => session.until("select pg_terminate_backend($1, 5000)", [row?.pid ?? 0])),
      ),
    )
    const errors: Array<unknown> = []
    const again = Effect.tapError(allocate(requestId), (error) => Effect.sync(() => errors.push(error)))
    const exit = await inTransaction(Effect.andThen(Effect.andThen(allocate(requestId), cut), again))
    expect(Exit.isFailure(exit)).toBe(true)
    expect(errors).toMatchObject([{ _tag: "DatabaseUnavailable", call: "allocate", requestId }])
    expect(await held(requestId)).toEqual([])
  })

  test("input that the database refuses is an error of the input", async () => {
    const { context } = await runtime.runPromise(Effect.map(Effect.context<Services>(), (context) => ({ context })))
    const prune = Context.get(context, Operations).prune({ horizonSeconds: 86_400 })
    await session.rows(
      "insert into ipam.operation (operation_id, vrf, kind, fingerprint, payload, begun_at) values ($1, 'default', 'k', '', 'null', now() - interval '2 days')",
      [crypto.randomUUID()],
    )
    expect(await runtime.runPromise(Effect.flip(prune))).toMatchObject({
      _tag: "InvalidInput",
      field: "horizonSeconds",
    })
  })
})
