/** The locks by which workers share the flows: what is lost is taken back, what was given back is not. */
import * as Fiber from "effect/Fiber"
import * as ShardId from "effect/cluster/ShardId"
import { beforeAll, expect, test } from "vitest"
import { untilBlocked } from "../harness/calls.ts"
import { useDatabase, type Session } from "../harness/database.ts"
import { locks, openStorages } from "./storages.ts"

const database = useDatabase()
const [one, two] = [ShardId.make("default", 1), ShardId.make("default", 2)]
const words = (shards: ReadonlyArray<ShardId.ShardId>) => shards.map(String)
let owner: Session

beforeAll(() => {
  owner = database().session()
})

const held = async () => {
  const rows = await owner.rows(`select objid::bigint % 1000000 as shard ${locks} order by 1`)
  return rows.map((row) => `default:${String(row["shard"])}`)
}

test("a lock that was lost with its connection is taken back", async () => {
  const { address, runners, run } = await openStorages(database(), 1)
  await run(runners.acquire(address, [one, two]))
  expect(await held()).toEqual(words([one, two]))
  await owner.rows(`select pg_terminate_backend(pid, 5000) ${locks} limit 1`)
  expect(words(await run(runners.refresh(address, [one, two])))).toEqual(words([one, two]))
  expect(await held()).toEqual(words([one, two]))
})

test("a lock that is given back while somebody asks for it is not taken back", async () => {
  const { address, runners, run, fork } = await openStorages(database(), 1)
  await run(runners.acquire(address, [one, two]))
  const other = database().session()
  await other.run("begin")
  await other.rows("select from ipam_engine.engine_runners for update")
  const asking = fork(runners.refresh(address, [two]))
  await untilBlocked(owner)
  // This one is asked after the one that waits, and before the lock is given back.
  const asked = fork(runners.refresh(address, [one]))
  const released = fork(runners.release(address, one))
  await other.run("commit")
  await other.end()
  await run(Fiber.joinAll([asking, asked]))
  await run(Fiber.join(released))
  expect(await held()).toEqual(words([two]))
})
