/** The sagas of the demo, as `saga-ipam worker` executes them: an instance is created with three addresses, and deleted. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { IpamError } from "../errors/errors.ts"
import { allocateStep } from "../saga/allocateStep.ts"
import * as Saga from "../saga/Saga.ts"
import { step } from "../saga/step.ts"
import { Allocator } from "../services/Allocator.ts"

/** The machine of the instance does not start. */
class MachineFailed extends Schema.TaggedError<MachineFailed>()("MachineFailed", { instance: Schema.String }) {}

const identity = { request: Schema.String, vrf: Schema.String, instance: Schema.String }

export const InstanceCreate = Saga.make("InstanceCreate", {
  payload: {
    ...identity,
    pools: Schema.Struct({ v4: Schema.String, v6: Schema.String, external: Schema.String }),
    /** Whether its machine fails on purpose. */
    fails: Schema.Boolean,
  },
  idempotencyKey: ({ request }) => request,
  targets: ({ instance }) => [{ kind: "instance", id: instance }],
  vrf: ({ vrf }) => vrf,
  error: MachineFailed,
})

export const InstanceDelete = Saga.make("InstanceDelete", {
  payload: {
    ...identity,
    /** The operation that created it. */
    created: Schema.String,
  },
  idempotencyKey: ({ request }) => request,
  targets: ({ instance }) => [{ kind: "instance", id: instance }],
  vrf: ({ vrf }) => vrf,
})

const creating = InstanceCreate.toLayer(
  Effect.fnUntraced(function* ({ vrf, instance, pools, fails }) {
    const owner = { kind: "instance", id: instance }
    const slots = [
      { slot: "v4", pool: pools.v4 },
      { slot: "v6", pool: pools.v6 },
    ]
    yield* allocateStep("nic", { vrf, owner, slots })
    yield* allocateStep("external", { vrf, owner, slots: [{ slot: "v4", pool: pools.external }] })
    yield* step("boot", {
      do: fails ? Effect.fail(new MachineFailed({ instance })) : Effect.void,
      error: MachineFailed,
    })
  }),
)

const deleting = InstanceDelete.toLayer(
  Effect.fnUntraced(function* ({ vrf, created }) {
    yield* step("release", {
      do: Allocator.use((allocator) => allocator.releaseAll({ vrf, requestId: created })),
      error: IpamError,
    })
  }),
)

export const demoSagas = Layer.merge(creating, deleting)
