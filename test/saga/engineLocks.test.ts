/** The locks by which workers share the flows: what is lost is taken back, what was given back is not. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import { Runner } from "effect/cluster/Runner"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import * as ShardId from "effect/cluster/ShardId"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as SqlRunnerStorage from "effect/cluster/SqlRunnerStorage"
import { afterAll, beforeAll, expect, test } from "vitest"
import { sqlLayer } from "../../src/saga/engineDatabase.ts"
import { regaining } from "../../src/saga/engineLocks.ts"
import { PREFIX } from "../../src/saga/engineTables.ts"
import { waiting } from "../support/calls.ts"
import { useDatabase, type Session } from "../support/database.ts"

const database = useDatabase()
const address = RunnerAddress.make("127.0.0.1", 1)
const [one, two] = [ShardId.make("default", 1), ShardId.make("default", 2)]
const words = (shards: ReadonlyArray<ShardId.ShardId>) => shards.map(String)

const makeRuntime = () =>
  ManagedRuntime.make(
    regaining(Layer.orDie(SqlRunnerStorage.layerWith({ prefix: PREFIX })), 20).pipe(
      Layer.provide(ShardingConfig.layer({ runnerAddress: Option.some(address) })),
      Layer.provide(sqlLayer({ url: database().url() })),
    ),
  )
let runtime: ReturnType<typeof makeRuntime>
let storage: RunnerStorage["Service"]
let owner: Session

beforeAll(async () => {
  owner = database().session()
  runtime = makeRuntime()
  storage = await runtime.runPromise(Effect.service(RunnerStorage))
  await runtime.runPromise(storage.register(Runner.make({ address, groups: ["default"], weight: 1 }), true))
})
afterAll(() => runtime.dispose())

/** Of this file alone: others run on the same server. */
const locks = `from pg_locks where locktype = 'advisory' and objsubid = 2
  and database = (select oid from pg_database where datname = current_database())`
const held = async () => {
  const rows = await owner.rows(`select objid::bigint % 1000000 as shard ${locks} order by 1`)
  return rows.map((row) => `default:${String(row["shard"])}`)
}

test("a lock that was lost with its connection is taken back", async () => {
  await runtime.runPromise(storage.acquire(address, [one, two]))
  expect(await held()).toEqual(words([one, two]))
  await owner.rows(`select pg_terminate_backend(pid, 5000) ${locks} limit 1`)
  expect(words(await runtime.runPromise(storage.refresh(address, [one, two])))).toEqual(words([one, two]))
  expect(await held()).toEqual(words([one, two]))
})

test("a lock that is given back while somebody asks for it is not taken back", async () => {
  await runtime.runPromise(storage.acquire(address, [one, two]))
  const other = database().session()
  await other.run("begin")
  await other.rows("select from ipam_engine.engine_runners for update")
  const asking = runtime.runFork(storage.refresh(address, [two]))
  await waiting(owner)
  // This one is asked after the one that waits, and before the lock is given back.
  const asked = runtime.runFork(storage.refresh(address, [one]))
  const released = runtime.runFork(storage.release(address, one))
  await other.run("commit")
  await other.end()
  await runtime.runPromise(
    Effect.all([asking, asked, released].map((fiber) => Fiber.await(fiber as Fiber.Fiber<unknown, unknown>))),
  )
  expect(await held()).toEqual(words([two]))
})
