/** The log of long-running commands, such as the worker: warnings and errors on stderr, one line each. Stdout is for answers alone. */
import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { redacted } from "../errors/errorText.ts"
import { toJson } from "./output.ts"

/** The innermost cause of an error, which has the message of the server or the operating system. */
const innermost = (error: unknown): unknown =>
  error instanceof Error && error.cause !== undefined ? innermost(error.cause) : error

/** The message of a failure; for a defect, its stack. */
const causeText = (cause: Cause.Cause<unknown>): string => {
  const error = innermost(Cause.squash(cause))
  if (!(error instanceof Error)) return String(error)
  return (Cause.hasDies(cause) ? error.stack : undefined) ?? `${error.name}: ${error.message}`
}

const partText = (part: unknown): string => {
  if (Cause.isCause(part)) return causeText(part)
  return part instanceof Error ? causeText(Cause.fail(part)) : typeof part === "string" ? part : JSON.stringify(part)
}

/** `2026-11-20T08:00:00.000Z WARN Could not read messages from storage: Error: connect ECONNREFUSED 127.0.0.1:5432`. */
const line = Logger.make<unknown, string>(({ date, logLevel, message, cause }) => {
  const parts = [...(Array.isArray(message) ? message : [message]), ...(cause.reasons.length === 0 ? [] : [cause])]
  const text = redacted(parts.map(partText).join(": ")).replaceAll(/\s*\n\s*/g, " | ")
  return `${date.toISOString()} ${logLevel.toUpperCase()} ${text}`
})

/** The same as JSON. */
const jsonLine = Logger.make<unknown, string>(({ date, logLevel, message, cause }) => {
  const parts = [...(Array.isArray(message) ? message : [message]), ...(cause.reasons.length === 0 ? [] : [cause])]
  return toJson({ time: date.toISOString(), level: logLevel, message: redacted(parts.map(partText).join(": ")) })
})

export const logLayer = (json: boolean) =>
  Layer.merge(
    Logger.layer([Logger.withConsoleError(json ? jsonLine : line)]),
    Layer.succeed(References.MinimumLogLevel, "Warn"),
  )
