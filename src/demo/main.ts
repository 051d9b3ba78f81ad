/**
 * `npm run demo`, or `npm run demo -- DIR` with a folder of NetBox's exports. Ends with 0 only if every answer was as promised and
 * every invariant holds; Ctrl-C ends it with 130, and nothing is left of it then.
 */
import { errorFacts, interruptedExit, isIpamError } from "../errors/errorFacts.ts"
import { playDemo } from "./demo.ts"

const stop = new AbortController()
// Once: a second Ctrl-C ends the process at once, and the watchdog of its server removes what there is.
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort())
// A reader that closes the pipe, such as `head`, ends nothing and is no error.
process.stdout.on("error", () => undefined)

const [folder, ...others] = process.argv.slice(2)

const exitCode = async (): Promise<number> => {
  if (others.length > 0 || folder?.startsWith("-") === true) {
    process.stderr.write("usage: npm run demo -- [DIR], a folder of NetBox's exports\n")
    return errorFacts.InvalidInput.exit
  }
  try {
    const url = process.env["DATABASE_URL"] || undefined
    const { ok } = await playDemo({ folder, url, signal: stop.signal })
    return ok ? 0 : 1
  } catch (error) {
    if (stop.signal.aborted) return interruptedExit
    if (!isIpamError(error)) throw error
    process.stderr.write(`demo: ${error._tag}: ${error.message}\n`)
    return errorFacts[error._tag].exit
  }
}

process.exitCode = await exitCode()
