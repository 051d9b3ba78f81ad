/** The calls of an import: which VRFs a source was given, and the protection of what it calls occupied. */
import * as Result from "effect/Result"
import { parseAddress, type IpAddress } from "../domain/address.ts"
import type { Owner } from "../domain/identity.ts"
import { always, anyRows, byOutcome, gives, oneRow, oneRowASlot, partOf } from "./call.ts"
import { poolColumns } from "./poolCalls.ts"
import { arrayLiteral, textOf, type Row } from "./row.ts"

/** Which VRF a VRF of the source is here. Bindings name no VRF that they belong to: they are where the VRF `default` is. */
export interface Binding {
  readonly kind: string
  readonly id: string
  readonly vrf: string
}

const bindings = anyRows(
  { kind: "text", id: "text", vrf: "text" },
  always((row): Binding => ({
    kind: textOf(row, "kind") ?? "",
    id: textOf(row, "id") ?? "",
    vrf: textOf(row, "vrf") ?? "",
  })),
)

/** An address with the key that shall hold it. */
interface HeldAddress {
  readonly slot: string
  readonly address: string
  readonly owner: Owner | null
}

/** What became of an address; `owner` is that of whoever holds it. */
const became = <const Outcome extends string>(outcome: Outcome) =>
  gives((row: Row): { readonly outcome: Outcome; readonly owner: Owner | null } => {
    const [kind, id] = [textOf(row, "owner_kind"), textOf(row, "owner_id")]
    return { outcome, owner: kind === undefined || id === undefined ? null : { kind, id } }
  })

const addressIn = (row: Row, column: string): IpAddress => Result.getOrThrow(parseAddress(textOf(row, column) ?? ""))
const span = <const Why extends string>(why: Why) =>
  gives((row: Row) => ({ first: addressIn(row, "first"), last: addressIn(row, "last"), why }))

const whatever = gives(() => undefined)

interface Ends {
  readonly first: string
  readonly last: string
}
interface Spans<Span extends Ends = Ends> {
  readonly vrf: string
  readonly pool: string
  readonly spans: ReadonlyArray<Span>
}
const spanLists = {
  firsts: ["inet[]", ({ spans }: Spans) => arrayLiteral(spans.map(({ first }) => first))],
  lasts: ["inet[]", ({ spans }: Spans) => arrayLiteral(spans.map(({ last }) => last))],
} as const

export const importCalls = {
  importBindings: partOf<{ readonly source: string }>()("import_bindings", {
    role: "operator",
    parameters: { source: "text" },
    answer: bindings,
  }),
  bindImport: partOf<{ readonly source: string; readonly bindings: ReadonlyArray<Binding> }>()("bind_import", {
    role: "operator",
    parameters: {
      source: "text",
      kinds: ["text[]", ({ bindings }) => arrayLiteral(bindings.map(({ kind }) => kind))],
      ids: ["text[]", ({ bindings }) => arrayLiteral(bindings.map(({ id }) => id))],
      vrfs: ["text[]", ({ bindings }) => arrayLiteral(bindings.map(({ vrf }) => vrf))],
    },
    answer: bindings,
  }),
  importAddresses: partOf<{
    readonly vrf: string
    readonly pool: string
    readonly requestId: string
    readonly addresses: ReadonlyArray<HeldAddress>
    readonly dryRun: boolean
  }>()("import_addresses", {
    role: "operator",
    parameters: {
      vrf: "text",
      pool: "text",
      request_id: "uuid",
      slots: ["text[]", ({ addresses }) => arrayLiteral(addresses.map(({ slot }) => slot))],
      addresses: ["inet[]", ({ addresses }) => arrayLiteral(addresses.map(({ address }) => address))],
      owner_kinds: ["text[]", ({ addresses }) => arrayLiteral(addresses.map(({ owner }) => owner?.kind ?? null))],
      owner_ids: ["text[]", ({ addresses }) => arrayLiteral(addresses.map(({ owner }) => owner?.id ?? null))],
      dry_run: "boolean",
    },
    answer: oneRowASlot(
      { slot: "text", outcome: "text", owner_kind: "text", owner_id: "text" },
      byOutcome({
        allocated: became("allocated"),
        replayed: became("replayed"),
        moved: became("moved"),
        address_taken: became("address_taken"),
        key_released: became("key_released"),
        key_reused: became("key_reused"),
        address_outside: became("address_outside"),
        unknown_pool: became("unknown_pool"),
        contended: became("contended"),
      }),
      ({ addresses }: { readonly addresses: ReadonlyArray<HeldAddress> }) => addresses,
    ),
  }),
  importReservations: partOf<{
    readonly vrf: string
    readonly pool: string
    readonly reservations: ReadonlyArray<{ readonly range: string; readonly reason: string }>
    readonly mark: string
  }>()("import_reservations", {
    role: "operator",
    parameters: {
      vrf: "text",
      pool: "text",
      ranges: ["text[]", ({ reservations }) => arrayLiteral(reservations.map(({ range }) => range))],
      reasons: ["text[]", ({ reservations }) => arrayLiteral(reservations.map(({ reason }) => reason))],
      mark: "text",
    },
    // What could not be reserved is found by the last look of an import, whatever the reason was.
    answer: oneRow(poolColumns, byOutcome({ reserved: whatever, address_outside: whatever, unknown_pool: whatever })),
  }),
  liftReservations: partOf<Spans<Ends & { readonly reason: string | null }>>()("lift_reservations", {
    role: "operator",
    parameters: {
      vrf: "text",
      pool: "text",
      ...spanLists,
      reasons: ["text[]", ({ spans }) => arrayLiteral(spans.map(({ reason }) => reason))],
    },
    answer: oneRow(poolColumns, byOutcome({ unreserved: whatever, not_found: whatever, unknown_pool: whatever })),
  }),
  /** What of the spans can be handed out: `free`, `cooling`, or `unknown_pool` for a pool that is gone. */
  unprotected: partOf<Spans>()("unprotected", {
    role: "operator",
    parameters: { vrf: "text", pool: "text", ...spanLists },
    answer: anyRows(
      { first: "inet", last: "inet", outcome: "text" },
      byOutcome({ free: span("free"), cooling: span("cooling"), unknown_pool: span("unknown_pool") }),
    ),
  }),
}
