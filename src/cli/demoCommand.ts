/** The command that plays the demo, the same program as `npm run demo`. */
import * as Effect from "effect/Effect"
import * as Command from "effect/cli/Command"
import { ExitWith } from "./exit.ts"
import { Url } from "./flags.ts"

export const demoCommand = Command.make(
  "demo",
  {},
  Effect.fnUntraced(function* () {
    const url = (yield* Url) ?? process.env["DATABASE_URL"] ?? ""
    // The demo is a program of its own, which takes its server from the environment and runs when it is loaded.
    if (url === "") delete process.env["DATABASE_URL"]
    else process.env["DATABASE_URL"] = url
    yield* Effect.promise(() => import("../demo/main.ts"))
    const code = Number(process.exitCode ?? 0)
    return yield* code === 0 ? Effect.void : Effect.fail(new ExitWith(code))
  }),
).pipe(
  Command.withDescription("Play a day of a control plane on a database of its own, which is removed afterwards"),
  Command.withShortDescription("Play a day of a control plane, on a database of its own"),
)
