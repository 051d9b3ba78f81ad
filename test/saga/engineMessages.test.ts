/** Claims of messages: a worker forgets those of its own part only. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import { MessageStorage } from "effect/cluster/MessageStorage"
import { Runner } from "effect/cluster/Runner"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import * as ShardId from "effect/cluster/ShardId"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as SqlMessageStorage from "effect/cluster/SqlMessageStorage"
import * as SqlRunnerStorage from "effect/cluster/SqlRunnerStorage"
import * as Digest from "effect/crypto/Digest"
import { expect, onTestFinished, test } from "vitest"
import { sqlLayer } from "../../src/saga/engineDatabase.ts"
import { regaining } from "../../src/saga/engineLocks.ts"
import { insistent } from "../../src/saga/engineMessages.ts"
import { PREFIX } from "../../src/saga/engineTables.ts"
import { useDatabase } from "../support/database.ts"

const database = useDatabase()
const shard = ShardId.make("default", 1)

/** What a worker has of the storages, as `engine.ts` puts them together. */
const openWorker = async (port: number) => {
  const address = RunnerAddress.make("127.0.0.1", port)
  const runtime = ManagedRuntime.make(
    insistent(SqlMessageStorage.layerWith({ prefix: PREFIX }), 20).pipe(
      Layer.provideMerge(regaining(Layer.orDie(SqlRunnerStorage.layerWith({ prefix: PREFIX })), 20)),
      Layer.provide(ShardingConfig.layer({ runnerAddress: Option.some(address) })),
      Layer.provide(Digest.layerWebCrypto),
      Layer.provideMerge(sqlLayer({ url: database().url() })),
    ),
  )
  onTestFinished(() => runtime.dispose())
  const runners = await runtime.runPromise(Effect.service(RunnerStorage))
  const messages = await runtime.runPromise(Effect.service(MessageStorage))
  await runtime.runPromise(runners.register(Runner.make({ address, groups: ["default"], weight: 1 }), true))
  return {
    acquire: () => runtime.runPromise(runners.acquire(address, [shard])),
    look: () => runtime.runPromise(Effect.asVoid(messages.unprocessedMessages([shard]))),
  }
}

test("a worker that lost its part leaves the claims of the one that has it", async () => {
  const owner = database().session()
  const [first, second] = [await openWorker(1), await openWorker(2)]
  await first.acquire()
  const locks = `select pid from pg_locks where locktype = 'advisory' and objsubid = 2
    and database = (select oid from pg_database where datname = current_database())`
  const [lock] = await owner.rows(locks)
  await owner.rows("select pg_terminate_backend($1, 5000)", [Number(lock?.["pid"])])
  await second.acquire()
  await owner.rows(
    `insert into ipam_engine.engine_messages (id, message_id, shard_id, entity_type, entity_id, kind, tag, payload, headers, request_id, sampled)
     values (1, 'm', 'default:1', 'Workflow/None', 'e', 0, 'run', '{}', '{}', 1, false)`,
  )
  await second.look()
  const text = "select last_read from ipam_engine.engine_messages"
  const claimed = await owner.rows(text)
  expect(claimed).toEqual([{ last_read: expect.any(Date) as Date }])
  await first.look()
  expect(await owner.rows(text)).toEqual(claimed)
})
