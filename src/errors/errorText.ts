/**
 * The text that error messages have in common: quoted names, locations, and reasons without secrets. Pure.
 */

/** `"web"`: at most `limit` characters of a caller's text, in quotes, with control characters escaped, so that it cannot forge a log line. */
export const quoted = (text: string, limit = 200): string =>
  JSON.stringify(text.length > limit ? `${text.slice(0, limit).toWellFormed()}...` : text)

/** The text with a capital first letter. */
export const sentence = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

/** What an error is about, as far as it is known. */
interface Location {
  readonly vrf?: string | undefined
  readonly pool?: string | undefined
  readonly range?: string | undefined
  readonly requestId?: string | undefined
  readonly slot?: string | undefined
}

/** ` (VRF "default", pool "web", slot "eth0/v4")`: the parts that are known; empty if none is. */
export const where = (location: Location): string => {
  const parts = [
    location.vrf === undefined ? [] : [`VRF ${quoted(location.vrf)}`],
    location.pool === undefined ? [] : [`pool ${quoted(location.pool)}`],
    location.range === undefined ? [] : [`range ${quoted(location.range)}`],
    location.requestId === undefined ? [] : [`request ${location.requestId}`],
    location.slot === undefined ? [] : [`slot ${quoted(location.slot)}`],
  ].flat()
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`
}

/**
 * The text without URLs and without the value of any `password=` or the like: the reasons that drivers and servers give may quote
 * connection strings.
 */
export const redacted = (text: string): string =>
  text
    .replace(/[a-z][a-z0-9+.-]*:\/\/\S+/gi, "<url>")
    .replace(/\b(password|passwd|pwd|pgpassword)(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|\S+)/gi, "$1$2<hidden>")

/** The fields of an error with its reason redacted. */
export const withoutSecrets = <Fields extends { readonly reason: string }>(fields: Fields): Fields => ({
  ...fields,
  reason: redacted(fields.reason),
})
