/**
 * Runs the workflow on DBOS, whose tables it keeps in the same database. Starts one for each request among its arguments, and prints how
 * it ended.
 *
 *     node main.ts '{ "operationId": "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b", "instance": "i-1", "pools": { ... } }'
 *
 * Run again with the same arguments it starts nothing twice, since the id of a workflow is that of its operation.
 */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { connect } from "saga-ipam/promise"
import { connectDatacenter } from "../datacenter/client.ts"
import { registerCreateInstance, type InstanceCreate } from "./createInstance.ts"

const { DATABASE_URL = "", DATACENTER_URL = "http://127.0.0.1:24440" } = process.env

const createInstance = registerCreateInstance(await connect(), connectDatacenter(DATACENTER_URL))
DBOS.setConfig({ name: "saga-ipam-example", systemDatabaseUrl: DATABASE_URL })
await DBOS.launch()

const run = async ({ operationId, ...request }: InstanceCreate & { readonly operationId: string }): Promise<void> => {
  const workflow = await DBOS.startWorkflow(createInstance, { workflowID: operationId })(request)
  const end: unknown = await workflow.getResult().catch(({ message }: Error) => message)
  console.log(`${request.instance}: ${JSON.stringify(end)}`)
}
await Promise.all(process.argv.slice(2).map((argument) => run(JSON.parse(argument))))
