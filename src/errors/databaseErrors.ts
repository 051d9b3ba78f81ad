/**
 * The errors that any call may get from the database, whatever it is about. Pure; exported by `errors.ts`.
 */
import * as Schema from "effect/Schema"
import { sentence, where, withoutSecrets } from "./errorText.ts"

const text = Schema.String
const maybeText = Schema.optional(text)

/** A bounded wait for another transaction ran out. Nothing was written: repeat the call. */
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

/** What the call was about. URLs and passwords are removed from `reason`; `code` is an SQLSTATE or an error code of Node. */
const callFields = {
  call: text,
  reason: text,
  code: maybeText,
  vrf: maybeText,
  pool: maybeText,
  requestId: maybeText,
  slot: maybeText,
}

/** `permission denied for function allocate (42501)`. */
const because = ({ reason, code }: { readonly reason: string; readonly code?: string | undefined }): string =>
  code === undefined ? reason : `${reason} (${code})`

/** No answer came, so the outcome is unknown: the call may have taken effect. Repeat it with the same key. */
export class DatabaseUnavailable extends Schema.TaggedError<DatabaseUnavailable>()("DatabaseUnavailable", callFields) {
  constructor(props: (typeof DatabaseUnavailable)["~type.make.in"], options?: Schema.MakeOptions) {
    super(withoutSecrets(props), options)
  }
  override get message(): string {
    return `The database did not answer ${this.call}: ${because(this)}${where(this)}; the outcome is unknown, make the same call with the same key`
  }
}

/** No server accepted the call: none was reachable, or it was starting up, full, or a standby. Nothing was written: repeat the call. */
export class DatabaseUnreachable extends Schema.TaggedError<DatabaseUnreachable>()("DatabaseUnreachable", callFields) {
  constructor(props: (typeof DatabaseUnreachable)["~type.make.in"], options?: Schema.MakeOptions) {
    super(withoutSecrets(props), options)
  }
  override get message(): string {
    return `No database server accepted ${this.call}: ${because(this)}${where(this)}; nothing was written, make the same call again`
  }
}

/**
 * The role that connects may not make the call; nothing was written. `role` is the saga-ipam role to grant; it is left out if none
 * would help, and then `reason` says what is missing.
 */
export class NotPermitted extends Schema.TaggedError<NotPermitted>()("NotPermitted", {
  ...callFields,
  role: maybeText,
}) {
  constructor(props: (typeof NotPermitted)["~type.make.in"], options?: Schema.MakeOptions) {
    super(withoutSecrets(props), options)
  }
  override get message(): string {
    const grant = this.role === undefined ? "" : `; grant ${this.role} to the role that connects`
    return `The database does not permit ${this.call}: ${because(this)}${where(this)}; nothing was written${grant}`
  }
}

/** No database is named, or a setting is wrong: role, password, database name, certificate, or the folder of the embedded server. Nothing was written. */
export class DatabaseMisconfigured extends Schema.TaggedError<DatabaseMisconfigured>()(
  "DatabaseMisconfigured",
  callFields,
) {
  constructor(props: (typeof DatabaseMisconfigured)["~type.make.in"], options?: Schema.MakeOptions) {
    super(withoutSecrets(props), options)
  }
  override get message(): string {
    return `The database cannot be used for ${this.call}: ${because(this)}${where(this)}; nothing was written; correct the settings`
  }
}

/** The disk of the server is full; nothing was written. Free space, then repeat the call. */
export class DiskFull extends Schema.TaggedError<DiskFull>()("DiskFull", callFields) {
  constructor(props: (typeof DiskFull)["~type.make.in"], options?: Schema.MakeOptions) {
    super(withoutSecrets(props), options)
  }
  override get message(): string {
    return `The disk of the database is full; ${this.call} wrote nothing: ${because(this)}${where(this)}; free space, then make the same call again`
  }
}

/** `version`: the schema version of the database, `null` for no schema. `library`: the version that this library needs. */
const versionFields = {
  version: Schema.NullOr(Schema.Int),
  compatibleFrom: Schema.NullOr(Schema.Int),
  library: Schema.Int,
}

/** The database has no schema, or one that is older than this library needs. Nothing was written: migrate. */
export class SchemaTooOld extends Schema.TaggedError<SchemaTooOld>()("SchemaTooOld", versionFields) {
  override get message(): string {
    const has = this.version === null ? "no schema of saga-ipam" : `schema version ${this.version}`
    return `The database has ${has}, this library needs ${this.library}; run \`saga-ipam migrate\` as the owner of the schema`
  }
}

/** The schema of the database is too new for this library. Nothing was written: upgrade the library. */
export class SchemaTooNew extends Schema.TaggedError<SchemaTooNew>()("SchemaTooNew", versionFields) {
  override get message(): string {
    return `The database has schema version ${this.version}, which needs a library for version ${this.compatibleFrom} or later; this one is for version ${this.library}; upgrade saga-ipam`
  }
}

/**
 * A failed check of the doctor. `repair` says what repairing the pool does about it, or what a person has to decide and by which
 * command; `null` if unknown.
 */
export const Finding = Schema.Struct({
  check: text,
  vrf: Schema.NullOr(text),
  pool: Schema.NullOr(text),
  detail: text,
  repair: Schema.NullOr(text),
})

/** What a repair did: for which check, in which pool, how much was wrong (`detail`), and what was done. */
export const Repair = Schema.Struct({ check: text, vrf: text, pool: text, detail: text, done: text })

/** The tables contradict each other; the call wrote nothing. Run the doctor. */
export class Drifted extends Schema.TaggedError<Drifted>()("Drifted", {
  findings: Schema.Array(Finding),
  slot: maybeText,
}) {
  override get message(): string {
    const [first] = this.findings
    const finding = first === undefined ? "" : `: ${first.check}, ${first.detail}`
    const more = this.findings.length > 1 ? ` and ${this.findings.length - 1} more` : ""
    const location = where({ vrf: first?.vrf ?? undefined, pool: first?.pool ?? undefined, slot: this.slot })
    return `The tables contradict each other${finding}${more}${location}; run \`saga-ipam doctor\``
  }
}
