/**
 * A switch and a hypervisor for the sagas of the tests: a small HTTP server with a store of its own, which is no part of the database.
 *
 * It behaves as such devices should: it takes the generation of an address as the fencing token, refuses an older one, and does
 * not take back what was removed under the same one. Machines can be told to fail, to hang, or to start late.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** What the switch knows of an address. `instance` is `null` once it was removed; its generation stays. */
export interface Port {
  readonly generation: bigint
  readonly instance: string | null
}

/** What the hypervisor knows of the machine of one operation: a removed one does not start any more. */
export interface Machine {
  readonly instance: string
  readonly state: "running" | "removed"
}

/** Whether a machine starts: yes; no, with an error; or nobody hears, as the connection breaks: never, or once it has been removed. */
export type FaultMode = "ok" | "fail" | "hang" | "late"

export interface FakeDatacenter {
  readonly url: string
  /** By `vrf address`. */
  readonly ports: ReadonlyMap<string, Port>
  /** By operation id. */
  readonly machines: ReadonlyMap<string, Machine>
  /** Every request: method and path, in the order in which they took effect or were refused. */
  readonly log: ReadonlyArray<string>
  /** While true, every request gets 503. */
  down: boolean
  /** Called before a request takes effect, and before its answer; a promise holds it there. */
  hook: ((when: "before" | "after", request: string) => Promise<void> | void) | undefined
  readonly close: () => Promise<void>
}

const bodyOf = async (request: IncomingMessage): Promise<Record<string, string>> => {
  let text = ""
  for await (const chunk of request.setEncoding("utf8")) text += String(chunk)
  return text === "" ? {} : (JSON.parse(text) as Record<string, string>)
}

/** Listens on a free port of this machine, or on `port`. */
export const startFakeDatacenter = async (port = 0): Promise<FakeDatacenter> => {
  const ports = new Map<string, Port>()
  const machines = new Map<string, Machine>()
  const log: Array<string> = []
  /** What starts late, by operation id. */
  const late = new Map<string, () => void>()

  const program = (method: string, address: string, { generation, instance }: Record<string, string>): number => {
    const asked = BigInt(generation ?? 0)
    const known = ports.get(address)
    if (known !== undefined && known.generation > asked) return 409
    if (method === "DELETE") {
      ports.set(address, { generation: asked, instance: null })
      return 204
    }
    // Removed under this very generation: this request is late.
    if (known?.generation === asked && known.instance !== instance) return 409
    ports.set(address, { generation: asked, instance: instance ?? "" })
    return 204
  }

  const power = async (
    method: string,
    operation: string,
    body: Record<string, string>,
    breakOff: () => void,
  ): Promise<number> => {
    const known = machines.get(operation)
    if (method === "DELETE") {
      machines.set(operation, { instance: known?.instance ?? "", state: "removed" })
      late.get(operation)?.()
      return 204
    }
    if (body["faultMode"] === "fail") return 422
    if (body["faultMode"] === "hang" || body["faultMode"] === "late") {
      breakOff()
      await new Promise<void>((resolve) => {
        if (body["faultMode"] === "late") late.set(operation, resolve)
      })
    }
    if (machines.get(operation)?.state === "removed") return 410
    machines.set(operation, { instance: body["instance"] ?? "", state: "running" })
    return 204
  }

  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const [, kind, ...rest] = decodeURIComponent(request.url ?? "").split("/")
    const name = rest.join("/")
    const said = `${request.method} ${kind}/${name}`
    const body = await bodyOf(request)
    await datacenter.hook?.("before", said)
    const method = request.method ?? ""
    const status = datacenter.down
      ? 503
      : kind === "ports"
        ? program(method, name, body)
        : await power(method, name, body, () => response.destroy())
    log.push(`${said} ${status}`)
    await datacenter.hook?.("after", said)
    response.writeHead(status).end()
  }

  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.writeHead(500).end())
  })
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve))
  const datacenter: FakeDatacenter = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ports,
    machines,
    log,
    down: false,
    hook: undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return datacenter
}
