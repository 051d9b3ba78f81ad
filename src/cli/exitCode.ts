/**
 * Exit codes: that of a failure, which is printed on stderr as text or JSON, and those that commands choose themselves.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as CliError from "effect/cli/CliError"
import { OutputFailed, printError, toJson } from "./output.ts"
import { withFlagNames } from "./flagNames.ts"

/** Ends the command with this exit code; everything has been printed already. */
export class ExitWith {
  readonly _tag = "ExitWith"
  readonly code: number

  constructor(code: number) {
    this.code = code
  }
}

/** Prints the failure and returns its exit code: that in the table of errors, 2 for a usage error, 130 after Ctrl-C. */
export const reportFailure = Effect.fnUntraced(function* (
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
    const fields = CliError.isCliError(thrown) ? errorToJson(error) : withFlagNames(errorToJson(error), typed)
    yield* printError(json ? toJson(fields) : `saga-ipam: ${error._tag}: ${fields.message}${helpHint(thrown)}`)
  } else {
    yield* printError(json ? yield* defectJson(error) : yield* defectText(error))
  }
  return factsOf(error).exit
})

/** A usage error as `InvalidInput`, with the message of the parser, and the flag or argument as the field. */
const toInvalidInput = Effect.fnUntraced(function* (thrown: CliError.CliError) {
  const { InvalidInput } = yield* Effect.promise(() => import("../errors/errors.ts"))
  const [first = thrown, ...others] = thrown._tag === "ShowHelp" ? thrown.errors : []
  const field = "option" in first ? first.option : "argument" in first ? first.argument : ""
  const message = [first, ...others].map((one) => one.message).join("; ")
  return new InvalidInput({ field, message })
})

/** Points to the help of the command after a usage error. */
const helpHint = (thrown: unknown): string =>
  CliError.isCliError(thrown) && thrown._tag === "ShowHelp" ? `\nSee: ${thrown.commandPath.join(" ")} --help` : ""

const redact = Effect.fnUntraced(function* (text: string) {
  const { redacted } = yield* Effect.promise(() => import("../errors/errorText.ts"))
  return redacted(text)
})

/** A defect as JSON, without URLs and passwords. */
const defectJson = Effect.fnUntraced(function* (error: unknown) {
  return toJson({ error: "Defect", message: yield* redact(error instanceof Error ? error.message : String(error)) })
})

/** A defect as text, with its stack, which a bug report needs. */
const defectText = Effect.fnUntraced(function* (error: unknown) {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return `saga-ipam: this is a bug, please report it: ${yield* redact(stack)}`
})
