/** The storages of the engine as a worker has them, without the engine, and the locks that are held in them. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import { MessageStorage } from "effect/cluster/MessageStorage"
import { Runner } from "effect/cluster/Runner"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import { onTestFinished } from "vitest"
import { storage } from "../../src/saga/engine.ts"
import { sqlLayer } from "../../src/saga/engineDatabase.ts"
import type { TestDatabase } from "../harness/database.ts"

/** What follows `select pid`: the locks of the workers of the session's database. Others run on the same server. */
export const locks = `from pg_locks where locktype = 'advisory' and objsubid = 2 and objid > 1000000
  and database = (select oid from pg_database where datname = current_database())`

/** Those of a worker of this port, closed with the test. */
export const openStorages = async (database: TestDatabase, port: number) => {
  const address = RunnerAddress.make("127.0.0.1", port)
  const runtime = ManagedRuntime.make(
    storage({ runnerAddress: Option.some(address) }).pipe(Layer.provideMerge(sqlLayer({ url: database.url() }))),
  )
  onTestFinished(() => runtime.dispose())
  const runners = await runtime.runPromise(Effect.service(RunnerStorage))
  const messages = await runtime.runPromise(Effect.service(MessageStorage))
  await runtime.runPromise(runners.register(Runner.make({ address, groups: ["default"], weight: 1 }), true))
  return { address, runners, messages, run: runtime.runPromise, fork: runtime.runFork }
}
