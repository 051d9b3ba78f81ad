/**
 * The errors of saga-ipam: one class for each way a call can be refused. The same class is the meaning of an outcome of
 * the database, the error of the services, the entry of a saga and the problem that HTTP answers.
 *
 * Pure: knows neither where an error comes from nor who reads it. What a saga, HTTP and the CLI make of each class stands in
 * `errorFacts.ts`. Times are ISO 8601 in UTC; counts are `bigint`, decimal strings when encoded.
 */
import * as Schema from "effect/Schema";
import { quoted, redacted, sentence, where } from "./errorText.ts";

const text = Schema.String;
const count = Schema.BigIntFromString;
const maybeText = Schema.optional(text);

/** What a pool refuses: the pool, and the slot when a request of several slots was refused at this one. */
const poolFields = { vrf: text, pool: text, slot: maybeText };
/** What a key refuses. */
const keyFields = { vrf: text, requestId: text, slot: text };
/** What an address refuses; `address` is the text asked for, e.g. `10.0.0.5`, of a reservation also a range. */
const addressFields = { ...poolFields, address: text };

/** The input breaks a rule; nothing was sent or written. `field` is its path (`slots[2].pool`), empty when it is the whole. */
export class InvalidInput extends Schema.TaggedError<InvalidInput>()("InvalidInput", {
  field: text,
  message: text,
}) {}

/** The vrf asked for has no such pool. `vrfs` are those that have one, in order: often one of them was meant. */
export class UnknownPool extends Schema.TaggedError<UnknownPool>()("UnknownPool", {
  ...poolFields,
  vrfs: Schema.Array(text),
}) {
  override get message(): string {
    const elsewhere = this.vrfs.length === 0 ? "no other VRF has one" : `it is in VRF ${this.vrfs.map(quoted).join(", ")}`;
    return `There is no pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)}; ${elsewhere}${where({ slot: this.slot })}`;
  }
}

/** What the call names is not there: an allocation that was never made, a range that the pool does not have. `what` says which, e.g. `allocation`. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {
  what: text,
  vrf: text,
  pool: maybeText,
  range: maybeText,
  requestId: maybeText,
  slot: maybeText,
}) {
  override get message(): string {
    return `There is no such ${this.what}${where(this)}`;
  }
}

/** Proven by one snapshot taken at `at`: the pool had fewer available units than were asked. `nextFreeAt` is when a cooling one comes free, `null` when none is cooling. */
export class PoolExhausted extends Schema.TaggedError<PoolExhausted>()("PoolExhausted", {
  ...poolFields,
  held: count,
  cooling: count,
  reserved: count,
  size: count,
  at: text,
  nextFreeAt: Schema.NullOr(text),
}) {
  override get message(): string {
    const next = this.nextFreeAt === null ? "" : `; the next comes free at ${this.nextFreeAt}`;
    return (
      `Pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)} is exhausted: of ${this.size}, ${this.held} held, ` +
      `${this.cooling} cooling, ${this.reserved} reserved at ${this.at}${next}${where({ slot: this.slot })}`
    );
  }
  /** JSON has no bigint: the counts become decimal strings. */
  override toJSON(): unknown {
    return Schema.encodeSync(PoolExhausted)(this);
  }
}

/** The key is held, for other arguments: `differs` names them (`pool`, `address`, `owner`). Use a new request id for a new request. */
export class KeyReused extends Schema.TaggedError<KeyReused>()("KeyReused", {
  ...keyFields,
  differs: Schema.Array(text),
}) {
  override get message(): string {
    const what = this.differs.length === 0 ? "arguments" : this.differs.join(", ");
    return `The key was used before with another ${what}${where(this)}; a new request needs a new request id`;
  }
}

/** The key was released: this is a late replay and must not have an effect. */
export class KeyReleased extends Schema.TaggedError<KeyReleased>()("KeyReleased", {
  ...keyFields,
  reason: text,
  releasedAt: Schema.NullOr(text),
}) {
  override get message(): string {
    const when = this.releasedAt === null ? "" : ` at ${this.releasedAt}`;
    return `The key was released${when}, reason: ${this.reason}${where(this)}; it never allocates again`;
  }
}

/** The allocation ran past its ttl and was reclaimed before it was confirmed. */
export class AllocationExpired extends Schema.TaggedError<AllocationExpired>()("AllocationExpired", {
  ...keyFields,
  releasedAt: Schema.NullOr(text),
}) {
  override get message(): string {
    const when = this.releasedAt === null ? "" : ` at ${this.releasedAt}`;
    return `The allocation ran past its ttl and was reclaimed${when}${where(this)}; a new request needs a new request id`;
  }
}

/** The key is older than the tombstones that are kept, so nobody can tell whether it was used. */
export class KeyExpired extends Schema.TaggedError<KeyExpired>()("KeyExpired", keyFields) {
  override get message(): string {
    return `The key is too old to be used${where(this)}; a new request needs a new request id`;
  }
}

/** The operation that the request id names has ended: what comes late must not allocate. */
export class OperationEnded extends Schema.TaggedError<OperationEnded>()("OperationEnded", { ...keyFields, status: maybeText }) {
  override get message(): string {
    return `The operation has ended${this.status === undefined ? "" : ` (${this.status})`}${where(this)}; nothing is allocated under it any more`;
  }
}

const OwnerRef = Schema.Struct({ kind: text, id: text });

/** Somebody else holds the address; `heldBy` is the owner, `null` when the holder named none. */
export class AddressTaken extends Schema.TaggedError<AddressTaken>()("AddressTaken", {
  ...addressFields,
  heldBy: Schema.NullOr(OwnerRef),
}) {
  override get message(): string {
    const holder = this.heldBy === null ? "" : ` by ${quoted(`${this.heldBy.kind}/${this.heldBy.id}`)}`;
    return `${this.address} is held${holder}${where(this)}`;
  }
}

/** The address was released a while ago and rests until `until`; its last owner, or a caller with `allowCooling`, may have it before. */
export class AddressCooling extends Schema.TaggedError<AddressCooling>()("AddressCooling", { ...addressFields, until: text }) {
  override get message(): string {
    return `${this.address} is cooling until ${this.until}${where(this)}; only its last owner or allowCooling gets it before`;
  }
}

/** The address is never handed out automatically; `allowReserved` takes it. */
export class AddressReserved extends Schema.TaggedError<AddressReserved>()("AddressReserved", addressFields) {
  override get message(): string {
    return `${this.address} is reserved${where(this)}; only allowReserved takes it`;
  }
}

/** No range of the pool holds the address. */
export class AddressOutside extends Schema.TaggedError<AddressOutside>()("AddressOutside", addressFields) {
  override get message(): string {
    return `${this.address} is in no range of the pool${where(this)}`;
  }
}

/** The range cannot go: `held` of its addresses are held. */
export class RangeInUse extends Schema.TaggedError<RangeInUse>()("RangeInUse", { vrf: text, pool: text, range: text, held: count }) {
  override get message(): string {
    return `Range ${this.range} is in use: ${this.held} held${where({ vrf: this.vrf, pool: this.pool })}; release them first`;
  }
  override toJSON(): unknown {
    return Schema.encodeSync(RangeInUse)(this);
  }
}

/** Ranges of one vrf never overlap; `other` is the one that is there already. */
export class RangeOverlaps extends Schema.TaggedError<RangeOverlaps>()("RangeOverlaps", {
  vrf: text,
  pool: text,
  other: Schema.Struct({ vrf: text, pool: text, first: text, last: text }),
}) {
  override get message(): string {
    const { pool, first, last } = this.other;
    return `A range overlaps ${first}-${last} of pool ${quoted(pool)}${where({ vrf: this.vrf, pool: this.pool })}; ranges of one VRF never overlap`;
  }
}

/** The vrf has a pool of that name with another definition. */
export class PoolExists extends Schema.TaggedError<PoolExists>()("PoolExists", { vrf: text, pool: text }) {
  override get message(): string {
    return `Pool ${quoted(this.pool)} exists in VRF ${quoted(this.vrf)} with another definition`;
  }
}

/** The pool cannot go: `held` of its addresses are held. */
export class PoolInUse extends Schema.TaggedError<PoolInUse>()("PoolInUse", { vrf: text, pool: text, held: count }) {
  override get message(): string {
    return `Pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)} is in use: ${this.held} held; release them first`;
  }
  override toJSON(): unknown {
    return Schema.encodeSync(PoolInUse)(this);
  }
}

/** One thing that part of an identity may mean; `id` tells it from others in its vrf (a pool, a request id). */
export const Candidate = Schema.Struct({ vrf: text, id: text });

/** What was asked for without a vrf is in several; `identity` is what was asked, e.g. `address 10.0.0.5`. */
export class AmbiguousIdentity extends Schema.TaggedError<AmbiguousIdentity>()("AmbiguousIdentity", {
  identity: text,
  candidates: Schema.Array(Candidate),
}) {
  override get message(): string {
    const list = this.candidates.map((one) => `${quoted(one.id)} in VRF ${quoted(one.vrf)}`).join(", ");
    return `${sentence(this.identity)} may mean ${list}; say which VRF is meant`;
  }
}

/** A bounded wait for others' locks ran out. Nothing was written: the same call again is right. */
export class Contended extends Schema.TaggedError<Contended>()("Contended", {
  call: text,
  vrf: maybeText,
  pool: maybeText,
  requestId: maybeText,
  slot: maybeText,
}) {
  override get message(): string {
    return `${sentence(this.call)} waited too long for another transaction and wrote nothing${where(this)}; make the same call again`;
  }
}

/** The answer did not come: the outcome is unknown, and only the same call with the same key tells. `reason` loses its URLs and passwords here, whoever gives it. */
export class DatabaseUnavailable extends Schema.TaggedError<DatabaseUnavailable>()("DatabaseUnavailable", {
  call: text,
  reason: text,
  code: maybeText,
  vrf: maybeText,
  pool: maybeText,
  requestId: maybeText,
  slot: maybeText,
  outcomeUnknown: Schema.tag(true),
}) {
  constructor(props: typeof DatabaseUnavailable["~type.make.in"], options?: Schema.MakeOptions) {
    super({ ...props, reason: redacted(props.reason) }, options);
  }
  override get message(): string {
    const code = this.code === undefined ? "" : ` (${this.code})`;
    return (
      `The database did not answer ${this.call}: ${this.reason}${code}${where(this)}; ` +
      "the outcome is unknown, make the same call with the same key"
    );
  }
}

/** `version` is the schema's in the database, `null` when there is none; `library` is what this library needs. */
const versionFields = { version: Schema.NullOr(Schema.Int), compatibleFrom: Schema.NullOr(Schema.Int), library: Schema.Int };

/** The database has no schema, or one older than this library. Nothing was written. */
export class SchemaTooOld extends Schema.TaggedError<SchemaTooOld>()("SchemaTooOld", versionFields) {
  override get message(): string {
    const has = this.version === null ? "no schema of saga-ipam" : `schema version ${this.version}`;
    return `The database has ${has}, this library needs ${this.library}; run \`saga-ipam migrate\` as the owner of the schema`;
  }
}

/** The database's schema no longer serves this library. Nothing was written. */
export class SchemaTooNew extends Schema.TaggedError<SchemaTooNew>()("SchemaTooNew", versionFields) {
  override get message(): string {
    return `The database has schema version ${this.version}, which serves libraries from ${this.compatibleFrom} on, this one is ${this.library}; upgrade saga-ipam`;
  }
}

/** One thing that the doctor found: the check that failed, where, what is off and what `doctor --repair` will do (`null`: by hand). */
export const Finding = Schema.Struct({
  check: text,
  vrf: Schema.NullOr(text),
  pool: Schema.NullOr(text),
  detail: text,
  repair: Schema.NullOr(text),
});

/** The tables contradict each other; the call wrote nothing. */
export class Drifted extends Schema.TaggedError<Drifted>()("Drifted", { findings: Schema.Array(Finding), slot: maybeText }) {
  override get message(): string {
    const [first] = this.findings;
    const what = first === undefined ? "" : `: ${first.check}, ${first.detail}`;
    const more = this.findings.length > 1 ? ` and ${this.findings.length - 1} more` : "";
    const place = where({ vrf: first?.vrf ?? undefined, pool: first?.pool ?? undefined, slot: this.slot });
    return `The tables contradict each other${what}${more}${place}; run \`saga-ipam doctor\``;
  }
}

/** Every error of a call, as a schema (tagged by `_tag`) and as a type. Anything else that a call dies with is a defect, a bug of ours. */
export const IpamError = Schema.Union([
  InvalidInput, UnknownPool, NotFound, PoolExhausted, KeyReused, KeyReleased, AllocationExpired, KeyExpired, OperationEnded,
  AddressTaken, AddressCooling, AddressReserved, AddressOutside, RangeInUse, RangeOverlaps, PoolExists, PoolInUse,
  AmbiguousIdentity, Contended, DatabaseUnavailable, SchemaTooOld, SchemaTooNew, Drifted,
]);
export type IpamError = typeof IpamError.Type;
