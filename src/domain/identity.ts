/**
 * The parts of identities and the bounds of what callers name: vrf, pool, request id, slot, owner, and durations.
 *
 * Pure. The bounds are those of the database's checks; here they become sentences. Lengths count code points, as PostgreSQL
 * counts characters; NUL and unpaired surrogates are refused, since no UTF-8 text holds them there.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Result from "effect/Result"
import { shown } from "./address.ts"

/** The vrf, and the slot, that a call means when it names none. */
export const DEFAULT = "default"

/** The longest name, in code points. */
export const MAX_NAME_LENGTH = 200

/** The longest ttl and cooldown in seconds: a hundred years of 365.25 days. */
export const MAX_SECONDS = 3_155_760_000

/** The shortest ttl in seconds: what a PostgreSQL interval can tell from nothing. */
const MIN_TTL_SECONDS = 0.000001

const nameRule = (text: string): string | undefined => {
  if (text === "") return "must not be empty"
  // Code points are at most as many as UTF-16 units and at least half as many, so huge texts need no counting.
  if (text.length > 2 * MAX_NAME_LENGTH || [...text].length > MAX_NAME_LENGTH) {
    return `must have at most ${MAX_NAME_LENGTH} characters`
  }
  if (text.includes("\0")) return "must not contain a NUL character"
  return text.isWellFormed() ? undefined : "must not contain half a surrogate pair"
}

/** Text of 1 to 200 characters. */
export const Name = Schema.String.check(Schema.makeFilter(nameRule))

/** A vrf, `default` when left out. */
export const Vrf = Name.pipe(Schema.withDecodingDefault(Effect.succeed(DEFAULT)))

/** One of several addresses of a request, e.g. `eth0/v4`; `default` when left out. */
export const Slot = Name.pipe(Schema.withDecodingDefault(Effect.succeed(DEFAULT)))

/** The name of a new pool: as `Name`, but not digits alone, which would read as an id. */
export const PoolName = Name.check(
  Schema.makeFilter((name: string) =>
    /^[0-9]+$/.test(name) ? "must not be digits alone, which would read as a pool's id" : undefined,
  ),
)

/** A pool by name, or by id: digits alone, at most 9223372036854775807. */
export const PoolRef = Name.check(
  Schema.makeFilter((ref: string) =>
    /^[0-9]+$/.test(ref) && BigInt(ref) > 9_223_372_036_854_775_807n
      ? "must be a pool's name, or an id of at most 9223372036854775807"
      : undefined,
  ),
)

/**
 * A schema that reads text by a function that says why a text is refused, and prints by leaving it as it is. `parse` must
 * give back what it printed.
 */
export const textParsedBy = <T extends string>(parse: (text: string) => Result.Result<T, string>) =>
  Schema.String.pipe(
    Schema.decodeTo(
      Schema.String.pipe(Schema.refine((text): text is T => Result.isSuccess(parse(text)))),
      SchemaTransformation.transformEffect({
        decode: (text: string) => {
          const parsed = parse(text)
          return Result.isSuccess(parsed)
            ? Effect.succeed(parsed.success)
            : Effect.fail(new SchemaIssue.InvalidValue({ message: parsed.failure }, Option.some(text)))
        },
        encode: (text: string) => Effect.succeed(text),
      }),
    ),
  )

const parseUuid = (text: string): Result.Result<string, string> => {
  const uuid = text.toLowerCase()
  if (text.length !== 36 || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) {
    return Result.fail(`must be a UUID of 36 characters, not ${shown(text)}`)
  }
  return /^[0-]+$/.test(uuid) ? Result.fail("must not be the nil UUID") : Result.succeed(uuid)
}

/** `0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b`: a UUID of any version but nil, read in any case, held in lower case. */
export const RequestId = textParsedBy(parseUuid)

/** Who holds an allocation, in the caller's words. `kind` has no `/`, so that `KIND/ID` reads one way. */
export const Owner = Schema.Struct({
  kind: Name.check(Schema.makeFilter((kind: string) => (kind.includes("/") ? "must not contain a slash" : undefined))),
  id: Name,
})
export type Owner = typeof Owner.Type

/** `instance/i-1/eth0` is kind `instance`, id `i-1/eth0`: split at the first slash; the parts are not checked. */
export const parseOwner = (text: string): Result.Result<Owner, string> => {
  const slash = text.indexOf("/")
  return slash < 1 || slash === text.length - 1
    ? Result.fail(`must be KIND/ID, e.g. instance/i-1, not ${shown(text)}`)
    : Result.succeed({ kind: text.slice(0, slash), id: text.slice(slash + 1) })
}

/** `KIND/ID` of an owner. */
export const printOwner = (owner: Owner): string => `${owner.kind}/${owner.id}`

const seconds = (lowest: number, rule: string) =>
  Schema.Number.check(
    Schema.makeFilter((value: number) =>
      Number.isFinite(value) && value >= lowest && value <= MAX_SECONDS
        ? undefined
        : `must be a number of seconds, ${rule}, at most ${MAX_SECONDS}`,
    ),
  )

/** How long a provisional allocation lives, in seconds; fractions count. */
export const TtlSeconds = seconds(MIN_TTL_SECONDS, "more than 0")

/** How long a released address rests, in seconds; 0 is not at all. */
export const CooldownSeconds = seconds(0, "0 or more")
