/**
 * Runs a command line of `saga-ipam` and returns its exit code.
 *
 * Loads only what `--help` needs; each command loads the rest. Does not touch the process: that is for `main.ts`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import { readFileSync } from "node:fs"
import { allocationCommands } from "./allocationCommands.ts"
import { databaseCommands } from "./databaseCommands.ts"
import { demoCommand } from "./demoCommand.ts"
import { reportFailure } from "./exitCode.ts"
import { Data, Json, Servers, Url } from "./flags.ts"
import { importCommand } from "./importCommands.ts"
import { logLayer } from "./log.ts"
import { poolCommand } from "./poolCommands.ts"
import { sagaCommand } from "./sagaCommands.ts"
import { upkeepCommands } from "./upkeepCommands.ts"
import { workerCommand } from "./workerCommand.ts"

const root = Command.make("saga-ipam").pipe(
  Command.withDescription(
    "An IP address allocator on PostgreSQL: the same request gets the same address, and no address is held twice.",
  ),
  Command.withSubcommands([
    poolCommand,
    ...allocationCommands,
    workerCommand,
    sagaCommand,
    ...upkeepCommands,
    importCommand,
    ...databaseCommands,
    demoCommand,
  ]),
  Command.withGlobalFlags([Json, Data, Url, Servers]),
)

/** Prints help on stdout. Usage errors are left to `reportFailure`, which prints them on stderr like all other errors. */
const presenter = CliOutput.layerPresenter({
  present: (event) => (event._tag === "InvalidInvocation" ? Effect.void : CliOutput.defaultPresenter.present(event)),
})

const config = CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })

/** The version in package.json, which is two levels above both `src/cli` and `dist/cli`. */
const version = (): string => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string
  }
  return version
}

/** Runs the command line `typed`, prints its answer or its error, and returns its exit code. Fails only by interruption. */
export const run = (typed: ReadonlyArray<string>): Effect.Effect<number> => {
  const operands = typed.indexOf("--")
  // Found before the command line is parsed, since its usage errors are printed as JSON as well.
  const json = (operands === -1 ? typed : typed.slice(0, operands)).some(
    (word) => word === "--json" || word === "--json=true",
  )
  return Command.runWith(root, { version: version() })(typed).pipe(
    Effect.as(0),
    Effect.provide(Layer.mergeAll(NodeServices.layer, presenter, config, logLayer(json))),
    Effect.catchCause((cause) => reportFailure(cause, json, typed)),
  )
}
