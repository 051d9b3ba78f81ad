/**
 * How the CLI ends: the exit code of an answer or of a failure, and the failure in words, or as JSON, on stderr.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as CliError from "effect/cli/CliError"
import { OutputFailed, printError, toJson } from "./output.ts"
import { inFlags } from "./words.ts"

/** Ends with this code; what there was to say has been said. */
export class ExitWith {
  readonly _tag = "ExitWith"
  readonly code: number

  constructor(code: number) {
    this.code = code
  }
}

/** Reports the failure and gives its exit code: those of the table of errors, 2 for bad usage, 130 after Ctrl-C. */
export const report = Effect.fnUntraced(function* (
  cause: Cause.Cause<unknown>,
  json: boolean,
  typed: ReadonlyArray<string>,
) {
  const { errorToJson, factsOf, interruptedExit, isIpamError } = yield* Effect.promise(
    () => import("../errors/errorFacts.ts"),
  )
  if (Cause.hasInterruptsOnly(cause)) return interruptedExit
  const thrown: unknown = Cause.squash(cause)
  if (thrown instanceof ExitWith) return thrown.code
  if (CliError.isCliError(thrown) && thrown._tag === "ShowHelp" && thrown.errors.length === 0) return 0
  if (thrown instanceof OutputFailed) {
    yield* printError(json ? toJson({ error: thrown._tag, message: thrown.message }) : `saga-ipam: ${thrown.message}`)
    return thrown.exit
  }
  const error = CliError.isCliError(thrown) ? yield* toInvalidInput(thrown) : thrown
  if (isIpamError(error)) {
    const told = CliError.isCliError(thrown) ? errorToJson(error) : inFlags(errorToJson(error), typed)
    yield* printError(json ? toJson(told) : `saga-ipam: ${error._tag}: ${told.message}${helpHint(thrown)}`)
  } else {
    yield* printError(json ? yield* defectJson(error) : yield* defectText(error))
  }
  return factsOf(error).exit
})

/** What the command line got wrong, in the words of the parser, with the flag or argument as the field. */
const toInvalidInput = Effect.fnUntraced(function* (thrown: CliError.CliError) {
  const { InvalidInput } = yield* Effect.promise(() => import("../errors/errors.ts"))
  const [first = thrown, ...others] = thrown._tag === "ShowHelp" ? thrown.errors : []
  const field = "option" in first ? first.option : "argument" in first ? first.argument : ""
  const message = [first, ...others].map((one) => one.message).join("; ")
  return new InvalidInput({ field, message })
})

/** Where to read how the command is called, when that was what was wrong. */
const helpHint = (thrown: unknown): string =>
  CliError.isCliError(thrown) && thrown._tag === "ShowHelp" ? `\nSee: ${thrown.commandPath.join(" ")} --help` : ""

const redact = Effect.fnUntraced(function* (text: string) {
  const { redacted } = yield* Effect.promise(() => import("../errors/errorText.ts"))
  return redacted(text)
})

/** A bug of ours. What is printed of it has neither a URL nor a password. */
const defectJson = Effect.fnUntraced(function* (error: unknown) {
  return toJson({ error: "Defect", message: yield* redact(error instanceof Error ? error.message : String(error)) })
})

/** The same for people, with the stack, since a report needs it. */
const defectText = Effect.fnUntraced(function* (error: unknown) {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return `saga-ipam: this is a bug, please report it: ${yield* redact(stack)}`
})
