/**
 * How errors put names, places and reasons into a line for an operator. Pure text.
 */

/** `"web"`: a caller's text in quotes, at most `limit` characters of it, with control characters escaped, so that it cannot forge a log line. */
export const quoted = (text: string, limit = 200): string =>
  JSON.stringify(text.length > limit ? `${text.slice(0, limit).toWellFormed()}...` : text)

/** The same text with a capital first letter. */
export const sentence = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

/** What `where` knows how to name. */
interface Place {
  readonly vrf?: string | undefined
  readonly pool?: string | undefined
  readonly range?: string | undefined
  readonly requestId?: string | undefined
  readonly slot?: string | undefined
}

/** ` (VRF "default", pool "web", slot "eth0/v4")`: the parts that are known; empty when none is. */
export const where = (place: Place): string => {
  const parts = [
    place.vrf === undefined ? [] : [`VRF ${quoted(place.vrf)}`],
    place.pool === undefined ? [] : [`pool ${quoted(place.pool)}`],
    place.range === undefined ? [] : [`range ${quoted(place.range)}`],
    place.requestId === undefined ? [] : [`request ${place.requestId}`],
    place.slot === undefined ? [] : [`slot ${quoted(place.slot)}`],
  ].flat()
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`
}

/**
 * The text without URLs and without the value of any `password=` or `pwd=`: reasons come from drivers and servers, and
 * connection strings carry passwords.
 */
export const redacted = (text: string): string =>
  text
    .replace(/[a-z][a-z0-9+.-]*:\/\/\S+/gi, "<url>")
    .replace(/\b(password|passwd|pwd|pgpassword)(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|\S+)/gi, "$1$2<hidden>")
