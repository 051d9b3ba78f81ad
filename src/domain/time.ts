/**
 * Points in time as text: ISO 8601 in UTC, to the millisecond. Pure: reads no clock.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { shown } from "./address.ts"
import { textParsedBy } from "./identity.ts"

const pattern = /^(\d{4,6}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,6})?)(Z|[+-]\d\d(?::?\d\d)?)$/

/** Parses a time to its canonical text in UTC; microseconds are cut off, years beyond 9999 refused. */
const parseTime = (text: string): Result.Result<string, string> => {
  const [, day, clock, offset = ""] = pattern.exec(text) ?? []
  const hours = offset.length === 3 ? `${offset}:00` : offset
  const time = new Date(`${day}T${clock}${hours}`)
  return Number.isNaN(time.getTime())
    ? Result.fail(`must be a time with its offset, e.g. 2026-01-31T12:00:00Z, not ${shown(text)}`)
    : Result.succeed(time.toISOString())
}

/** A time, `2026-01-31T12:00:00.000Z`: decoded from text with any offset, from PostgreSQL's spelling or from a `Date`. */
export const Time = Schema.Union([Schema.String, Schema.Date]).pipe(
  Schema.decodeTo(
    textParsedBy(parseTime),
    SchemaTransformation.transform<string, string | Date>({
      decode: (time: string | Date) =>
        typeof time === "string" || Number.isNaN(time.getTime()) ? String(time) : time.toISOString(),
      encode: (time: string) => time,
    }),
  ),
)
