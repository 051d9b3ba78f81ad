/**
 * Creating an instance, as a workflow of Restate. The key of the workflow is the id of the operation, a UUID that the starter chose.
 *
 * Restate records what each step returns. A step that a crash interrupted runs again, which is safe here: every call is idempotent by the
 * id of the operation or by the generation of an address. Addresses need no undo, since they end with the operation.
 */
import * as restate from "@restatedev/restate-sdk"
import { isRepeatable, type Ipam, type KeyRecord } from "saga-ipam/promise"
import { Unanswered, type Datacenter, type Port } from "../datacenter/client.ts"

export interface InstanceCreate {
  readonly instance: string
  readonly pools: { readonly v4: string; readonly v6: string; readonly external: string }
}

export const createInstance = (ipam: Ipam, datacenter: Datacenter) => {
  const run = async (ctx: restate.WorkflowContext, { instance, pools }: InstanceCreate): Promise<Array<string>> => {
    const operationId = ctx.key
    const owner = { kind: "instance", id: instance }
    const step = <A>(name: string, act: () => Promise<A>) => ctx.run(name, () => act().catch(rethrow), unlimited)
    const undo = <A>(name: string, act: () => Promise<A>) => ctx.run(name, act, unlimited)

    const { state, result } = await step("begin", async () => {
      const begun = await ipam.beginOperation({
        operationId,
        kind: "InstanceCreate",
        payload: { instance, pools },
        targets: [owner],
        executionId: ctx.request().id,
        // If Restate loses the workflow, reclaim unwinds the operation a week after its last call.
        expiresInSeconds: 604_800,
      })
      return { state: begun.state, result: begun.result as Array<string> }
    })
    if (state === "succeeded") return result
    let addresses: Array<string> = []
    try {
      if (state !== "pending") throw new restate.TerminalError(`the operation is ${state}`)
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
      await step("finish", async () => {
        await ipam.finishOperation({ operationId, state: "succeeded", result: addresses })
      })
      return addresses
    } catch (error) {
      // With other errors Restate interrupts an attempt that it continues later.
      if (!(error instanceof restate.TerminalError)) throw error
      // The ledger decides: if the operation has succeeded and only the answer was lost, nothing may be undone.
      const decided = await undo("unwind", async () => (await ipam.unwindOperation({ operationId })).state)
      if (decided === "succeeded") return addresses
      await undo("remove", () => datacenter.remove(operationId))
      await undo("disconnect", async () => datacenter.disconnect(toPorts(await ipam.list({ requestId: operationId }))))
      await undo("forget", () => datacenter.forget(operationId))
      await undo("unwound", async () => {
        await ipam.finishOperation({ operationId, state: "unwound", error: error.message })
      })
      throw error
    }
  }
  return restate.workflow({ name: "InstanceCreate", handlers: { run } })
}

/** A retry policy of the step's own, without a limit: the one of the server pauses the workflow after some attempts. */
const unlimited = { initialRetryInterval: 100, maxRetryInterval: 5000 }

/** Restate retries a step unless it throws a `TerminalError`: transient failures stay what they are, and every other error becomes one. */
const rethrow = (error: unknown): never => {
  throw isRepeatable(error) || error instanceof Unanswered ? error : new restate.TerminalError(String(error))
}

/** The generation as text, since Restate records JSON, which has no bigints. */
const toPorts = (records: ReadonlyArray<KeyRecord>): Array<Port> =>
  records.flatMap(({ address, generation }) =>
    address === null || generation === null ? [] : [{ address, generation: String(generation) }],
  )
