/**
 * An example: a workflow of DBOS that takes two addresses for an instance, and gives them back when the instance does not boot.
 *
 * DBOS replays the answers of steps that were recorded; a step that was under way in a crash is done again. So every step is
 * a call with a key, and what undoes it goes by the same key, whether the step was done, was not, or will be late. A workflow
 * that DBOS cancels does no step any more, so it undoes nothing until it is resumed: its addresses go with their ttl.
 */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { Contended, DatabaseUnavailable, OperationEnded, operationIdOf, type Ipam } from "../../src/promise.ts"
import type { Machines } from "./machines.ts"

const endless = { retriesAllowed: true, maxAttempts: Number.POSITIVE_INFINITY, intervalSeconds: 0.1, backoffRate: 1 }
/** Nobody knows what became of it, or it passes: the same step again. Any other error is the answer. */
const whileUnanswered = {
  ...endless,
  shouldRetry: (error: unknown) => error instanceof Contended || error instanceof DatabaseUnavailable,
}

export const registerCreate = (ipam: Ipam, machines: Machines) => {
  const create = async (instance: string): Promise<ReadonlyArray<string>> => {
    const executionId = DBOS.workflowID ?? ""
    const requestId = operationIdOf(executionId)
    const operation = { operationId: requestId }
    const slots = ["nic/v4", "nic/v6"]
    const ask = <A>(name: string, act: () => Promise<A>) => DBOS.runStep(act, { name, ...whileUnanswered })
    const insist = <A>(name: string, act: () => Promise<A>) => DBOS.runStep(act, { name, ...endless })

    const targets = [{ kind: "instance", id: instance }]
    await ask("begin", () => ipam.beginOperation({ ...operation, kind: "Create", targets, executionId }))
    let addresses: ReadonlyArray<string> = []
    try {
      const wanted = [
        { slot: "nic/v4", pool: "v4" },
        { slot: "nic/v6", pool: "v6" },
      ]
      addresses = await ask("allocate", async () => {
        const taken = await ipam.allocateMany({ requestId, slots: wanted, ttlSeconds: 86_400 })
        return taken.map(({ address }) => address)
      })
      await DBOS.runStep(() => machines.boot(requestId, addresses), { name: "boot" })
      await ask("confirm", () => ipam.confirmMany({ requestId, slots }))
      await ask("finish", () => ipam.finishOperation({ ...operation, state: "succeeded", result: [...addresses] }))
      return addresses
    } catch (error) {
      // The ledger decides: where the end was written and only its answer lost, nothing may be undone.
      const decided = await insist("unwind", () => ipam.unwindOperation(operation).then(stateOf, endedAs))
      if (decided === "succeeded") return addresses
      await insist("remove", () => machines.remove(requestId))
      await insist("release", () => ipam.releaseMany({ requestId, slots }))
      await insist("unwound", () => ipam.finishOperation({ ...operation, state: "unwound", error: String(error) }))
      throw error
    }
  }
  return DBOS.registerWorkflow(create, { name: "create" })
}

const stateOf = ({ state }: { readonly state: string }): string => state
const endedAs = (error: unknown): string => {
  if (error instanceof OperationEnded) return error.status ?? "unwound"
  throw error
}
