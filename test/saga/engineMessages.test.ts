/** Claims of messages: a worker forgets those of its own part only, and puts one back once it has let go of it. */
import * as Effect from "effect/Effect"
import * as Snowflake from "effect/cluster/Snowflake"
import * as ShardId from "effect/cluster/ShardId"
import { expect, test } from "vitest"
import { useDatabase, type TestDatabase } from "../harness/database.ts"
import { locks, openStorages } from "./storages.ts"

const database = useDatabase()
const shard = ShardId.make("default", 1)

const openWorker = async (database: TestDatabase, port: number) => {
  const { address, runners, messages, run } = await openStorages(database, port)
  return {
    acquire: () => run(runners.acquire(address, [shard])),
    look: () => run(Effect.asVoid(messages.unprocessedMessages([shard]))),
    putBack: (id: bigint) => run(messages.resetRequests([Snowflake.Snowflake(id)])),
  }
}

const message = (id: number, lastRead = "null") =>
  `insert into ipam_engine.engine_messages (id, message_id, shard_id, entity_type, entity_id, kind, tag, payload, headers, request_id, sampled, last_read)
   values (${id}, 'm${id}', 'default:1', 'Workflow/None', 'e', 0, 'run', '{}', '{}', ${id}, false, ${lastRead})`

test("a worker that lost its part leaves the claims of the one that has it", async () => {
  const owner = database().session()
  const first = await openWorker(database(), 1)
  const second = await openWorker(database(), 2)
  await first.acquire()
  await owner.rows(`select pg_terminate_backend(pid, 5000) ${locks}`)
  await second.acquire()
  await owner.run(message(1))
  await second.look()
  const text = "select last_read from ipam_engine.engine_messages where id = 1"
  const claimed = await owner.rows(text)
  expect(claimed).toEqual([{ last_read: expect.any(Date) as Date }])
  await first.look()
  expect(await owner.rows(text)).toEqual(claimed)
})

test("a message is put back behind the one who gives it up: read before that has let go of it, it would be passed over for ever", async () => {
  const owner = database().session()
  const worker = await openWorker(database(), 3)
  await owner.run(message(2, "now()"))
  await owner.run("begin")
  await owner.rows("select from ipam_engine.engine_messages where id = 2 for update")
  // Does not wait for the database.
  await worker.putBack(2n)
  await owner.run("commit")
  await owner.until("select from ipam_engine.engine_messages where id = 2 and last_read is null")
})
