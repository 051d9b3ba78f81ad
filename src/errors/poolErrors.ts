/**
 * The errors of pools and their ranges: unknown, exhausted, in use, or in conflict with another. Pure; exported by `errors.ts`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { quoted, where } from "./errorText.ts"

const text = Schema.String
const count = Schema.BigIntFromString
const maybeText = Schema.optional(text)

/** The pool, and the slot that was refused if the request had several. */
const poolFields = { vrf: text, pool: text, slot: maybeText }

/** The VRF has no such pool. `vrfs` are the VRFs that have one, in order: often one of them was meant. */
export class UnknownPool extends Schema.TaggedError<UnknownPool>()("UnknownPool", {
  ...poolFields,
  vrfs: Schema.Array(text),
}) {
  override get message(): string {
    const elsewhere =
      this.vrfs.length === 0 ? "no other VRF has one" : `it is in VRF ${this.vrfs.map((vrf) => quoted(vrf)).join(", ")}`
    return `There is no pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)}; ${elsewhere}${where({ slot: this.slot })}`
  }
}

/** A read named a VRF in which no pool was ever created: most often it is mistyped. */
export class UnknownVrf extends Schema.TaggedError<UnknownVrf>()("UnknownVrf", { vrf: text }) {
  override get message(): string {
    return `There is no VRF ${quoted(this.vrf)}: no pool was ever created in it`
  }
}

/**
 * The pool had fewer available units than were requested, as one snapshot at the time `at` proves. `nextFreeAt` is when the next
 * cooling unit becomes available, `null` if none is cooling. At least `expired` of the held units are past their ttl: reclaim them.
 */
export class PoolExhausted extends Schema.TaggedError<PoolExhausted>()("PoolExhausted", {
  ...poolFields,
  held: count,
  expired: count.pipe(
    Schema.withConstructorDefault(Effect.succeed(0n)),
    Schema.withDecodingDefault(Effect.succeed("0")),
  ),
  cooling: count,
  reserved: count,
  /** Free, but only for requests of an explicit address with `allowDraining`. */
  draining: count,
  size: count,
  at: text,
  nextFreeAt: Schema.NullOr(text),
}) {
  override get message(): string {
    const next = this.nextFreeAt === null ? "" : `; the next becomes available at ${this.nextFreeAt}`
    const expired = this.expired === 0n ? "" : `, at least ${this.expired} of them past their ttl, which reclaim frees`
    const free = this.size - this.held - this.cooling - this.reserved - this.draining
    const draining = this.draining > 0n ? `, ${this.draining} draining` : ""
    const fewer = free > 0n ? `, ${free} free, fewer than the slots requested` : ""
    return (
      `Pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)} is exhausted: of ${this.size}, ${this.held} held${expired}, ` +
      `${this.cooling} cooling, ${this.reserved} reserved${draining}${fewer} at ${this.at}${next}${where({ slot: this.slot })}`
    )
  }
  /** JSON has no bigint: the counts become decimal strings. */
  override toJSON(): unknown {
    return Schema.encodeSync(PoolExhausted)(this)
  }
}

/** An allocation because of which a range or a pool cannot be removed. */
export const Holder = Schema.Struct({
  address: text,
  requestId: text,
  slot: text,
  owner: Schema.NullOr(Schema.Struct({ kind: text, id: text })),
})

/** `10.0.0.5 by "instance/i-1", 10.0.0.7 and 3 more`: the first holders. */
const firstHolders = (held: bigint, holders: ReadonlyArray<typeof Holder.Type>): string => {
  const shown = holders.slice(0, 3)
  const names = shown.map(({ address, owner }) =>
    owner === null ? address : `${address} by ${quoted(`${owner.kind}/${owner.id}`)}`,
  )
  const more = held - BigInt(shown.length)
  return `${names.join(", ")}${more > 0n ? ` and ${more} more` : ""}`
}

/** The range cannot be removed, because `held` of its addresses are allocated; `holders` are the first ten. */
export class RangeInUse extends Schema.TaggedError<RangeInUse>()("RangeInUse", {
  vrf: text,
  pool: text,
  range: text,
  held: count,
  holders: Schema.Array(Holder),
}) {
  override get message(): string {
    return `Range ${this.range} is in use: ${this.held} held, ${firstHolders(this.held, this.holders)}${where({ vrf: this.vrf, pool: this.pool })}; release them first`
  }
  override toJSON(): unknown {
    return Schema.encodeSync(RangeInUse)(this)
  }
}

/** The range overlaps another one of the VRF, `other`. */
export class RangeOverlaps extends Schema.TaggedError<RangeOverlaps>()("RangeOverlaps", {
  vrf: text,
  pool: text,
  other: Schema.Struct({ vrf: text, pool: text, first: text, last: text }),
}) {
  override get message(): string {
    const { pool, first, last } = this.other
    return `A range overlaps ${first}-${last} of pool ${quoted(pool)}${where({ vrf: this.vrf, pool: this.pool })}; ranges of one VRF never overlap`
  }
}

/** The VRF has a pool of that name with another definition. `differs` names the parts of the definition that differ. */
export class PoolExists extends Schema.TaggedError<PoolExists>()("PoolExists", {
  vrf: text,
  pool: text,
  differs: Schema.Array(text),
}) {
  override get message(): string {
    const what = this.differs.length === 0 ? "" : `; it differs in ${this.differs.join(", ")}`
    return `Pool ${quoted(this.pool)} exists in VRF ${quoted(this.vrf)} with another definition${what}`
  }
}

/** The pool cannot be deleted, because `held` of its addresses are allocated; `holders` are the first ten. */
export class PoolInUse extends Schema.TaggedError<PoolInUse>()("PoolInUse", {
  vrf: text,
  pool: text,
  held: count,
  holders: Schema.Array(Holder),
}) {
  override get message(): string {
    return `Pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)} is in use: ${this.held} held, ${firstHolders(this.held, this.holders)}; release them first`
  }
  override toJSON(): unknown {
    return Schema.encodeSync(PoolInUse)(this)
  }
}
