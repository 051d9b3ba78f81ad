/**
 * A creation is cancelled at every point of its way, forwards and back. It ends in one of the two states, the caller is told what
 * the ledger says, and what has ended stays as it is.
 */
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Operations } from "../../../src/services/Operations.ts"
import { InstanceCreate } from "../reference/InstanceCreate.ts"
import type { Phase } from "../child.ts"
import { everything } from "../aftermath.ts"
import { startInProcess, type InProcess } from "../inProcess.ts"
import { creating, idsOf, openWorld, succeeded, unwound, type Create, type World } from "../world.ts"

let world: World
let worker: InProcess
beforeAll(async () => {
  world = await openWorld()
  worker = await startInProcess(world)
})
afterAll(async () => {
  await worker?.close()
  await world?.close()
})

const steps = ["record", "nic", "external", "switch", "boot"]
const phases: ReadonlyArray<Phase> = ["before", "inside", "after"]
const forward = ["saga/begin", ...steps.map((step) => `${step}/do`), "saga/succeeded"]
const backward = ["saga/unwind", "boot/undo", "switch/undo", "external/undo", "nic/undo", "record/undo", "saga/unwound"]

const agree: Record<string, RegExp> = {
  succeeded: new RegExp(`^${succeeded}$`),
  FlowCancelled: unwound,
  DeviceRefused: unwound,
}

/** What the ledger and the devices say of a flow fits the answer, which does not change any more. */
const expectAgreement = async (payload: Create, answer: string) => {
  const { operationId } = await idsOf(payload)
  const left = (await world.states()).get(operationId)
  expect(left, `${payload.request} answered ${answer}`).toMatch(agree[answer] ?? answer)
  const before = await everything(world)
  const ledger = "select state, error ->> '_tag' as error, finished_at from ipam.operation where operation_id = $1"
  const [ended] = await world.session.rows(ledger, [operationId])
  expect(ended?.["error"], payload.request).toBe(answer === "succeeded" ? null : answer)
  await worker.run(InstanceCreate.cancel(payload))
  expect(await worker.create(payload), `${payload.request} again`).toBe(answer)
  expect(await world.session.rows(ledger, [operationId])).toEqual([ended])
  expect(await everything(world)).toEqual(before)
}

/** Whether a cancellation still counts there: the ledger has decided nothing yet. */
const counts = (activity: string, phase: Phase) =>
  !backward.includes(activity) && (activity !== "saga/succeeded" || phase === "before")

describe.each([
  ["succeeds", "ok", forward],
  ["fails", "fail", backward],
] as const)("a flow that %s otherwise", (_, temper, activities) => {
  test.each(activities)("cancelled at %s, says what the ledger says, for ever", async (activity) => {
    const ends = await Promise.all(
      phases.map(async (phase) => {
        const payload = creating(`${temper}-${activity.replace("/", "-")}-${phase}`, temper)
        const hold = worker.hold((await idsOf(payload)).executionId, activity, phase)
        const answer = worker.create(payload)
        await hold.reached
        await worker.cancel(payload)
        hold.open()
        return { phase, payload, answer: await answer }
      }),
    )
    for (const { phase, payload, answer } of ends) {
      const otherwise = temper === "ok" ? "succeeded" : "DeviceRefused"
      expect(answer, phase).toBe(counts(activity, phase) ? "FlowCancelled" : otherwise)
      await expectAgreement(payload, answer)
    }
  })
})

describe("a flow that waits", () => {
  test("for a row of the ledger unwinds once it has it", async () => {
    const blocker = world.database.session()
    for (const table of ["reference.instance", "ipam.allocation"]) {
      const payload = creating(`waits for ${table}`)
      await blocker.run(`begin; lock table ${table} in share row exclusive mode`)
      const answer = worker.create(payload)
      await blocker.until(
        "select from pg_locks where not granted and relation = $1::text::regclass and pid <> pg_backend_pid()",
        [table],
      )
      await worker.cancel(payload)
      await blocker.run("commit")
      expect(await answer, table).toBe("FlowCancelled")
      await expectAgreement(payload, "FlowCancelled")
    }
  })

  test.each(["ports", "machines"])("for an answer of the %s unwinds once it has it", async (kind) => {
    const payload = creating(`waits for ${kind}`)
    const asked = Promise.withResolvers<void>()
    const answered = Promise.withResolvers<void>()
    world.devices.hook = (when, request) => {
      if (when !== "after" || !request.startsWith(`PUT ${kind}`)) return
      asked.resolve()
      return answered.promise
    }
    const answer = worker.create(payload)
    await asked.promise
    await worker.cancel(payload)
    world.devices.hook = undefined
    answered.resolve()
    expect(await answer).toBe("FlowCancelled")
    await expectAgreement(payload, "FlowCancelled")
  })
})

test("a flow that was cancelled before it was started never runs, and the ledger says why", async () => {
  const payload = creating("never started")
  const { executionId } = await idsOf(payload)
  const cancelled = await worker.run(InstanceCreate.cancel(payload))
  expect(cancelled).toMatchObject({ outcome: "cancelled", state: "unwound", kind: "InstanceCreate" })
  expect(await worker.create(payload)).toBe("OperationEnded")
  expect(worker.done(executionId)).toEqual(["saga/begin"])
  const [ended] = await world.session.rows(
    "select error ->> '_tag' as error from ipam.operation where operation_id = $1",
    [cancelled.operationId],
  )
  expect(ended).toEqual({ error: "FlowCancelled" })
  expect(await worker.run(InstanceCreate.cancel(payload))).toMatchObject({ outcome: "operation_ended" })
  expect(await worker.run(InstanceCreate.resume(payload))).toMatchObject({ outcome: "operation_ended" })
})

test("a flow whose operation unwinds already does not go forward, though nothing of it is recorded", async () => {
  const payload = creating("unwinds already")
  const { executionId, operationId } = await idsOf(payload)
  const beginning = { operationId, kind: InstanceCreate.name, targets: [{ kind: "instance", id: payload.instance }] }
  await worker.run(
    Operations.use(({ beginOperation, unwindOperation }) =>
      beginOperation({ ...beginning, payload, executionId }).pipe(Effect.andThen(unwindOperation({ operationId }))),
    ),
  )
  expect(await worker.create(payload)).toBe("FlowCancelled")
  expect(worker.done(executionId)).toEqual(["saga/begin", "record/do", "saga/unwind", "record/undo", "saga/unwound"])
  expect((await world.states()).get(operationId)).toMatch(unwound)
  await expectAgreement(payload, "FlowCancelled")
})

test("nothing is left of all that", async () => {
  const { instances, doctor, pending } = await everything(world)
  expect(doctor).toEqual([])
  expect(pending).toEqual([])
  // Those that were cancelled after they had succeeded.
  expect(instances.map(({ id }) => id)).toEqual(["ok-saga-succeeded-after", "ok-saga-succeeded-inside"])
})
