/**
 * A program that the tests run in processes of its own: `start FOLDER [OPTIONS]` starts or adopts a server and ends, `use FOLDER
 * [OPTIONS]` uses one until SIGTERM, `temporary [OPTIONS]` starts a throw-away one and stays until it is killed. Prints the server,
 * or the failure, as one line of JSON.
 */
import { EmbeddedServerFailed } from "../../src/embedded/failure.ts"
import { startServer } from "../../src/embedded/server.ts"
import { acquireServer } from "../../src/embedded/sharedServer.ts"
import { startTemporaryServer } from "../../src/embedded/temporary.ts"

const [command, ...rest] = process.argv.slice(2)
const [folder = "", options = "{}"] = rest
try {
  if (command === "start") {
    console.log(JSON.stringify(await startServer(folder, JSON.parse(options))))
  } else if (command === "use") {
    const server = await acquireServer(folder, JSON.parse(options))
    const running = setInterval(() => {}, 60_000)
    process.once("SIGTERM", () => void server.release().then(() => clearInterval(running)))
    console.log(JSON.stringify(server))
  } else {
    console.log(
      JSON.stringify(await startTemporaryServer("ipam-embedded-", { durable: false, ...JSON.parse(rest[0] ?? "{}") })),
    )
    setInterval(() => {}, 60_000)
  }
} catch (error) {
  if (!(error instanceof EmbeddedServerFailed)) throw error
  console.log(JSON.stringify({ _tag: error._tag, reason: error.reason, message: error.message }))
}
