/**
 * What the database says, or does not say, whatever the call was about. Pure; part of `errors.ts`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { redacted, sentence, where } from "./errorText.ts"

const text = Schema.String
const maybeText = Schema.optional(text)

/** A bounded wait for others' locks ran out. Nothing was written: the same call again is right. */
export class Contended extends Schema.TaggedError<Contended>()("Contended", {
  call: text,
  vrf: maybeText,
  pool: maybeText,
  requestId: maybeText,
  slot: maybeText,
}) {
  override get message(): string {
    return `${sentence(this.call)} waited too long for another transaction and wrote nothing${where(this)}; make the same call again`
  }
}

/**
 * The answer did not come. `outcomeUnknown`: only the same call with the same key tells what came of it; false where the server
 * refused to begin, such as for a missing grant. `reason` loses its URLs and passwords here, whoever gives it.
 */
export class DatabaseUnavailable extends Schema.TaggedError<DatabaseUnavailable>()("DatabaseUnavailable", {
  call: text,
  reason: text,
  code: maybeText,
  vrf: maybeText,
  pool: maybeText,
  requestId: maybeText,
  slot: maybeText,
  outcomeUnknown: Schema.Boolean.pipe(Schema.withConstructorDefault(Effect.succeed(true))),
}) {
  constructor(props: (typeof DatabaseUnavailable)["~type.make.in"], options?: Schema.MakeOptions) {
    super({ ...props, reason: redacted(props.reason) }, options)
  }
  override get message(): string {
    const code = this.code === undefined ? "" : ` (${this.code})`
    return this.outcomeUnknown
      ? `The database did not answer ${this.call}: ${this.reason}${code}${where(this)}; the outcome is unknown, make the same call with the same key`
      : `The database refused ${this.call}: ${this.reason}${code}${where(this)}; nothing was written`
  }
}

/** `version` is the schema's in the database, `null` when there is none; `library` is what this library needs. */
const versionFields = {
  version: Schema.NullOr(Schema.Int),
  compatibleFrom: Schema.NullOr(Schema.Int),
  library: Schema.Int,
}

/** The database has no schema, or one older than this library. Nothing was written. */
export class SchemaTooOld extends Schema.TaggedError<SchemaTooOld>()("SchemaTooOld", versionFields) {
  override get message(): string {
    const has = this.version === null ? "no schema of saga-ipam" : `schema version ${this.version}`
    return `The database has ${has}, this library needs ${this.library}; run \`saga-ipam migrate\` as the owner of the schema`
  }
}

/** The database's schema no longer serves this library. Nothing was written. */
export class SchemaTooNew extends Schema.TaggedError<SchemaTooNew>()("SchemaTooNew", versionFields) {
  override get message(): string {
    return `The database has schema version ${this.version}, which serves libraries from ${this.compatibleFrom} on, this one is ${this.library}; upgrade saga-ipam`
  }
}

/** One thing that the doctor found: the check that failed, where, what is off and what `doctor --repair` will do (`null`: by hand). */
export const Finding = Schema.Struct({
  check: text,
  vrf: Schema.NullOr(text),
  pool: Schema.NullOr(text),
  detail: text,
  repair: Schema.NullOr(text),
})

/** The tables contradict each other; the call wrote nothing. */
export class Drifted extends Schema.TaggedError<Drifted>()("Drifted", {
  findings: Schema.Array(Finding),
  slot: maybeText,
}) {
  override get message(): string {
    const [first] = this.findings
    const what = first === undefined ? "" : `: ${first.check}, ${first.detail}`
    const more = this.findings.length > 1 ? ` and ${this.findings.length - 1} more` : ""
    const place = where({ vrf: first?.vrf ?? undefined, pool: first?.pool ?? undefined, slot: this.slot })
    return `The tables contradict each other${what}${more}${place}; run \`saga-ipam doctor\``
  }
}
