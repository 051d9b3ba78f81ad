/**
 * An example: a saga with a stack of compensations, as one writes it for Temporal or Restate.
 *
 * Whatever undoes a step is put on the stack before the step is tried, and goes by its key: it holds when the step was done, when it
 * was not, and when it comes late. Every activity may run more than once. Addresses need no undo: they end with the operation.
 */
import { setTimeout } from "node:timers/promises"
import type { Ipam } from "../../src/promise.ts"
import { InvalidInput, KeyExpired, KeyReused, OperationEnded } from "../../src/promise.ts"
import type { Machines } from "./machines.ts"

/**
 * Runs an activity and records its answer under the name: `ctx.run` of Restate, a proxied activity of Temporal. An error that
 * `isRepeatable` is to be repeated by the policy of the engine; any other is the answer.
 */
export type Run = <A>(name: string, act: () => Promise<A>) => Promise<A>

/** `operationId`: a UUID that the starter chose, or one that was derived from the id of the workflow. */
export const createInstance = async (
  run: Run,
  ipam: Ipam,
  machines: Machines,
  { operationId, instance }: { readonly operationId: string; readonly instance: string },
): Promise<ReadonlyArray<string>> => {
  const requestId = operationId
  const targets = [{ kind: "instance", id: instance }]
  const begin = () => ipam.beginOperation({ operationId, kind: "Create", payload: { instance }, targets })
  const nics = ["v4", "v6"].map((pool) => ({ slot: `nic/${pool}`, pool }))
  const undos: Array<readonly [name: string, undo: () => Promise<unknown>]> = []
  let addresses: ReadonlyArray<string> = []
  try {
    const { state, result } = await run("begin", begin)
    undos.push(["remove", () => machines.remove(operationId)])
    if (state === "succeeded") return result as ReadonlyArray<string>
    // Only what is pending goes forward: an earlier run, or a cancel, has decided that this one unwinds.
    if (state !== "pending") throw new OperationEnded({ vrf: "default", requestId, status: state })
    const taken = await run("nics", () => ipam.allocateMany({ requestId, slots: nics }))
    const outside = await run("external", () => ipam.allocate({ requestId, slot: "external", pool: "external" }))
    addresses = [...taken, outside].map(({ address }) => address)
    await run("boot", () => machines.boot(operationId, addresses))
    await run("finish", () => ipam.finishOperation({ operationId, state: "succeeded", result: [...addresses] }))
    return addresses
  } catch (error) {
    // The ledger decides: where the end was written and only its answer lost, nothing may be undone. Begun here once more, since
    // a beginning that was given up and comes late would stay pending.
    const decide = () => begin().then(() => ipam.unwindOperation({ operationId }))
    if ((await always(run, "unwind", decide)).state === "succeeded") return addresses
    for (const [name, undo] of undos.toReversed()) await always(run, name, undo)
    await always(run, "unwound", () => ipam.finishOperation({ operationId, state: "unwound", error: String(error) }))
    throw error
  }
}

/** Only a beginning can be refused for good, and then none of this was ever this saga's. */
const refused = (error: unknown): boolean =>
  error instanceof KeyReused || error instanceof KeyExpired || error instanceof InvalidInput

/** Until it is done, however long that takes. */
const always = async <A>(run: Run, name: string, act: () => Promise<A>): Promise<A> => {
  for (let tries = 1; ; tries++) {
    try {
      return await run(name, act)
    } catch (error) {
      if (refused(error)) throw error
      await setTimeout(Math.min(5000, 10 * 2 ** tries))
    }
  }
}
