/**
 * Schemas of what callers name: VRF, pool, request id, slot, owner, and durations, each with its bounds.
 *
 * Pure. The database checks the same bounds; here a violation gets a message. Lengths count code points, as PostgreSQL counts
 * characters; NUL and unpaired surrogates are refused, since PostgreSQL cannot store them.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Result from "effect/Result"
import { shown } from "./address.ts"
import { asFields, withQuickReader } from "./quickReader.ts"

/** The VRF, and the slot, of a request that names none. */
export const DEFAULT = "default"

/** The longest name, in code points. */
export const MAX_NAME_LENGTH = 200

/** The longest ttl and cooldown, in seconds: a hundred years of 365.25 days. */
export const MAX_SECONDS = 3_155_760_000

/** The shortest ttl, in seconds: the resolution of a PostgreSQL interval. */
const MIN_TTL_SECONDS = 0.000001

/** What is wrong with a name, `undefined` if nothing is. */
export const nameRule = (text: string): string | undefined => {
  if (text === "") return "must not be empty"
  // A text has at most as many code points as UTF-16 units, and at least half as many: they are counted only in between.
  if (text.length > MAX_NAME_LENGTH && (text.length > 2 * MAX_NAME_LENGTH || [...text].length > MAX_NAME_LENGTH)) {
    return `must have at most ${MAX_NAME_LENGTH} characters`
  }
  if (text.includes("\0")) return "must not contain a NUL character"
  return text.isWellFormed() ? undefined : "must not contain half a surrogate pair"
}

/** Text of 1 to 200 characters. */
export const Name = Schema.String.check(Schema.makeFilter(nameRule))

const quickName = (value: unknown) => (typeof value === "string" && nameRule(value) === undefined ? value : undefined)

/** A VRF; `default` if left out. */
export const Vrf = withQuickReader(Name.pipe(Schema.withDecodingDefault(Effect.succeed(DEFAULT))), quickName)

/** Names one of several addresses of a request, e.g. `eth0/v4`; `default` if left out. */
export const Slot = withQuickReader(Name.pipe(Schema.withDecodingDefault(Effect.succeed(DEFAULT))), quickName)

/** The name of a new pool: a `Name` that is not digits alone, which would read as a pool's id. */
export const PoolName = Name.check(
  Schema.makeFilter((name: string) =>
    /^[0-9]+$/.test(name) ? "must not be digits alone, which would read as a pool's id" : undefined,
  ),
)

/** A pool by name, or by id: digits alone, at most 9223372036854775807. */
export const PoolRef = withQuickReader(
  Name.check(
    Schema.makeFilter((ref: string) =>
      /^[0-9]+$/.test(ref) && BigInt(ref) > 9_223_372_036_854_775_807n
        ? "must be a pool's name, or an id of at most 9223372036854775807"
        : undefined,
    ),
  ),
  (value) => (typeof value === "string" && /^[0-9]/.test(value) ? undefined : quickName(value)),
)

/**
 * A schema that decodes text by a parser, which returns the canonical text or the reason why the text is refused. The parser must
 * return a canonical text unchanged.
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

const canonicalUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const NIL = "00000000-0000-0000-0000-000000000000"

const parseUuid = (text: string): Result.Result<string, string> => {
  const uuid = text.toLowerCase()
  if (text.length !== 36 || !canonicalUuid.test(uuid)) {
    return Result.fail(`must be a UUID of 36 characters, not ${shown(text)}`)
  }
  return uuid === NIL ? Result.fail("must not be the nil UUID") : Result.succeed(uuid)
}

/** A UUID, e.g. `0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b`, of any version but not nil; decoded to lower case. */
export const RequestId = withQuickReader(textParsedBy(parseUuid), (value) =>
  typeof value === "string" && canonicalUuid.test(value) && value !== NIL ? value : undefined,
)

/** Who holds an allocation, in terms of the caller. `kind` contains no `/`, so that `KIND/ID` is unambiguous. */
export const Owner = withQuickReader(
  Schema.Struct({
    kind: Name.check(
      Schema.makeFilter((kind: string) => (kind.includes("/") ? "must not contain a slash" : undefined)),
    ),
    id: Name,
  }),
  (value) => {
    const fields = asFields(value)
    if (fields === undefined || Reflect.ownKeys(fields).length !== 2) return undefined
    const kind = quickName(fields["kind"])
    const id = quickName(fields["id"])
    return kind === undefined || id === undefined || kind.includes("/") ? undefined : { kind, id }
  },
)
export type Owner = typeof Owner.Type

/** Splits `KIND/ID` at the first slash: `instance/i-1/eth0` is kind `instance`, id `i-1/eth0`. Does not check the lengths. */
export const parseOwner = (text: string): Result.Result<Owner, string> => {
  const slash = text.indexOf("/")
  return slash < 1 || slash === text.length - 1
    ? Result.fail(`must be KIND/ID, e.g. instance/i-1, not ${shown(text)}`)
    : Result.succeed({ kind: text.slice(0, slash), id: text.slice(slash + 1) })
}

const seconds = (lowest: number, rule: string) => {
  const isWithin = (value: number) => Number.isFinite(value) && value >= lowest && value <= MAX_SECONDS
  return withQuickReader(
    Schema.Number.check(
      Schema.makeFilter((value: number) =>
        isWithin(value) ? undefined : `must be a number of seconds, ${rule}, at most ${MAX_SECONDS}`,
      ),
    ),
    (value) => (typeof value === "number" && isWithin(value) ? value : undefined),
  )
}

/** How long a provisional allocation lives, in seconds: above 0, at most `MAX_SECONDS`; fractions count. */
export const TtlSeconds = seconds(MIN_TTL_SECONDS, "more than 0")

/** How long a released address is not handed out again, in seconds: 0 to `MAX_SECONDS`. */
export const CooldownSeconds = seconds(0, "0 or more")
