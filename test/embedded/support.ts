/** What the tests of the embedded server share: folders that are cleaned up, programs in processes of their own, one query. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process"
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import postgres from "postgres"
import { onTestFinished } from "vitest"
import { removeServer, type RunningServer } from "../../src/embedded/server.ts"

export const asRoot = process.getuid?.() === 0
export const onLinux = process.platform === "linux"

/** Uids of users of this machine other than root and the one that root's server runs as. */
export const plainUids: ReadonlyArray<number> = existsSync("/etc/passwd")
  ? readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => Number(line.split(":")[2]))
      .filter((uid) => uid > 0 && uid !== 65_534)
  : []

/** The path of a folder to be made, in a new one that the server's user can enter. */
export const makeFolder = (): string => {
  const parent = mkdtempSync(join(tmpdir(), "ipam-embedded-"))
  chmodSync(parent, 0o755)
  return join(parent, "data")
}

/** Removes the server of such a folder, and all else. */
export const removeFolder = async (folder: string): Promise<void> => {
  await removeServer(folder)
  rmSync(dirname(folder), { recursive: true, force: true })
}

/** Such a folder, which goes with the test. */
export const newFolder = (): string => {
  const folder = makeFolder()
  onTestFinished(() => removeFolder(folder))
  return folder
}

const owner = fileURLToPath(new URL("owner.ts", import.meta.url))

/** Whether another user of this machine can read this repository and the node that runs it. */
export const othersCanRead = (uid: number): boolean =>
  spawnSync("/bin/sh", ["-c", 'test -r "$1" && test -x "$2"', "sh", owner, process.execPath], { uid, gid: uid })
    .status === 0

/** Runs owner.ts, as another user if `uid` is given; `said` is its first line. */
export const runOwner = (args: ReadonlyArray<string>, uid?: number): { child: ChildProcess; said: Promise<Said> } => {
  const child = spawn(process.execPath, [owner, ...args], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    ...(uid === undefined ? {} : { uid, gid: uid, env: { PATH: process.env["PATH"] ?? "" } }),
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  let complaint = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text))
  const said = new Promise<Said>((resolve, reject) => {
    const lines = createInterface({ input: child.stdout })
    lines.once("line", (line) => resolve(JSON.parse(line) as Said))
    lines.once("close", () => reject(new Error(`the process said nothing; ${complaint}`)))
    child.once("error", reject)
  })
  // A test may kill the process and never ask what it said.
  said.catch(() => undefined)
  return { child, said }
}

export type Said = RunningServer & { readonly reason?: string; readonly message?: string }

/** The first row of a statement, on a connection of its own. */
export const query = async (server: Pick<RunningServer, "host" | "port" | "user">, text: string) => {
  const { host, port, user } = server
  const sql = postgres({
    host,
    port,
    user,
    database: "postgres",
    max: 1,
    fetch_types: false,
    connect_timeout: 5,
    onnotice: () => {},
  })
  try {
    const [row] = await sql.unsafe<Array<Record<string, unknown>>>(text)
    return row
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** The uid of a running process. */
export const uidOf = (pid: number): number => statSync(`/proc/${pid}`).uid

/** Processes whose command line names the text; a zombie has none. Linux only. */
export const processesNaming = (text: string): ReadonlyArray<number> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => commandLine(pid).some((word) => word.includes(text)))

/** The words of a process's command line; none of one that has ended. Linux only. */
export const commandLine = (pid: number): ReadonlyArray<string> => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")
  } catch {
    return []
  }
}
