/** What the log can keep: JSON of at most 1 MiB, without U+0000 and without half of a surrogate pair. Pure. */
import type * as Schema from "effect/Schema"

/** The most that a payload, a result or an error may take as JSON text, in UTF-16 units. */
const MAX_LENGTH = 1_048_576

/** Both are what `JSON.stringify` escapes in this way; an escaped backslash before it makes it plain text. */
const unkept = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i

/** Why the log cannot keep a value; `undefined` where it can. */
export const whyNotStorable = (value: Schema.Json): string | undefined => {
  const text = JSON.stringify(value)
  if (text.length > MAX_LENGTH) return `takes ${text.length} characters as JSON, of at most ${MAX_LENGTH}`
  return unkept.test(text) ? "contains U+0000 or half of a surrogate pair" : undefined
}

/** A text without what the log cannot keep, and not longer than 4,000 characters: for errors, which must not be lost over their words. */
export const cleanText = (text: string): string => text.slice(0, 4000).toWellFormed().replaceAll("\u0000", "\uFFFD")

/** A value with all of its texts cleaned. */
export const cleanJson = (value: Schema.Json): Schema.Json => {
  if (typeof value === "string") return value.toWellFormed().replaceAll("\u0000", "\uFFFD")
  if (value === null || typeof value !== "object") return value
  if (Array.isArray(value)) return value.map((one: Schema.Json) => cleanJson(one))
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [cleanText(key), cleanJson(one)]))
}
