/** The workers of a demo: processes of their own, so that one of them can be killed. */
import { spawn, type ChildProcess } from "node:child_process"
import { fileURLToPath } from "node:url"
import { freePort } from "./freePort.ts"

/** The command, beside this folder, in the sources and in a build. */
const command = fileURLToPath(new URL(`../cli/main${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url))

/** How long the flows of a worker that is gone wait for another one, in seconds: short, so that a demo need not wait for it. */
export const TAKEOVER_SECONDS = 4

export interface Workers {
  /** Kills one of them (SIGKILL). The next takes its place; resolves when that one runs. */
  readonly crash: () => Promise<void>
  readonly close: () => Promise<void>
}

/** Starts two on the database, and resolves when both run. Rejects with what one says when it cannot. */
export const startWorkers = async (url: string, devices: string): Promise<Workers> => {
  const running = new Set<ChildProcess>()

  const start = async (port: number): Promise<ChildProcess> => {
    const flags = ["--listen", `127.0.0.1:${port}`, "--devices", devices, "--takeover", String(TAKEOVER_SECONDS)]
    const child = spawn(process.execPath, [...process.execArgv, command, "worker", ...flags], {
      // The URL goes by the environment: arguments can be seen by every user of the machine.
      env: { ...process.env, DATABASE_URL: url },
      // The channel ends them with the demo, however that ends.
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      // Ctrl-C ends the demo, which then ends its workers.
      detached: true,
    })
    running.add(child)
    child.once("exit", () => running.delete(child))
    let said = ""
    await new Promise<void>((resolve, reject) => {
      child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        said = `${said}${text}`.slice(-2000)
        if (said.includes("running on")) resolve()
      })
      child.once("error", reject)
      child.once("exit", () => reject(new Error(`A worker ended: ${said}`)))
    })
    return child
  }

  const end = (child: ChildProcess): Promise<void> =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve()
      child.once("exit", () => resolve())
      child.kill("SIGKILL")
    })

  const close = async () => {
    await Promise.all([...running].map(end))
  }
  try {
    const ports = [await freePort(), await freePort()] as const
    const [first] = await Promise.all(ports.map(start))
    return {
      crash: async () => {
        if (first !== undefined) await end(first)
        await start(ports[0])
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
