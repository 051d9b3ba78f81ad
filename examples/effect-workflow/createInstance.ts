/**
 * Creating an instance, as a workflow of Effect. Its payload carries the id of the operation, a UUID that the starter chose.
 *
 * The engine records what each activity returns. One that a crash interrupted runs again, which is safe here: every call is idempotent by
 * the id of the operation or by the generation of an address. Addresses need no undo, since they end with the operation.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Activity from "effect/workflow/Activity"
import * as Workflow from "effect/workflow/Workflow"
import { isRepeatable, type Ipam, type KeyRecord } from "saga-ipam/promise"
import { Unanswered, type Datacenter } from "../datacenter/client.ts"

/** Why an instance could not be created. */
export class Failed extends Schema.TaggedError<Failed>()("Failed", { message: Schema.String }) {}

const Addresses = Schema.Array(Schema.String)
const Ports = Schema.Array(Schema.Struct({ address: Schema.String, generation: Schema.String }))

export const InstanceCreate = Workflow.make("InstanceCreate", {
  payload: {
    operationId: Schema.String,
    instance: Schema.String,
    pools: Schema.Struct({ v4: Schema.String, v6: Schema.String, external: Schema.String }),
  },
  idempotencyKey: ({ operationId }) => operationId,
  success: Addresses,
  error: Failed,
})

export const createInstanceLayer = (ipam: Ipam, datacenter: Datacenter) =>
  InstanceCreate.toLayer(
    Effect.fnUntraced(function* ({ operationId, instance, pools }, executionId) {
      const owner = { kind: "instance", id: instance }
      const begun = yield* step("begin", Schema.Struct({ state: Schema.String, result: Schema.Unknown }), async () => {
        const { state, result } = await ipam.beginOperation({
          operationId,
          kind: "InstanceCreate",
          payload: { instance, pools },
          targets: [owner],
          executionId,
          // If the engine loses the workflow, reclaim unwinds the operation a week after its last call.
          expiresInSeconds: 604_800,
        })
        return { state, result }
      })
      if (begun.state === "succeeded") return begun.result as typeof Addresses.Type

      yield* InstanceCreate.withCompensation(Effect.void, (_, cause) =>
        Effect.gen(function* () {
          // The ledger decides: if the operation has succeeded and only the answer was lost, nothing may be undone.
          const unwind = async () => (await ipam.unwindOperation({ operationId })).state
          if ((yield* undo("unwind", Schema.String, unwind)) === "succeeded") return
          yield* undo("remove", Schema.Void, () => datacenter.remove(operationId))
          const held = async () => toPorts(await ipam.list({ requestId: operationId }))
          yield* undo("disconnect", Schema.Void, async () => datacenter.disconnect(await held()))
          yield* undo("forget", Schema.Void, () => datacenter.forget(operationId))
          yield* undo("unwound", Schema.Void, async () => {
            const error = Cause.prettyErrors(cause)[0]?.message ?? "cancelled"
            await ipam.finishOperation({ operationId, state: "unwound", error })
          })
        }),
      )
      if (begun.state !== "pending") return yield* new Failed({ message: `the operation is ${begun.state}` })

      yield* step("record", Schema.Void, () => datacenter.record(operationId, instance))
      const nic = yield* step("allocate nic", Ports, async () => {
        const slots = [
          { slot: "nic/v4", pool: pools.v4 },
          { slot: "nic/v6", pool: pools.v6 },
        ]
        return toPorts(await ipam.allocateMany({ requestId: operationId, owner, slots }))
      })
      const external = yield* step("allocate external", Ports, async () =>
        toPorts([await ipam.allocate({ requestId: operationId, owner, slot: "external", pool: pools.external })]),
      )
      const ports = [...nic, ...external]
      const addresses = ports.map(({ address }) => address)
      yield* step("connect", Schema.Void, () => datacenter.connect(instance, ports))
      yield* step("boot", Schema.Void, () => datacenter.boot(operationId, instance))
      yield* step("finish", Schema.Void, async () => {
        await ipam.finishOperation({ operationId, state: "succeeded", result: addresses })
      })
      return addresses
    }),
  )

const pauses = Schedule.spaced("100 millis")

/** Transient failures are retried; any other error is the result of the step. */
const step = <S extends Schema.Constraint>(name: string, success: S, act: () => Promise<S["Type"]>) =>
  Activity.make({
    name,
    success,
    error: Failed,
    execute: Effect.tryPromise({ try: act, catch: (error) => error }).pipe(
      Effect.retry({ while: (error) => isRepeatable(error) || error instanceof Unanswered, schedule: pauses }),
      Effect.mapError((error) => new Failed({ message: String(error) })),
    ),
  })

/** Retried until it succeeds, whatever goes wrong. */
const undo = <S extends Schema.Constraint>(name: string, success: S, act: () => Promise<S["Type"]>) =>
  Activity.make({
    name,
    success,
    execute: Effect.tryPromise(act).pipe(Effect.retry(pauses), Effect.orDie),
  })

const toPorts = (records: ReadonlyArray<KeyRecord>): typeof Ports.Type =>
  records.flatMap(({ address, generation }) =>
    address === null || generation === null ? [] : [{ address, generation: String(generation) }],
  )
