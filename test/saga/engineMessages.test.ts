/** Claims of messages: a worker forgets those of its own part only. */
import * as Effect from "effect/Effect"
import * as ShardId from "effect/cluster/ShardId"
import { expect, test } from "vitest"
import { useDatabase, type TestDatabase } from "../support/database.ts"
import { locks, openStorages } from "./storages.ts"

const database = useDatabase()
const shard = ShardId.make("default", 1)

const openWorker = async (database: TestDatabase, port: number) => {
  const { address, runners, messages, run } = await openStorages(database, port)
  return {
    acquire: () => run(runners.acquire(address, [shard])),
    look: () => run(Effect.asVoid(messages.unprocessedMessages([shard]))),
  }
}

test("a worker that lost its part leaves the claims of the one that has it", async () => {
  const owner = database().session()
  const first = await openWorker(database(), 1)
  const second = await openWorker(database(), 2)
  await first.acquire()
  await owner.rows(`select pg_terminate_backend(pid, 5000) ${locks}`)
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
