/**
 * `npm run demo`, or `npm run demo -- DIR` with a folder of NetBox exports. The exit code is 0 only if every promise was kept and every
 * invariant holds; it is 130 after Ctrl-C, and then, too, nothing is left behind.
 */
import { errorFacts, interruptedExit, isIpamError } from "../errors/errorFacts.ts"
import { playDemo } from "./demo.ts"

const stop = new AbortController()
// Only once: a second Ctrl-C ends the process at once, and the watchdog of its server removes the data.
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort())
// A reader that closes the pipe, such as `head`, is no error and must not end the process.
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
