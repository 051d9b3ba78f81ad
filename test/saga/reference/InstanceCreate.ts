/**
 * Creating an instance, as a control plane does it: recorded first, then its addresses, the switch, the machine; its
 * end confirms the addresses. Whatever fails, everything is given back.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { IpamError } from "../../../src/errors/errors.ts"
import { Vrf } from "../../../src/domain/identity.ts"
import { allocateStep } from "../../../src/saga/addresses.ts"
import { currentRun } from "../../../src/saga/run.ts"
import * as Saga from "../../../src/saga/Saga.ts"
import { step } from "../../../src/saga/step.ts"
import { DeviceRefused, Devices, DeviceUnavailable } from "./Devices.ts"
import { Instances } from "./Instances.ts"

/** An instance of this id is there, or is being created by another flow. */
export class InstanceExists extends Schema.TaggedError<InstanceExists>()("InstanceExists", {
  instance: Schema.String,
}) {
  override get message(): string {
    return `There is an instance ${JSON.stringify(this.instance)} already`
  }
}

const Pools = Schema.Struct({ v4: Schema.String, v6: Schema.String, external: Schema.String })

export const InstanceCreate = Saga.make("InstanceCreate", {
  payload: {
    /** Chosen by the caller: the same request is the same flow. */
    request: Schema.String,
    vrf: Vrf,
    instance: Schema.String,
    pools: Pools,
    /** How the fake hypervisor shall behave; `ok` when left out. */
    temper: Schema.Literals(["ok", "fail", "hang", "late"]).pipe(
      Schema.withDecodingDefault(Effect.succeed("ok" as const)),
    ),
  },
  idempotencyKey: ({ request }) => request,
  vrf: ({ vrf }) => vrf,
  targets: ({ instance }) => [{ kind: "instance", id: instance }],
  success: Schema.Struct({ instance: Schema.String, addresses: Schema.Array(Schema.String) }),
  error: Schema.Union([InstanceExists, DeviceRefused, DeviceUnavailable]),
})

export const InstanceCreateLive = InstanceCreate.toLayer(
  Effect.fnUntraced(function* ({ vrf, instance, pools, temper }) {
    const devices = yield* Devices
    const instances = yield* Instances
    const { operationId } = yield* currentRun
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
        devices.boot(operationId, instance, temper),
        instances.markRunning(vrf, instance, operationId),
      ),
      undo: devices.remove(operationId),
      error: Schema.Union([IpamError, DeviceRefused, DeviceUnavailable]),
      repeatFor: "5 seconds",
    })
    return { instance, addresses: ports.map(({ address }) => address) }
  }),
)
