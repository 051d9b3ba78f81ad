/**
 * A program that stops the server of a folder unless it is used. `keeper FOLDER` does so now, as the watchdog of a program that has
 * died; `keeper FOLDER starting`, as that of one which may have just launched the server; `keeper FOLDER idle MILLISECONDS` first
 * keeps it that long for the next user, and prints a line once it does.
 */
import { setTimeout as pause } from "node:timers/promises"
import { keepIdle, stopUnused } from "./sharedServer.ts"

/** How long a server that was launched may take to write its pid. */
const LAUNCH_MS = 20_000

const [folder = "", task, milliseconds] = process.argv.slice(2)
if (task === "idle") {
  process.stdout.on("error", () => undefined)
  await keepIdle(folder, Number(milliseconds), () => void process.stdout.write("kept\n"))
} else {
  const end = performance.now() + (task === "starting" ? LAUNCH_MS : 0)
  while ((await stopUnused(folder)) === "not running" && performance.now() < end) await pause(100)
}
