/**
 * An example: a flow with a stack of compensations, as one writes it for Temporal or Restate.
 *
 * Whatever undoes a step is put on the stack before the step is tried, and goes by its key: it holds when the step was done, when it
 * was not, and when it comes late. Every activity may run more than once.
 */
import { setTimeout } from "node:timers/promises"
import { Contended, DatabaseUnavailable, type Ipam } from "../../src/promise.ts"
import { InvalidInput, KeyExpired, KeyReused, OperationEnded } from "../../src/promise.ts"
import type { Machines } from "./machines.ts"

/**
 * Runs an activity and records its answer under the name: `ctx.run` of Restate, a proxied activity of Temporal. An error that
 * `passes` is to be repeated by the policy of the engine; any other is the answer.
 */
export type Run = <A>(name: string, act: () => Promise<A>) => Promise<A>

export const passes = (error: unknown): boolean => error instanceof Contended || error instanceof DatabaseUnavailable

/** `operationId`: a UUID that the starter chose, or one that was derived from the id of the workflow. */
export const createInstance = async (
  run: Run,
  ipam: Ipam,
  machines: Machines,
  { operationId, instance }: { readonly operationId: string; readonly instance: string },
): Promise<ReadonlyArray<string>> => {
  const operation = { operationId }
  const requestId = operationId
  const targets = [{ kind: "instance", id: instance }]
  const begin = () => ipam.beginOperation({ operationId, kind: "Create", payload: { instance }, targets })
  const nics = ["v4", "v6"].map((pool) => ({ slot: `nic/${pool}`, pool }))
  const external = { slot: "external", pool: "external" }
  const slots = [...nics, external].map(({ slot }) => slot)
  const takes = { requestId, ttlSeconds: 86_400 }
  const undos: Array<readonly [name: string, undo: () => Promise<unknown>]> = []
  const addresses: Array<string> = []
  try {
    await run("begin", begin)
    undos.push(["release nics", () => ipam.releaseMany({ requestId, slots: nics.map(({ slot }) => slot) })])
    const taken = await run("nics", () => ipam.allocateMany({ ...takes, slots: nics }))
    undos.push(["release external", () => ipam.release({ requestId, slot: external.slot })])
    const outside = await run("external", () => ipam.allocate({ ...takes, ...external }))
    addresses.push(...[...taken, outside].map(({ address }) => address))
    undos.push(["remove", () => machines.remove(operationId)])
    await run("boot", () => machines.boot(operationId, addresses))
    await run("confirm", () => ipam.confirmMany({ requestId, slots }))
    await run("finish", () => ipam.finishOperation({ ...operation, state: "succeeded", result: addresses }))
    return addresses
  } catch (error) {
    // The ledger decides: where the end was written and only its answer lost, nothing may be undone. Begun here once more, since
    // a beginning that was given up and comes late would stay pending.
    const decide = () => begin().then(() => ipam.unwindOperation(operation).then(({ state }) => state, endedAs))
    if ((await always(run, "unwind", decide)) === "succeeded") return addresses
    for (const [name, undo] of undos.toReversed()) await always(run, name, undo)
    const end = { ...operation, state: "unwound", error: String(error) } as const
    await always(run, "unwound", () => ipam.finishOperation(end))
    throw error
  }
}

const endedAs = (error: unknown): string => {
  if (error instanceof OperationEnded) return error.status ?? "unwound"
  throw error
}

/** Only a beginning can be refused for good, and then none of this was ever this flow's. */
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
