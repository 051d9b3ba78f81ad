/** Engines of several databases and roles. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { WorkflowEngine } from "effect/workflow/WorkflowEngine"
import { expect, onTestFinished, test } from "vitest"
import { starterLayer } from "../../src/saga/engine.ts"
import { createDatabase } from "../harness/database.ts"

test("a role that may not use the engine's schema is told so", async () => {
  const database = await createDatabase()
  onTestFinished(database.drop)
  const open = (url: string) => Effect.runPromise(Effect.scoped(Effect.result(Layer.build(starterLayer({ url })))))
  expect(await open(database.url())).toMatchObject({ _tag: "Success" })
  const reason = expect.stringMatching(/; the role needs the schema ipam_engine and its tables/) as unknown
  expect(await open(database.url("ipam_operator"))).toMatchObject({
    _tag: "Failure",
    failure: { _tag: "NotPermitted", reason },
  })
})

test("each layer has an engine of its own, whoever it is given to", async () => {
  const starterOf = async () => {
    const database = await createDatabase()
    onTestFinished(database.drop)
    return starterLayer({ url: database.url() })
  }
  const [here, there] = [await starterOf(), await starterOf()]
  const engines: Array<WorkflowEngine["Service"]> = []
  const keep = (starter: typeof here) =>
    Layer.effectDiscard(Effect.map(WorkflowEngine, (engine) => engines.push(engine))).pipe(Layer.provide(starter))
  await Effect.runPromise(Effect.scoped(Layer.build(Layer.mergeAll(keep(here), keep(there), keep(here)))))
  expect(engines).toHaveLength(3)
  expect(new Set(engines).size).toBe(2)
})
