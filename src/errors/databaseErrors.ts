/**
 * What the database says, or does not say, whatever the call was about. Pure; part of `errors.ts`.
 */
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

/** What a call was about, for the errors below; `reason` loses its URLs and passwords, whoever gives it. */
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

/** The answer did not come, and nobody knows whether the call was carried out: only the same call with the same key tells. */
export class DatabaseUnavailable extends Schema.TaggedError<DatabaseUnavailable>()("DatabaseUnavailable", callFields) {
  constructor(props: (typeof DatabaseUnavailable)["~type.make.in"], options?: Schema.MakeOptions) {
    super({ ...props, reason: redacted(props.reason) }, options)
  }
  override get message(): string {
    return `The database did not answer ${this.call}: ${because(this)}${where(this)}; the outcome is unknown, make the same call with the same key`
  }
}

/** No server took the call: none could be reached, or it was starting, full, or no primary. Nothing was written, and it may pass. */
export class DatabaseUnreachable extends Schema.TaggedError<DatabaseUnreachable>()("DatabaseUnreachable", callFields) {
  constructor(props: (typeof DatabaseUnreachable)["~type.make.in"], options?: Schema.MakeOptions) {
    super({ ...props, reason: redacted(props.reason) }, options)
  }
  override get message(): string {
    return `No database took ${this.call}: ${because(this)}${where(this)}; nothing was written, make the same call again`
  }
}

/**
 * The role that the client connects as may not make the call; nothing was written. `role`: the role of saga-ipam that it has to be
 * granted, left out where none of them would help, and then `reason` says what is missing.
 */
export class NotPermitted extends Schema.TaggedError<NotPermitted>()("NotPermitted", {
  ...callFields,
  role: maybeText,
}) {
  constructor(props: (typeof NotPermitted)["~type.make.in"], options?: Schema.MakeOptions) {
    super({ ...props, reason: redacted(props.reason) }, options)
  }
  override get message(): string {
    const grant = this.role === undefined ? "" : `; grant ${this.role} to the role that connects`
    return `The database does not permit ${this.call}: ${because(this)}${where(this)}; nothing was written${grant}`
  }
}

/** The settings lead to no database that can be used: its role, its name, its certificate, or the folder of the embedded one. Nothing was written. */
export class DatabaseMisconfigured extends Schema.TaggedError<DatabaseMisconfigured>()(
  "DatabaseMisconfigured",
  callFields,
) {
  constructor(props: (typeof DatabaseMisconfigured)["~type.make.in"], options?: Schema.MakeOptions) {
    super({ ...props, reason: redacted(props.reason) }, options)
  }
  override get message(): string {
    return `The database cannot be used for ${this.call}: ${because(this)}${where(this)}; nothing was written, and it takes another setting`
  }
}

/** The disk of the server is full. It wrote nothing; the same call is right once there is room. */
export class DiskFull extends Schema.TaggedError<DiskFull>()("DiskFull", callFields) {
  constructor(props: (typeof DiskFull)["~type.make.in"], options?: Schema.MakeOptions) {
    super({ ...props, reason: redacted(props.reason) }, options)
  }
  override get message(): string {
    return `The disk of the database is full; ${this.call} wrote nothing: ${because(this)}${where(this)}; free space, then make the same call again`
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

/**
 * One check of the doctor's that failed: where, what is wrong, and what the repair of that pool does about it, or which decision a
 * person must take and the command for it (`null`: not known).
 */
export const Finding = Schema.Struct({
  check: text,
  vrf: Schema.NullOr(text),
  pool: Schema.NullOr(text),
  detail: text,
  repair: Schema.NullOr(text),
})

/** One thing that a repair did: for which check, where, how much was wrong, and what was done. */
export const Repair = Schema.Struct({ check: text, vrf: text, pool: text, detail: text, done: text })

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
