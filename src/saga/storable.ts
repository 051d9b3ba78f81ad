/** Which values the saga log can store: JSON of at most 1 MiB, without U+0000 and without half of a surrogate pair. Pure: no database. */
import type * as Schema from "effect/Schema"
import { unstorable } from "../contract/operationRequests.ts"

/** The longest JSON text of a payload, a result or an error, in UTF-16 code units. */
const MAX_LENGTH = 1_048_576

/** Why the log cannot store the value; `undefined` if it can. */
export const whyNotStorable = (value: Schema.Json): string | undefined => {
  const text = JSON.stringify(value)
  if (text.length > MAX_LENGTH) return `takes ${text.length} characters as JSON, of at most ${MAX_LENGTH}`
  return unstorable.test(text) ? "contains U+0000 or half of a surrogate pair" : undefined
}

/** The first 4,000 characters of the text, with U+FFFD for what the log cannot store, so that no error is lost because of its message. */
export const cleanText = (text: string): string => clean(text.slice(0, 4000))

/** The value with U+FFFD in all of its texts for what the log cannot store. */
export const cleanJson = (value: Schema.Json): Schema.Json => {
  if (typeof value === "string") return clean(value)
  if (value === null || typeof value !== "object") return value
  if (Array.isArray(value)) return value.map((one: Schema.Json) => cleanJson(one))
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [clean(key), cleanJson(one)]))
}

const clean = (text: string): string => text.toWellFormed().replaceAll("\u0000", "\uFFFD")
