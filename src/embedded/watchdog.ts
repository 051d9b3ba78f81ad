/**
 * Runs a command once this process has ended, however it ends: by itself, by Ctrl-C, by SIGKILL.
 *
 * A shell waits at the end of a pipe, which the kernel closes with this process, and then becomes the command. One that is killed is
 * replaced at once. There are no signal handlers here: they would compete with the ones of the program, and SIGKILL passes them by.
 */
import { spawn, type ChildProcess } from "node:child_process"

/** The options to spawn a program that outlives this one: in a session of its own, with `/` as its working directory. */
export const detachedProgram = {
  cwd: "/",
  detached: true,
  env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
} as const

/** A line dismisses the shell; the end of the pipe without one lets it go on. */
const script = `read -r line || exec "$@"`

/**
 * Has the command run once this process has ended, and returns a function that calls it off. Keeps neither this process nor a terminal
 * waiting. If no shell can be run, there is no watchdog.
 */
export const watch = (command: ReadonlyArray<string>): (() => void) => {
  let dismissed = false
  let child: ChildProcess
  const start = () => {
    child = spawn("/bin/sh", ["-c", script, "saga-ipam-watchdog", ...command], {
      ...detachedProgram,
      stdio: ["pipe", "ignore", "ignore"],
    })
    child.on("error", () => undefined)
    child.once("exit", () => {
      if (!dismissed) start()
    })
    child.unref()
    // A socket in fact, and the only handle that would keep the event loop of this process running.
    const pipe: unknown = child.stdin
    if (pipe instanceof Object && "unref" in pipe && typeof pipe.unref === "function") pipe.unref()
    child.stdin?.on("error", () => undefined)
  }
  start()
  return () => {
    dismissed = true
    child.stdin?.end("\n")
  }
}
