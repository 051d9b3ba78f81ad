/**
 * Creating an instance, as a workflow of DBOS. The id of the workflow is that of the operation, a UUID that the starter chose.
 *
 * DBOS records what each step returns. A step that a crash interrupted runs again, which is safe here: every call is idempotent by the id
 * of the operation or by the generation of an address. Addresses need no undo, since they end with the operation.
 */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { isRepeatable, type Ipam, type KeyRecord } from "saga-ipam/promise"
import { Unanswered, type Datacenter, type Port } from "../datacenter/client.ts"

export interface InstanceCreate {
  readonly instance: string
  readonly pools: { readonly v4: string; readonly v6: string; readonly external: string }
}

export const registerCreateInstance = (ipam: Ipam, datacenter: Datacenter) => {
  const run = async ({ instance, pools }: InstanceCreate): Promise<ReadonlyArray<string>> => {
    const operationId = DBOS.workflowID ?? ""
    const owner = { kind: "instance", id: instance }
    const step = <A>(name: string, act: () => Promise<A>) =>
      DBOS.runStep(() => act().catch(rethrow), { name, ...unlimited, shouldRetry: isTransient })
    const undo = <A>(name: string, act: () => Promise<A>) => DBOS.runStep(act, { name, ...unlimited })

    const { state, result } = await step("begin", () =>
      ipam.beginOperation({
        operationId,
        kind: "InstanceCreate",
        payload: { instance, pools },
        targets: [owner],
        executionId: operationId,
        // A workflow that is cancelled in DBOS takes no further step: reclaim unwinds its operation a week after its last call.
        expiresInSeconds: 604_800,
      }),
    )
    if (state === "succeeded") return result as ReadonlyArray<string>
    let addresses: ReadonlyArray<string> = []
    try {
      if (state !== "pending") throw new Error(`the operation is ${state}`)
      await step("record", () => datacenter.record(operationId, instance))
      const nic = await step("allocate nic", async () => {
        const slots = [
          { slot: "nic/v4", pool: pools.v4 },
          { slot: "nic/v6", pool: pools.v6 },
        ]
        return toPorts(await ipam.allocateMany({ requestId: operationId, owner, slots }))
      })
      const external = await step("allocate external", async () =>
        toPorts([await ipam.allocate({ requestId: operationId, owner, slot: "external", pool: pools.external })]),
      )
      const ports = [...nic, ...external]
      addresses = ports.map(({ address }) => address)
      await step("connect", () => datacenter.connect(instance, ports))
      await step("boot", () => datacenter.boot(operationId, instance))
      await step("finish", () => ipam.finishOperation({ operationId, state: "succeeded", result: [...addresses] }))
      return addresses
    } catch (error) {
      // The ledger decides: if the operation has succeeded and only the answer was lost, nothing may be undone.
      const decided = await undo("unwind", async () => (await ipam.unwindOperation({ operationId })).state)
      if (decided === "succeeded") return addresses
      await undo("remove", () => datacenter.remove(operationId))
      await undo("disconnect", async () => datacenter.disconnect(toPorts(await ipam.list({ requestId: operationId }))))
      await undo("forget", () => datacenter.forget(operationId))
      await undo("unwound", () =>
        ipam.finishOperation({ operationId, state: "unwound", error: (error as Error).message }),
      )
      throw error
    }
  }
  return DBOS.registerWorkflow(run, { name: "InstanceCreate" })
}

const unlimited = { retriesAllowed: true, maxAttempts: Number.POSITIVE_INFINITY, intervalSeconds: 0.1, backoffRate: 1 }

const isTransient = (error: unknown): boolean => isRepeatable(error) || error instanceof Unanswered

/** DBOS records the own properties of an error. The messages of saga-ipam's errors are computed, so a plain error carries them. */
const rethrow = (error: unknown): never => {
  throw isTransient(error) ? error : new Error(String(error))
}

const toPorts = (records: ReadonlyArray<KeyRecord>): ReadonlyArray<Port> =>
  records.flatMap(({ address, generation }) =>
    address === null || generation === null ? [] : [{ address, generation: String(generation) }],
  )
