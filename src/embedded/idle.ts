/**
 * Keeping a server that nobody uses for a while, for the next one who does.
 *
 * Done by a process of its own, which is present as `idle` until its time is over. Whoever wants the server kept longer asks it to
 * stay, by one line with the milliseconds; the answer `kept` says that it will. Stopping the server dismisses it.
 */
import { connect, type Socket } from "node:net"
import { createInterface } from "node:readline"
import { appear, present } from "./presence.ts"

const DISMISSED = "dismissed"
const KEPT = "kept"

/** Is present as `idle`, and resolves when the time is over that anybody asked for, or it was dismissed. */
export const stayIdle = async (folder: string, milliseconds: number, onPresent: () => void): Promise<void> => {
  const over = Promise.withResolvers<void>()
  let timer: NodeJS.Timeout | undefined
  let end = 0
  const keep = (wanted: number) => {
    end = Math.max(end, performance.now() + wanted)
    clearTimeout(timer)
    timer = setTimeout(over.resolve, end - performance.now())
  }
  const idle = await appear(folder, "idle", (visitor: Socket) => {
    createInterface({ input: visitor }).on("line", (line) => {
      if (line === DISMISSED) return over.resolve()
      keep(Number(line))
      visitor.end(`${KEPT}\n`)
    })
  })
  keep(milliseconds)
  onPresent()
  await over.promise
  clearTimeout(timer)
  idle.leave()
}

/** Asks a process that is idle in the folder to stay so long; false when there is none, or it is about to end. */
export const askToKeep = async (folder: string, milliseconds: number): Promise<boolean> => {
  for (const path of await present(folder, ["idle"])) {
    if ((await tell(path, String(milliseconds))) === `${KEPT}\n`) return true
  }
  return false
}

/** Dismisses every process that is idle in the folder. */
export const dismissIdle = async (folder: string): Promise<void> => {
  await Promise.all((await present(folder, ["idle"])).map((path) => tell(path, DISMISSED)))
}

/** Sends a line to the process of a socket; its answer, empty when it is gone. */
const tell = (path: string, line: string): Promise<string> =>
  new Promise((resolve) => {
    let answer = ""
    const socket = connect(path)
    socket.setEncoding("utf8").on("data", (text: string) => (answer += text))
    socket.on("error", () => undefined).once("close", () => resolve(answer))
    socket.end(`${line}\n`)
  })
