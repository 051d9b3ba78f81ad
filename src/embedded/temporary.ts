/**
 * Throw-away servers, for tests, demos and benchmarks: each in a new folder of its own, gone with the process that owns it.
 * However that process ends, a watchdog then ends the server and deletes the folder.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { removeServer, startServer, type RunningServer, type ServerOptions } from "./server.ts"
import { temporaryFolder } from "./socketFolder.ts"
import { giveTo, serverUser } from "./user.ts"
import { watch } from "./watchdog.ts"

export interface TemporaryServer extends RunningServer {
  /** Ends the server and deletes its folder. May be called again. */
  readonly stop: () => Promise<void>
}

/**
 * Starts a server in a new folder `<prefix>XXXXXX` of the system's folder for temporary files. `durable` says whether it
 * flushes to disk as a real one does, which a benchmark wants and a test does not. Fails as `startServer`, leaving nothing.
 */
export const startTemporaryServer = async (
  prefix: string,
  options: ServerOptions & { readonly durable: boolean },
): Promise<TemporaryServer> => {
  const user = serverUser([])
  const folder = mkdtempSync(join(temporaryFolder(user), prefix))
  const dismiss = watch(["/bin/sh", "-c", removal, "saga-ipam-removal", folder])
  const stop = async () => {
    await removeServer(folder)
    rmSync(folder, { recursive: true, force: true })
    dismiss()
  }
  try {
    giveTo(user, folder)
    return { ...(await startServer(folder, options)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/**
 * Ends the server and deletes the folder. A server that was about to start may write its pid a moment later, and a killed `initdb`
 * may write more files, hence the rounds. Bounded: 20 seconds. In the shell's language, since it has to work on whatever is left.
 */
const removal = `
round=0
while [ -e "$1" ] && [ $round -lt 200 ]; do
  pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
  if [ -n "$pid" ] && { [ ! -e /proc/self/cwd ] || [ "/proc/$pid/cwd" -ef "$1/data" ]; }; then
    if [ $round -lt 100 ]; then kill -QUIT "$pid"; else kill -KILL "$pid"; fi
  else
    socket=$(readlink "$1/socket") && rm -rf "$socket"
    rm -rf "$1"
  fi
  round=$((round + 1))
  sleep 0.1
done
`
