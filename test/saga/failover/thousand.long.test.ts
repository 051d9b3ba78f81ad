/**
 * A thousand sagas on two workers, of which one is killed half-way, where `crashMatrix` holds a few at their points: a crowd meets the points
 * that nobody thought of.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { expect, onTestFinished, test } from "vitest"
import { layer } from "../../../src/layer.ts"
import { disagreements } from "./disagreements.ts"
import { creating, kill, openWorld, startWorker, succeeded, unwound } from "../world.ts"
import { InstanceCreate } from "../instance.ts"

const SAGAS = 1000
const AT_A_TIME = 32
/** Three of ten machines fail to start. */
const fails = (number: number) => number % 10 < 3

test("a thousand sagas, 30 % failing, on two workers of which one is killed: 700 hold everything, 300 nothing", async () => {
  const world = await openWorld(["10.0.0.0-10.0.15.255", "fd00::/64", "198.18.0.0-198.18.15.255"])
  onTestFinished(world.close)
  const starter = ManagedRuntime.make(layer({ url: world.database.url(), max: 4 }))
  onTestFinished(() => starter.dispose())
  const start = () => startWorker(world, { start: [], worker: { takeoverSeconds: 2, concurrency: 32 } })
  const workers = [start(), start()]
  await Promise.all(workers.map(({ ready }) => ready))

  const payloads = Array.from({ length: SAGAS }, (_, number) => creating(`i-${number}`, fails(number) ? "fail" : "ok"))
  let executing = 0
  let executingAtKill = 0
  const left = payloads.entries()
  let restarted = Promise.resolve()
  const ends = new Map<string, boolean>()
  const replaceFirst = async () => {
    executingAtKill = executing
    if (workers[0] !== undefined) await kill(workers[0])
    workers[0] = start()
  }
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      for (const [number, payload] of left) {
        if (number === SAGAS / 2) restarted = replaceFirst()
        executing += 1
        const exit = await starter.runPromise(Effect.exit(InstanceCreate.execute(payload)))
        executing -= 1
        ends.set(payload.request, Exit.isSuccess(exit))
      }
    }),
  )
  await restarted

  expect(executingAtKill, "sagas were running when the worker was killed").toBeGreaterThan(AT_A_TIME / 2)
  expect([...ends.values()].filter((success) => success)).toHaveLength(700)
  const states = await world.states()
  expect(states.size).toBe(SAGAS)
  for (const [number, payload] of payloads.entries()) {
    const state = states.get(InstanceCreate.operationIdFor(payload)) ?? "never begun"
    if (fails(number)) expect(state, payload.request).toMatch(unwound)
    else expect(state, payload.request).toBe(succeeded)
    expect(ends.get(payload.request), payload.request).toBe(!fails(number))
  }
  expect(await disagreements(world)).toEqual([])
  expect(await world.doctor()).toEqual([])
})
