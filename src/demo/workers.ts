/** The workers of a demo, in processes of their own, so that one can be killed. */
import { spawn, type ChildProcess } from "node:child_process"
import { fileURLToPath } from "node:url"

/** A module of this program, in the sources or in the build. */
const moduleOf = (name: string) =>
  fileURLToPath(new URL(`${name}${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url))
const command = moduleOf("../cli/main")
const sagas = moduleOf("./sagas")

/** After how many seconds another worker takes over the sagas of one that has ended: few, so that the demo need not wait. */
export const TAKEOVER_SECONDS = 4

export interface Workers {
  /** Kills one worker (SIGKILL) and starts another in its place; resolves when that one runs. */
  readonly crash: () => Promise<void>
  readonly close: () => Promise<void>
}

/** Starts two workers on the database and resolves when both run. Rejects with the output of one that cannot start. */
export const startWorkers = async (url: string): Promise<Workers> => {
  const running = new Set<ChildProcess>()

  const start = async (): Promise<ChildProcess> => {
    const words = ["worker", sagas, "--takeover", String(TAKEOVER_SECONDS)]
    const child = spawn(process.execPath, [...process.execArgv, command, ...words], {
      // The URL is passed in the environment: every user of the machine can see arguments.
      env: { ...process.env, DATABASE_URL: url },
      // The IPC channel ends the workers with the demo, however that ends.
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
        if (said.includes("running the sagas")) resolve()
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
    const [first] = await Promise.all([start(), start()])
    return {
      crash: async () => {
        if (first !== undefined) await end(first)
        await start()
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
