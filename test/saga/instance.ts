/** Creating an instance on the saga log: what the tests of workers in processes of their own run. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { IpamError } from "../../src/errors/errors.ts"
import { allocateStep } from "../../src/saga/allocateStep.ts"
import { CurrentRun } from "../../src/saga/run.ts"
import * as Saga from "../../src/saga/Saga.ts"
import { step } from "../../src/saga/step.ts"
import { DeviceRefused, Devices, DeviceUnavailable } from "./datacenter/Devices.ts"
import { Instances } from "./datacenter/Instances.ts"

/** An instance of this id exists, or is being created by another operation. */
class InstanceExists extends Schema.TaggedError<InstanceExists>()("InstanceExists", { instance: Schema.String }) {}

export const InstanceCreate = Saga.make("InstanceCreate", {
  payload: {
    request: Schema.String,
    vrf: Schema.String,
    instance: Schema.String,
    pools: Schema.Struct({ v4: Schema.String, v6: Schema.String, external: Schema.String }),
    faultMode: Schema.Literals(["ok", "fail", "hang", "late"]),
  },
  idempotencyKey: ({ request }) => request,
  targets: ({ instance }) => [{ kind: "instance", id: instance }],
  success: Schema.Array(Schema.String),
  error: Schema.Union([InstanceExists, DeviceRefused, DeviceUnavailable]),
})

/** The saga for the workers; the devices and the table of instances are theirs. */
export const instanceCreate = InstanceCreate.toLayer(
  Effect.fnUntraced(function* ({ vrf, instance, pools, faultMode }) {
    const devices = yield* Devices
    const instances = yield* Instances
    const { operationId } = yield* CurrentRun
    const owner = { kind: "instance", id: instance }
    yield* step("record", {
      do: Effect.flatMap(instances.record(vrf, instance, operationId), (recorded) =>
        recorded ? Effect.void : Effect.fail(new InstanceExists({ instance })),
      ),
      undo: instances.markGone(vrf, instance, operationId),
      error: Schema.Union([IpamError, InstanceExists]),
    })
    const nic = yield* allocateStep("nic", {
      vrf,
      owner,
      slots: [
        { slot: "v4", pool: pools.v4 },
        { slot: "v6", pool: pools.v6 },
      ],
    })
    const external = yield* allocateStep("external", { vrf, owner, slots: [{ slot: "v4", pool: pools.external }] })
    const ports = [...nic, ...external]
    yield* step("switch", {
      do: Effect.forEach(ports, (port) => devices.connect(port, instance), { discard: true }),
      undo: Effect.forEach(ports, (port) => devices.disconnect(port), { discard: true }),
      error: Schema.Union([DeviceRefused, DeviceUnavailable]),
      repeat: ({ _tag }) => _tag === "DeviceUnavailable",
      repeatFor: "1 minute",
    })
    yield* step("boot", {
      do: Effect.andThen(
        devices.boot(operationId, instance, faultMode),
        instances.markRunning(vrf, instance, operationId),
      ),
      undo: devices.remove(operationId),
      error: Schema.Union([IpamError, DeviceRefused, DeviceUnavailable]),
      repeatFor: "5 seconds",
    })
    return ports.map(({ address }) => address)
  }),
)

export type Create = Parameters<typeof InstanceCreate.execute>[0]

/** The saga for the workers, with the devices at a URL. */
export const instanceCreateLayer = (devicesUrl: string) =>
  Layer.provide(instanceCreate, [Devices.layer(devicesUrl), Instances.layer])
