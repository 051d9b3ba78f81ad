/**
 * Runs the workflow on Effect's cluster engine in this process, whose tables it keeps in the same database. Starts one for each request among
 * its arguments, and prints how it ended.
 *
 *     node main.ts '{ "operationId": "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b", "instance": "i-1", "pools": { ... } }'
 *
 * Run again with the same arguments it starts nothing twice, since the id of the operation is the key of the workflow.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as ClusterWorkflowEngine from "effect/cluster/ClusterWorkflowEngine"
import * as SingleRunner from "effect/cluster/SingleRunner"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { connect } from "saga-ipam/promise"
import { connectDatacenter } from "../datacenter/client.ts"
import { createInstanceLayer, InstanceCreate } from "./createInstance.ts"

const { DATABASE_URL = "", DATACENTER_URL = "http://127.0.0.1:24440" } = process.env

const engine = ClusterWorkflowEngine.layer.pipe(
  Layer.provideMerge(SingleRunner.layer()),
  Layer.provide(Digest.layerWebCrypto),
  Layer.provide(PgClient.layer({ url: Redacted.make(DATABASE_URL) })),
)

const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(InstanceCreate.payloadSchema))

const run = Effect.fnUntraced(function* (argument: string) {
  const request = yield* decode(argument)
  const end = yield* Effect.catch(InstanceCreate.execute(request), ({ message }) => Effect.succeed(message))
  console.log(`${request.instance}: ${JSON.stringify(end)}`)
})

const workflow = createInstanceLayer(await connect(), connectDatacenter(DATACENTER_URL))
const program = Effect.forEach(process.argv.slice(2), run, { concurrency: "unbounded" })
await Effect.runPromise(
  Effect.andThen(program, Effect.never).pipe(Effect.provide(workflow.pipe(Layer.provideMerge(engine)))),
)
