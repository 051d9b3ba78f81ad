/**
 * Serves the workflow to a Restate server, starts one for each request among its arguments, and prints how it ended.
 *
 *     node main.ts '{ "operationId": "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b", "instance": "i-1", "pools": { ... } }'
 *
 * Run again with the same arguments it starts nothing twice, since the key of a workflow is the id of its operation.
 */
import { once } from "node:events"
import { createServer } from "node:http2"
import { createEndpointHandler } from "@restatedev/restate-sdk"
import { connect } from "saga-ipam/promise"
import { connectDatacenter } from "../datacenter/client.ts"
import { createInstance, type InstanceCreate } from "./createInstance.ts"

const {
  DATACENTER_URL = "http://127.0.0.1:24440",
  RESTATE_INGRESS_URL = "http://127.0.0.1:8080",
  RESTATE_ADMIN_URL = "http://127.0.0.1:9070",
  PORT = "9080",
} = process.env

const post = (url: string, body: object): Promise<Response> =>
  fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })

const workflow = createInstance(await connect(), connectDatacenter(DATACENTER_URL))
await once(createServer(createEndpointHandler({ services: [workflow] })).listen(Number(PORT), "127.0.0.1"), "listening")
const registered = await post(`${RESTATE_ADMIN_URL}/deployments`, { uri: `http://127.0.0.1:${PORT}` })
if (!registered.ok) throw new Error(await registered.text())

const run = async ({ operationId, ...request }: InstanceCreate & { readonly operationId: string }): Promise<void> => {
  await post(`${RESTATE_INGRESS_URL}/${workflow.name}/${operationId}/run/send`, request)
  const ended = await fetch(`${RESTATE_INGRESS_URL}/restate/workflow/${workflow.name}/${operationId}/attach`)
  console.log(`${request.instance}: ${await ended.text()}`)
}
await Promise.all(process.argv.slice(2).map((argument) => run(JSON.parse(argument))))
