/**
 * The command line of `saga-ipam`: what is typed, to an exit code.
 *
 * Only what `--help` needs is loaded here; each command loads what it runs on. What happens to the process is left to `main.ts`.
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
import { report } from "./exit.ts"
import { Data, Json, Url } from "./flags.ts"
import { importCommand } from "./importCommands.ts"
import { logs } from "./log.ts"
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
  Command.withGlobalFlags([Json, Data, Url]),
)

/** What is wrong with a command line goes to stderr with the other errors; help that was asked for goes to stdout. */
const presenter = CliOutput.layerPresenter({
  present: (event) => (event._tag === "InvalidInvocation" ? Effect.void : CliOutput.defaultPresenter.present(event)),
})

const config = CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })

/** Two levels above both `src/cli` and `dist/cli`. */
const version = (): string => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string
  }
  return version
}

/** Runs the command that was typed, prints its answer or its error, and gives its exit code. Fails with an interruption only. */
export const run = (typed: ReadonlyArray<string>): Effect.Effect<number> => {
  const operands = typed.indexOf("--")
  // Known before the command line is understood, since what is wrong with it is an error too.
  const json = (operands === -1 ? typed : typed.slice(0, operands)).some(
    (word) => word === "--json" || word === "--json=true",
  )
  return Command.runWith(root, { version: version() })(typed).pipe(
    Effect.as(0),
    Effect.provide(Layer.mergeAll(NodeServices.layer, presenter, config, logs(json))),
    Effect.catchCause((cause) => report(cause, json, typed)),
  )
}
