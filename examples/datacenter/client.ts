/**
 * What the cloud of the examples has besides its addresses: an inventory of instances, a switch and a hypervisor, all over HTTP.
 *
 * It gives what a saga needs of everything that its steps call. A call names the operation, or the generation of the address, that it is
 * made for, so it may be repeated; and a call that arrives after its own undo is refused.
 */

/** An address as the switch takes it. The generation is the fencing token; as text, since engines record what steps answer as JSON. */
export interface Port {
  readonly address: string
  readonly generation: string
}

/** A definite no: the same call would be refused again. */
export class Refused extends Error {}

/** No answer, or not in time: what came of the call is unknown, and the same call again is right. */
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

    /** Sends the traffic of these addresses to the instance. Refused for an address that had a later generation. */
    connect: async (instance: string, ports: ReadonlyArray<Port>): Promise<void> => {
      for (const { address, generation } of ports) await send("PUT", `ports/${address}`, { instance, generation })
    },
    /** Stops that; where a later generation is connected by now, nothing is left to stop. */
    disconnect: async (ports: ReadonlyArray<Port>): Promise<void> => {
      for (const { address, generation } of ports) await send("DELETE", `ports/${address}`, { generation })
    },

    /** Starts the machine of an operation. */
    boot: (operationId: string, instance: string) => send("PUT", `machines/${operationId}`, { instance }),
    remove: (operationId: string) => send("DELETE", `machines/${operationId}`, {}),
  }
}
