/** The command that plays the demo, as `npm run demo` does. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import type { DemoOptions, DemoResult } from "../demo/demo.ts"
import { ExitWith } from "./exitCode.ts"
import { Json, Url } from "./flags.ts"
import { print } from "./output.ts"

/** Plays the demo. If interrupted, it ends only after everything that the demo created is removed. */
const play = (options: Omit<DemoOptions, "signal">) =>
  Effect.flatMap(
    Effect.promise(() => Promise.all([import("../demo/demo.ts"), import("../errors/errorFacts.ts")])),
    ([{ playDemo }, { isIpamError }]) =>
      Effect.callback<DemoResult, unknown>((resume) => {
        const stop = new AbortController()
        const played = playDemo({ ...options, signal: stop.signal }).then(
          (result) => resume(Effect.succeed(result)),
          (error: unknown) => resume(isIpamError(error) ? Effect.fail(error) : Effect.die(error)),
        )
        return Effect.promise(() => {
          stop.abort()
          return played
        })
      }),
  )

export const demoCommand = Command.make(
  "demo",
  {
    folder: Argument.String("dir").pipe(
      Argument.withDescription(
        "Folder of NetBox exports, as for `import netbox`; default: a small plan in this package",
      ),
      Argument.optional,
      Argument.map(Option.getOrUndefined),
    ),
  },
  Effect.fnUntraced(function* ({ folder }) {
    const url = (yield* Url) ?? (process.env["DATABASE_URL"] || undefined)
    const json = yield* Json
    const result = yield* play({ folder, url, quiet: json })
    if (json) yield* print(result, () => "")
    return yield* result.ok ? Effect.void : Effect.fail(new ExitWith(1))
  }),
).pipe(
  Command.withDescription("Play a day of a control plane on a temporary database, which is removed afterwards"),
  Command.withShortDescription("Play a day of a control plane on a temporary database"),
)
