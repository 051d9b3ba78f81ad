/**
 * Deleting an instance, the mirror of creating one. It only goes forward: a device that is down is asked again until it answers.
 * A creation that is under way is cancelled first, and its end is waited for.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Allocator } from "../../../src/services/Allocator.ts"
import { IpamError } from "../../../src/errors/errors.ts"
import { Vrf } from "../../../src/domain/identity.ts"
import { Operations } from "../../../src/services/Operations.ts"
import { currentRun } from "../../../src/saga/run.ts"
import * as Saga from "../../../src/saga/Saga.ts"
import { step } from "../../../src/saga/step.ts"
import { Devices, DeviceUnavailable } from "./Devices.ts"
import { InstanceCreate } from "./InstanceCreate.ts"
import { Instances } from "./Instances.ts"

export const InstanceDelete = Saga.make("InstanceDelete", {
  payload: {
    /** Chosen by the caller: the same request is the same flow. */
    request: Schema.String,
    vrf: Vrf,
    instance: Schema.String,
  },
  idempotencyKey: ({ request }) => request,
  vrf: ({ vrf }) => vrf,
  targets: ({ instance }) => [{ kind: "instance", id: instance }],
  /** Whether there was an instance to delete. */
  success: Schema.Struct({ deleted: Schema.Boolean }),
  error: DeviceUnavailable,
})

const forward = {
  error: Schema.Union([IpamError, DeviceUnavailable]),
  repeat: () => true,
  repeatFor: "1000 days",
} as const

export const InstanceDeleteLive = InstanceDelete.toLayer(
  Effect.fnUntraced(function* ({ vrf, instance }) {
    const devices = yield* Devices
    const instances = yield* Instances
    const allocator = yield* Allocator
    const operations = yield* Operations
    const { operationId: own } = yield* currentRun

    const others = { vrf, kind: "instance", id: instance, exceptOperationId: own }
    // The gate waits for beginnings in flight, so the list that follows it has every creation that was begun before.
    const creations = Effect.flatMap(operations.hasPendingOperation(others), (shut) =>
      shut
        ? Effect.map(operations.pendingOperations(others), (all) =>
            all.filter(({ kind }) => kind === InstanceCreate.name),
          )
        : Effect.succeed([]),
    )
    yield* step("cancel", {
      ...forward,
      do: Effect.gen(function* () {
        for (let left = yield* creations; left.length > 0; left = yield* creations) {
          for (const { payload } of left) yield* InstanceCreate.cancel(payload)
          yield* Effect.sleep("100 millis")
        }
      }),
    })
    const found = yield* step("find", {
      ...forward,
      do: Effect.map(instances.find(vrf, instance), (record) => record?.operationId ?? null),
      success: Schema.NullOr(Schema.String),
    })
    if (found === null) return { deleted: false }
    yield* step("remove", { ...forward, do: devices.remove(found) })
    yield* step("disconnect", {
      ...forward,
      do: Effect.gen(function* () {
        for (const one of yield* allocator.list({ vrf, requestId: found })) {
          if (one.address === null || one.generation === null) continue
          yield* devices.disconnect({ vrf, address: one.address, generation: one.generation })
        }
      }).pipe(Effect.catchTag("UnknownPool", Effect.die)),
    })
    yield* step("release", { ...forward, do: Effect.asVoid(allocator.releaseAll({ vrf, requestId: found })) })
    yield* step("forget", { ...forward, do: instances.markGone(vrf, instance, found) })
    return { deleted: true }
  }),
)
