/** What is left when a saga has ended: everything that anybody can see, and what becomes of calls of it that arrive late. */
import * as Effect from "effect/Effect"
import { Allocator } from "../../src/services/Allocator.ts"
import { Devices } from "./datacenter/Devices.ts"
import { Instances } from "./datacenter/Instances.ts"
import type { Create, World } from "./world.ts"

/** A saga that unwound must leave all of this as it found it. */
export const everything = async ({ session, devices, doctor }: World) => ({
  allocations: await session.rows(
    "select request_id, slot, host(unit) as address, generation::text, expires_at from ipam.allocation where released_at is null order by 1, 2",
  ),
  held: await session.rows(
    "select pool_id::text, sum(held)::text as held from ipam.pool_counter group by 1 order by 1",
  ),
  instances: await session.rows("select * from reference.instance where state <> 'gone' order by id"),
  ports: new Map([...devices.ports].filter(([, port]) => port.instance !== null)),
  machines: new Map([...devices.machines].filter(([, machine]) => machine.state === "running")),
  pending: await session.rows("select operation_id from ipam.operation where pending"),
  doctor: await doctor(),
})

/** What a saga was given, whether it has it still or not. */
export const addressesOf = async ({ session }: World, operationId: string) =>
  (await session.rows(
    `select split_part(slot, '/', 1) as step, host(unit) as address, generation::text, released_at::text
     from ipam.allocation where request_id = $1 and unit is not null order by slot`,
    [operationId],
  )) as unknown as ReadonlyArray<{
    readonly step: string
    readonly address: string
    readonly generation: string
    readonly released_at: string | null
  }>

type Calls = Record<string, Effect.Effect<unknown, unknown>>

/** Makes the calls of a saga again, those of the steps named, and answers which were not refused. */
export const callAgain = (
  {
    requestId,
    payload: { instance, pools },
    addresses,
    steps,
  }: {
    readonly requestId: string
    readonly payload: Create
    readonly addresses: ReadonlyArray<{ readonly address: string; readonly generation: string }>
    readonly steps: ReadonlyArray<string>
  },
  which: "do" | "undo",
) =>
  Effect.gen(function* () {
    const allocator = yield* Allocator
    const devices = yield* Devices
    const instances = yield* Instances
    const ports = addresses.map(({ address, generation }) => ({
      vrf: "default",
      address,
      generation: BigInt(generation),
    }))
    const slots = {
      nic: [
        { slot: "nic/v4", pool: pools.v4 },
        { slot: "nic/v6", pool: pools.v6 },
      ],
      external: [{ slot: "external/v4", pool: pools.external }],
    }
    const asked = { requestId, owner: { kind: "instance", id: instance }, ttlSeconds: 86_400 }
    const namesOf = (of: ReadonlyArray<{ readonly slot: string }>) => of.map(({ slot }) => slot)
    const forward: Calls = {
      record: Effect.filterOrFail(instances.record("default", instance, requestId), (recorded) => recorded),
      nic: allocator.allocateMany({ ...asked, slots: slots.nic }),
      external: allocator.allocateMany({ ...asked, slots: slots.external }),
      switch: Effect.forEach(ports, (port) => devices.connect(port, instance)),
      boot: Effect.andThen(
        devices.boot(requestId, instance, "ok"),
        instances.markRunning("default", instance, requestId),
      ),
    }
    const backward: Calls = {
      boot: devices.remove(requestId),
      switch: Effect.forEach(ports, (port) => devices.disconnect(port)),
      external: allocator.releaseMany({ requestId, slots: namesOf(slots.external) }),
      nic: allocator.releaseMany({ requestId, slots: namesOf(slots.nic) }),
      record: instances.markGone("default", instance, requestId),
    }
    const calls = Object.entries(which === "do" ? forward : backward).filter(([step]) => steps.includes(step))
    const accepted = yield* Effect.forEach(calls, ([step, call]) =>
      Effect.match(call, { onFailure: () => [], onSuccess: () => [step] }),
    )
    return accepted.flat()
  })
