/**
 * What the cloud of the examples has besides its addresses: an inventory of instances, a switch and a hypervisor, all over HTTP.
 *
 * It offers what a saga needs from whatever its steps call: every call is idempotent by the id of the operation or by the generation of the
 * address, and one that arrives after its undo is refused.
 */

/** An address for the switch. Its generation is the fencing token, as text, since engines record the results of steps as JSON. */
export interface Port {
  readonly address: string
  readonly generation: string
}

/** A definite refusal: the same call would be refused again. */
export class Refused extends Error {}

/** No answer, or not in time. The outcome is unknown; retry with the same call. */
export class Unanswered extends Error {}

export type Datacenter = ReturnType<typeof connectDatacenter>

export const connectDatacenter = (url: string) => {
  const send = async (method: "PUT" | "DELETE", path: string, body: object): Promise<void> => {
    const call = `${method} ${path}`
    const unanswered = (cause: unknown): never => {
      throw new Unanswered(`${call}: no answer`, { cause })
    }
    const signal = AbortSignal.timeout(60_000)
    const request = { method, body: JSON.stringify(body), signal }
    const response = await fetch(`${url}/${path}`, request).catch(unanswered)
    const text = await response.text().catch(unanswered)
    if (response.status >= 500) throw new Unanswered(`${call}: ${text}`)
    if (!response.ok) throw new Refused(`${call}: ${text}`)
  }
  return {
    /** Records an instance before anything is done for it. Refused while another operation has one of that name. */
    record: (operationId: string, instance: string) => send("PUT", `instances/${operationId}`, { instance }),
    forget: (operationId: string) => send("DELETE", `instances/${operationId}`, {}),

    /** Sends the traffic of these addresses to the instance. Refused for an address that has been connected under a later generation. */
    connect: async (instance: string, ports: ReadonlyArray<Port>): Promise<void> => {
      for (const { address, generation } of ports) await send("PUT", `ports/${address}`, { instance, generation })
    },
    /** Stops that. An address that is connected under a later generation by now stays so. */
    disconnect: async (ports: ReadonlyArray<Port>): Promise<void> => {
      for (const { address, generation } of ports) await send("DELETE", `ports/${address}`, { generation })
    },

    /** Starts the machine of an operation. */
    boot: (operationId: string, instance: string) => send("PUT", `machines/${operationId}`, { instance }),
    remove: (operationId: string) => send("DELETE", `machines/${operationId}`, {}),
  }
}
