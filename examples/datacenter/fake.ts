/**
 * A datacenter that keeps everything in memory: inventory, switch and hypervisor as `client.ts` describes them.
 *
 * One rule serves all three. A thing has a path and a generation (0 if it has none of its own), it is present or removed, and only a greater
 * generation brings back what was removed.
 */
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"

interface Thing {
  readonly instance: string
  readonly generation: bigint
  readonly present: boolean
}

export interface FakeDatacenter {
  readonly url: string
  /** What is there: `instances/OPERATION`, `ports/ADDRESS` and `machines/OPERATION`, each with the instance that it is of. */
  readonly present: () => ReadonlyMap<string, string>
  readonly close: () => Promise<void>
}

export interface FakeOptions {
  /** Any free port when left out. */
  readonly port?: number
  /** Whether the machine of this instance fails to boot; it is there all the same, until it is removed. */
  readonly isBroken?: (instance: string) => boolean
  /** Called before a request such as `PUT machines` takes effect, and again before it is answered. The request waits for the promise. */
  readonly hook?: (when: "before" | "after", request: string, instance: string) => Promise<void>
}

export const startFakeDatacenter = async (options: FakeOptions = {}): Promise<FakeDatacenter> => {
  const { port = 0, isBroken = () => false, hook } = options
  const things = new Map<string, Thing>()

  const put = (path: string, instance: string, generation: bigint): Answer => {
    const known = things.get(path)
    if (known !== undefined && known.generation > generation) return [409, "a later generation is there"]
    if (known?.generation === generation && !known.present) return [410, "it was removed"]
    const isTaken = [...things].some(
      ([other, thing]) =>
        other !== path && other.startsWith("instances/") && thing.present && thing.instance === instance,
    )
    if (path.startsWith("instances/") && isTaken) return [409, "there is an instance of that name"]
    things.set(path, { instance, generation, present: true })
    return path.startsWith("machines/") && isBroken(instance) ? [422, "the machine does not boot"] : [204, ""]
  }
  const remove = (path: string, instance: string, generation: bigint): Answer => {
    const known = things.get(path)
    if (known === undefined || known.generation <= generation)
      things.set(path, { instance, generation, present: false })
    return [204, ""]
  }

  const serve = async (request: IncomingMessage): Promise<Answer> => {
    const path = decodeURIComponent(request.url ?? "").slice(1)
    const body = await bodyOf(request)
    const instance = body["instance"] ?? things.get(path)?.instance ?? ""
    const name = `${request.method} ${path.split("/")[0]}`
    await hook?.("before", name, instance)
    const act = request.method === "DELETE" ? remove : put
    const answer = act(path, instance, BigInt(body["generation"] ?? 0))
    await hook?.("after", name, instance)
    return answer
  }

  const server = createServer((request, response) => {
    serve(request).then(
      ([status, text]) => response.writeHead(status).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    present: () =>
      new Map([...things].filter(([, { present }]) => present).map(([path, { instance }]) => [path, instance])),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

type Answer = readonly [status: number, text: string]

const bodyOf = async (request: IncomingMessage): Promise<Record<string, string>> => {
  let text = ""
  for await (const chunk of request.setEncoding("utf8")) text += String(chunk)
  return text === "" ? {} : (JSON.parse(text) as Record<string, string>)
}
