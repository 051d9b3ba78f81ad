/** How a flow that stopped as stuck is made to go on. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { Operations } from "../services/Operations.ts"
import { operationIdOf } from "./operationId.ts"

/** What is needed of a workflow for it. */
interface Resumable<A, R, R2> {
  readonly poll: (executionId: string) => Effect.Effect<Option.Option<A>, never, R>
  readonly resume: (executionId: string) => Effect.Effect<void, never, R2>
}

export const resumeExecution = Effect.fnUntraced(function* <A, R, R2>(
  workflow: Resumable<A, R, R2>,
  executionId: string,
) {
  const known = yield* Operations.use(({ getOperation }) => getOperation({ operationId: operationIdOf(executionId) }))
  // The mark comes first, and to resume what the engine has not put aside yet would do nothing.
  if (known?.stuck) yield* untilPutAside(workflow.poll(executionId))
  yield* workflow.resume(executionId)
})

/** For at most five seconds: an undo that is stuck is repeated, and never put aside. */
const untilPutAside = <A, R>(poll: Effect.Effect<Option.Option<A>, never, R>) =>
  Effect.catchDefect(poll, () => Effect.succeedNone).pipe(
    Effect.repeat({ until: Option.isSome, schedule: Schedule.spaced("50 millis") }),
    Effect.timeoutOption("5 seconds"),
  )
