#!/usr/bin/env node
/** The program `saga-ipam`: a process that runs the command typed and ends with its exit code, or with 130 after Ctrl-C. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Exit from "effect/Exit"
import { run } from "./run.ts"

// What cannot be written is told by the write itself; a reader that closes the pipe, such as `head`, ends nothing and is no error.
process.stdout.on("error", () => undefined)
process.stderr.on("error", () => undefined)

NodeRuntime.runMain(run(process.argv.slice(2)), {
  disableErrorReporting: true,
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) && typeof exit.value === "number" ? exit.value : 130),
})
