#!/usr/bin/env node
/** The program `saga-ipam`: runs the command line, and ends the process with its exit code, or with 130 after Ctrl-C. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Exit from "effect/Exit"
import { run } from "./run.ts"

// Each write reports its own errors. A reader that closes the pipe, such as `head`, is no error and must not end the process.
process.stdout.on("error", () => undefined)
process.stderr.on("error", () => undefined)

NodeRuntime.runMain(run(process.argv.slice(2)), {
  disableErrorReporting: true,
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) && typeof exit.value === "number" ? exit.value : 130),
})
