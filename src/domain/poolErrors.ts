/**
 * How a pool refuses: what it has not, what it cannot give, what cannot be done to it. Pure; part of `errors.ts`.
 */
import * as Schema from "effect/Schema"
import { quoted, where } from "./errorText.ts"

const text = Schema.String
const count = Schema.BigIntFromString
const maybeText = Schema.optional(text)

/** The pool, and the slot when a request of several slots was refused at this one. */
const poolFields = { vrf: text, pool: text, slot: maybeText }

/** The vrf asked for has no such pool. `vrfs` are those that have one, in order: often one of them was meant. */
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
    const next = this.nextFreeAt === null ? "" : `; the next comes free at ${this.nextFreeAt}`
    const free = this.size - this.held - this.cooling - this.reserved
    const fewer = free > 0n ? `, ${free} free, fewer than the slots asked of it` : ""
    return (
      `Pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)} is exhausted: of ${this.size}, ${this.held} held, ` +
      `${this.cooling} cooling, ${this.reserved} reserved${fewer} at ${this.at}${next}${where({ slot: this.slot })}`
    )
  }
  /** JSON has no bigint: the counts become decimal strings. */
  override toJSON(): unknown {
    return Schema.encodeSync(PoolExhausted)(this)
  }
}

/** The range cannot go: `held` of its addresses are held. */
export class RangeInUse extends Schema.TaggedError<RangeInUse>()("RangeInUse", {
  vrf: text,
  pool: text,
  range: text,
  held: count,
}) {
  override get message(): string {
    return `Range ${this.range} is in use: ${this.held} held${where({ vrf: this.vrf, pool: this.pool })}; release them first`
  }
  override toJSON(): unknown {
    return Schema.encodeSync(RangeInUse)(this)
  }
}

/** Ranges of one vrf never overlap; `other` is the one that is there already. */
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

/** The vrf has a pool of that name with another definition. */
export class PoolExists extends Schema.TaggedError<PoolExists>()("PoolExists", { vrf: text, pool: text }) {
  override get message(): string {
    return `Pool ${quoted(this.pool)} exists in VRF ${quoted(this.vrf)} with another definition`
  }
}

/** The pool cannot go: `held` of its addresses are held. */
export class PoolInUse extends Schema.TaggedError<PoolInUse>()("PoolInUse", { vrf: text, pool: text, held: count }) {
  override get message(): string {
    return `Pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)} is in use: ${this.held} held; release them first`
  }
  override toJSON(): unknown {
    return Schema.encodeSync(PoolInUse)(this)
  }
}
