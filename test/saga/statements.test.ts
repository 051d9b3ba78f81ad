/** What a saga costs: every statement is a round trip and a commit, so they are counted, the same on any machine. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { expect, test } from "vitest"
import { Database } from "../../src/database/Database.ts"
import { allocateStep } from "../../src/saga/allocateStep.ts"
import { CurrentRun } from "../../src/saga/run.ts"
import * as Saga from "../../src/saga/Saga.ts"
import { SagaWorker } from "../../src/saga/SagaWorker.ts"
import { step } from "../../src/saga/step.ts"
import { Instances } from "./datacenter/Instances.ts"
import { Allocator } from "../../src/services/Allocator.ts"
import { Operations } from "../../src/services/Operations.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase()

class BootFailed extends Schema.TaggedError<BootFailed>()("BootFailed", {}) {}

const Create = Saga.make("InstanceCreate", {
  payload: { instance: Schema.String, boots: Schema.Boolean },
  idempotencyKey: ({ instance }) => instance,
  targets: ({ instance }) => [{ kind: "instance", id: instance }],
  success: Schema.Array(Schema.String),
  error: BootFailed,
})

/** The creation of an instance, with a switch and a hypervisor that answer at once. */
const CreateLive = Create.toLayer(
  Effect.fnUntraced(function* ({ instance, boots }) {
    const instances = yield* Instances
    const { operationId } = yield* CurrentRun
    const owner = { kind: "instance", id: instance }
    yield* step("record", {
      do: Effect.orDie(instances.record("default", instance, operationId)),
      undo: instances.markGone("default", instance, operationId),
    })
    const nic = yield* allocateStep("nic", {
      owner,
      slots: [
        { slot: "v4", pool: "v4" },
        { slot: "v6", pool: "v6" },
      ],
    })
    const external = yield* allocateStep("external", { owner, slots: [{ slot: "v4", pool: "external" }] })
    yield* step("switch", { do: Effect.void, undo: Effect.void })
    yield* step("boot", {
      do: boots ? Effect.orDie(instances.markRunning("default", instance, operationId)) : Effect.fail(new BootFailed()),
      undo: Effect.void,
      error: BootFailed,
    })
    return [...nic, ...external].map(({ address }) => address)
  }),
)

/** What a worker sends whether it has sagas or not. */
const upkeep = new Set(["claim_sagas", "renew_lease"])

test("creating an instance takes at most 12 statements, each a commit, and undoing it 15", async () => {
  const owner = database().session()
  for (const [name, range] of [
    ["v4", "10.0.0.0/24"],
    ["v6", "fd00::/64"],
    ["external", "192.0.2.0/24"],
  ] as const) {
    await owner.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [name, range])
  }
  const sent: Array<string> = []
  const counting = Layer.effect(
    Database,
    Effect.map(Database, (inner) =>
      Database.of({
        ...inner,
        query: (statement, parameters, context) =>
          Effect.suspend(() => {
            if (!upkeep.has(context.call)) sent.push(context.call)
            return inner.query(statement, parameters, context)
          }),
      }),
    ),
  ).pipe(Layer.provide(Database.layer(database().options())))
  const runtime = ManagedRuntime.make(
    CreateLive.pipe(
      Layer.provide(Instances.layer),
      Layer.provideMerge(SagaWorker.layer()),
      Layer.provideMerge(Layer.mergeAll(Allocator.layer, Operations.layer)),
      Layer.provideMerge(counting),
    ),
  )
  // A worker that has run one holds its lease, and is given what is started beside it.
  await runtime.runPromise(Create.execute({ instance: "i-0", boots: true }))

  sent.length = 0
  expect(await runtime.runPromise(Create.execute({ instance: "i-1", boots: true }))).toHaveLength(3)
  expect(sent).toEqual([
    "start_saga",
    "advance_saga",
    "reference.record",
    "advance_saga",
    "allocate_many",
    "allocate_many",
    "advance_saga",
    "advance_saga",
    "reference.mark_running",
    "finish_saga",
  ])

  sent.length = 0
  await runtime.runPromiseExit(Create.execute({ instance: "i-2", boots: false }))
  expect(sent.filter((call) => call === "finish_saga")).toHaveLength(1)
  expect(sent.length).toBeLessThanOrEqual(15)
  await runtime.dispose()
})
