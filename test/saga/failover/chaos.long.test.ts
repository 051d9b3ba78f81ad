/**
 * Workers that are killed and stopped every few seconds, connections that are terminated, sagas that are cancelled, for as long as
 * `--minutes` says: what a night may bring, at moments that no other test names.
 */
import { setTimeout as pause } from "node:timers/promises"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { expect, onTestFinished, test } from "vitest"
import { layer } from "../../../src/layer.ts"
import { seededRandom, soaking, soakMs, timeLeft } from "../../harness/soak.ts"
import { disagreements } from "./disagreements.ts"
import { creating, kill, openWorld, startWorker } from "../world.ts"
import { InstanceCreate } from "../instance.ts"

const AT_A_TIME = 16

test(
  "whatever happens to workers and connections, every saga ends, and its caller is told what the ledger says",
  soaking,
  async () => {
    const world = await openWorld(["10.0.0.0/12", "fd00::/64", "172.16.0.0/12"])
    onTestFinished(world.close)
    const starter = ManagedRuntime.make(layer({ url: world.database.url(), max: 4, applicationName: "starter" }))
    onTestFinished(() => starter.dispose())
    const random = seededRandom()
    /** From 0 to below `bound`. */
    const any = (bound: number) => Math.floor(random() * bound)
    const start = () => startWorker(world, { start: [], worker: { takeoverSeconds: 1, concurrency: 32 } })
    const workers = [start(), start()]
    const lasting = timeLeft(soakMs)

    const mischief = async () => {
      while (lasting()) {
        await pause(1000 + any(4000))
        const index = any(workers.length)
        const worker = workers[index]
        if (worker === undefined) continue
        switch (any(3)) {
          case 0:
            await kill(worker)
            workers[index] = start()
            break
          case 1:
            worker.process.kill("SIGSTOP")
            await pause(any(3000))
            worker.process.kill("SIGCONT")
            break
          case 2:
            await world.session.rows(
              "select pg_terminate_backend(pid) from pg_stat_activity where application_name in ('child', 'starter') and datname = current_database() and random() < 0.5",
            )
        }
      }
    }
    let number = 0
    const told = new Map<string, string>()
    const caller = async () => {
      while (lasting()) {
        const payload = creating(`chaos-${++number}`, any(10) < 3 ? "fail" : "ok")
        const executing = starter.runPromise(Effect.exit(InstanceCreate.execute(payload)))
        if (any(10) === 0) {
          await pause(any(200))
          await starter.runPromise(Effect.exit(InstanceCreate.cancel(payload)))
        }
        const exit = await executing
        told.set(InstanceCreate.operationIdFor(payload), Exit.isSuccess(exit) ? "succeeded" : "unwound")
      }
    }
    await Promise.all([mischief(), ...Array.from({ length: AT_A_TIME }, caller)])
    await Promise.all(workers.map(kill))

    const rows = await world.session.rows("select operation_id, state from ipam.operation")
    console.info(`${rows.length} sagas`)
    for (const { operation_id: id, state } of rows) expect(state, String(id)).toBe(told.get(String(id)))
    expect(rows.length).toBe(told.size)
    expect(await disagreements(world)).toEqual([])
    expect(await world.doctor()).toEqual([])
  },
)
