/**
 * An example: a workflow of DBOS that takes two addresses for an instance, and gives them back when the instance does not boot.
 *
 * DBOS replays the answers of steps that were recorded; a step that was under way in a crash is done again. The operation begins
 * before anything else and ends last, and its addresses end with it. A workflow that DBOS cancels does no step any more, so it
 * ends nothing: hence the operation has a time of its own, after which reclaim unwinds it.
 */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { isRepeatable, OperationEnded, operationIdOf, type Ipam } from "../../src/promise.ts"
import type { Machines } from "./machines.ts"

const endless = { retriesAllowed: true, maxAttempts: Number.POSITIVE_INFINITY, intervalSeconds: 0.1, backoffRate: 1 }
/** Nobody knows what became of it, or it passes: the same step again. Any other error is the answer. */
const whileUnanswered = {
  ...endless,
  shouldRetry: isRepeatable,
}

export const registerCreate = (ipam: Ipam, machines: Machines) => {
  const create = async (instance: string): Promise<ReadonlyArray<string>> => {
    const executionId = DBOS.workflowID ?? ""
    const operationId = operationIdOf(executionId)
    const ask = <A>(name: string, act: () => Promise<A>) => DBOS.runStep(act, { name, ...whileUnanswered })
    const insist = <A>(name: string, act: () => Promise<A>) => DBOS.runStep(act, { name, ...endless })

    const targets = [{ kind: "instance", id: instance }]
    const beginning = { operationId, kind: "Create", targets, executionId, expiresInSeconds: 86_400 }
    const begun = await ask("begin", async () => {
      const { state, result } = await ipam.beginOperation(beginning)
      return { state, addresses: result as ReadonlyArray<string> }
    })
    let { addresses } = begun
    if (begun.state === "succeeded") return addresses
    try {
      // Only what is pending goes forward: an earlier run, or a cancel, has decided that this one unwinds.
      if (begun.state !== "pending")
        throw new OperationEnded({ vrf: "default", requestId: operationId, status: begun.state })
      const slots = [
        { slot: "nic/v4", pool: "v4" },
        { slot: "nic/v6", pool: "v6" },
      ]
      addresses = await ask("allocate", async () => {
        const taken = await ipam.allocateMany({ requestId: operationId, slots })
        return taken.map(({ address }) => address)
      })
      await DBOS.runStep(() => machines.boot(operationId, addresses), { name: "boot" })
      await ask("finish", () => ipam.finishOperation({ operationId, state: "succeeded", result: [...addresses] }))
      return addresses
    } catch (error) {
      // The ledger decides: where the end was written and only its answer lost, nothing may be undone.
      const decided = await insist("unwind", async () => (await ipam.unwindOperation({ operationId })).state)
      if (decided === "succeeded") return addresses
      await insist("remove", () => machines.remove(operationId))
      await insist("unwound", () => ipam.finishOperation({ operationId, state: "unwound", error: String(error) }))
      throw error
    }
  }
  return DBOS.registerWorkflow(create, { name: "create" })
}
