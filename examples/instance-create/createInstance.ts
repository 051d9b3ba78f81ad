/**
 * Creating an instance, as a saga of saga-ipam: `saga-ipam worker createInstance.ts` executes it.
 *
 * The log keeps what each step returns, and the addresses end with the saga: confirmed if it succeeds, released if it unwinds.
 */
import * as Schema from "effect/Schema"
import { isRepeatable, saga } from "saga-ipam/promise"
import { connectDatacenter, Unanswered } from "../datacenter/client.ts"

const datacenter = connectDatacenter(process.env["DATACENTER_URL"] ?? "http://127.0.0.1:24440")

/** Any schema of the Standard Schema specification would do. */
const payload = Schema.toStandardSchemaV1(
  Schema.Struct({
    request: Schema.String,
    instance: Schema.String,
    pools: Schema.Struct({ v4: Schema.String, v6: Schema.String, external: Schema.String }),
  }),
)

const repeat = (thrown: unknown): boolean => isRepeatable(thrown) || thrown instanceof Unanswered

export const InstanceCreate = saga(
  "InstanceCreate",
  {
    payload,
    idempotencyKey: ({ request }) => request,
    targets: ({ instance }) => [{ kind: "instance", id: instance }],
  },
  async ({ operationId, step, allocateStep }, { instance, pools }) => {
    const owner = { kind: "instance", id: instance }
    await step("record", {
      do: () => datacenter.record(operationId, instance),
      undo: () => datacenter.forget(operationId),
      repeat,
    })
    const nic = await allocateStep("nic", {
      owner,
      slots: [
        { slot: "v4", pool: pools.v4 },
        { slot: "v6", pool: pools.v6 },
      ],
    })
    const external = await allocateStep("external", { owner, slots: [{ slot: "v4", pool: pools.external }] })
    const ports = [...nic, ...external].map(({ address, generation }) => ({ address, generation: String(generation) }))
    await step("connect", {
      do: () => datacenter.connect(instance, ports),
      undo: () => datacenter.disconnect(ports),
      repeat,
    })
    await step("boot", {
      do: () => datacenter.boot(operationId, instance),
      undo: () => datacenter.remove(operationId),
      repeat,
    })
    return { instance, addresses: ports.map(({ address }) => address) }
  },
)
