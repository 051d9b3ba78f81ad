/** What the tests of the embedded server share: folders that are removed after the test, programs in processes of their own, a query. */
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

/** The uids of this machine's users, without root and without the one that the server of root runs as (65534). */
export const plainUids: ReadonlyArray<number> = existsSync("/etc/passwd")
  ? readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => Number(line.split(":")[2]))
      .filter((uid) => uid > 0 && uid !== 65_534)
  : []

/** A path for a server's folder, which does not exist yet; its parent is new, and the server's user can enter it. */
export const makeFolder = (): string => {
  const parent = mkdtempSync(join(tmpdir(), "ipam-embedded-"))
  chmodSync(parent, 0o755)
  return join(parent, "data")
}

/** Removes the server of a folder of `makeFolder`, and the parent of the folder. */
export const removeFolder = async (folder: string): Promise<void> => {
  await removeServer(folder)
  rmSync(dirname(folder), { recursive: true, force: true })
}

/** A folder of `makeFolder`, which is removed after the test. */
export const newFolder = (): string => {
  const folder = makeFolder()
  onTestFinished(() => removeFolder(folder))
  return folder
}

const program = fileURLToPath(new URL("program.ts", import.meta.url))

/** Whether another user of this machine can read this repository and the node that runs it. */
export const othersCanRead = (uid: number): boolean =>
  spawnSync("/bin/sh", ["-c", 'test -r "$1" && test -x "$2"', "sh", program, process.execPath], { uid, gid: uid })
    .status === 0

/** Runs `program.ts`, as another user if `uid` is given. `printed` is what it prints: the server, or why there is none. */
export const runProgram = (
  args: ReadonlyArray<string>,
  uid?: number,
): { child: ChildProcess; printed: Promise<Printed> } => {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    ...(uid === undefined ? {} : { uid, gid: uid, env: { PATH: process.env["PATH"] ?? "" } }),
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  let stderr = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
  const printed = new Promise<Printed>((resolve, reject) => {
    const lines = createInterface({ input: child.stdout })
    lines.once("line", (line) => resolve(JSON.parse(line) as Printed))
    lines.once("close", () => reject(new Error(`the process printed nothing; ${stderr}`)))
    child.once("error", reject)
  })
  // A test may kill the process and never read what it printed.
  printed.catch(() => undefined)
  return { child, printed }
}

export type Printed = RunningServer & { readonly reason?: string; readonly message?: string }

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

/** The pids of the processes with the text in their command line; a zombie has no command line. Linux only. */
export const processesNaming = (text: string): ReadonlyArray<number> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => commandLine(pid).some((word) => word.includes(text)))

/** The words of a process's command line; empty if it has ended. Linux only. */
export const commandLine = (pid: number): ReadonlyArray<string> => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")
  } catch {
    return []
  }
}
