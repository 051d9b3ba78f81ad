/**
 * Keeping a server running that nobody uses at the moment, for the next user.
 *
 * A separate process does so; it is present as `idle` until its time is over. Another program that wants the server kept sends it a
 * line with the milliseconds, and the answer `kept` says that it will stay at least that long. Stopping the server dismisses it.
 */
import { connect, type Socket } from "node:net"
import { createInterface } from "node:readline"
import { appear, present } from "./presence.ts"

const DISMISSED = "dismissed"
const KEPT = "kept"

/** Is present as `idle`. Resolves when the longest time that it was asked for is over, or when it is dismissed. */
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

/** Asks an idle process of the folder to stay that long; `false` if there is none, or if it is about to end. */
export const askToKeep = async (folder: string, milliseconds: number): Promise<boolean> => {
  for (const path of await present(folder, ["idle"])) {
    if ((await tell(path, String(milliseconds))) === `${KEPT}\n`) return true
  }
  return false
}

/** Dismisses every idle process of the folder. */
export const dismissIdle = async (folder: string): Promise<void> => {
  await Promise.all((await present(folder, ["idle"])).map((path) => tell(path, DISMISSED)))
}

/** Sends a line to the process that listens on a socket. Resolves to its answer, which is empty if there is no such process. */
const tell = (path: string, line: string): Promise<string> =>
  new Promise((resolve) => {
    let answer = ""
    const socket = connect(path)
    socket.setEncoding("utf8").on("data", (text: string) => (answer += text))
    socket.on("error", () => undefined).once("close", () => resolve(answer))
    socket.end(`${line}\n`)
  })
