/** The calls of a reconciler: what looks orphaned, marking it, and releasing what still does. */
import * as Schema from "effect/Schema"
import { answerColumns, toAllocation, toReleased } from "./allocationRows.ts"
import { anyRows, byOutcome, gives, oneRow, always, partOf } from "./call.ts"
import { arrayLiteral, reader } from "./row.ts"

interface Key {
  readonly requestId: string
  readonly slot: string
}
/** Keys of one VRF. */
interface Keys<One extends Key = Key> {
  readonly vrf: string
  readonly keys: ReadonlyArray<One>
}

const readMark = reader("a mark", Schema.Struct({ markedSeconds: Schema.NullOr(Schema.Number) }))

const keyLists = {
  request_ids: ["uuid[]", ({ keys }: Keys) => arrayLiteral(keys.map(({ requestId }) => requestId))],
  slots: ["text[]", ({ keys }: Keys) => arrayLiteral(keys.map(({ slot }) => slot))],
} as const

export const reconcilerCalls = {
  /** What a pool holds for an owner, is older than the grace period, and has no operation pending on it. */
  orphanCandidates: partOf<{
    readonly vrf: string
    readonly pool: string
    readonly graceSeconds: number
    readonly afterAddress: string | null
    readonly pageSize: number
  }>()("orphan_candidates", {
    role: "operator",
    parameters: {
      vrf: "text",
      pool: "text",
      grace_seconds: "double precision",
      after_address: "inet",
      page_size: "integer",
    },
    answer: anyRows(
      answerColumns,
      byOutcome({ held: gives((row) => ({ allocation: toAllocation(row), ...readMark(row["detail"]) })) }),
    ),
  }),
  /** Marks orphans, each under its generation; answers how many. */
  markOrphans: partOf<Keys<Key & { readonly generation: bigint }> & { readonly by: string }>()("mark_orphans", {
    role: "operator",
    parameters: {
      vrf: "text",
      ...keyLists,
      generations: ["bigint[]", ({ keys }) => arrayLiteral(keys.map(({ generation }) => generation.toString()))],
      marked_by: ["text", ({ by }) => by],
    },
    answer: oneRow(
      { mark_orphans: "integer" },
      always((row) => Number(row["mark_orphans"])),
    ),
  }),
  /** Takes marks away; answers how many. */
  clearOrphanMarks: partOf<Keys>()("clear_orphan_marks", {
    role: "operator",
    parameters: { vrf: "text", ...keyLists },
    answer: oneRow(
      { clear_orphan_marks: "integer" },
      always((row) => Number(row["clear_orphan_marks"])),
    ),
  }),
  /** Releases one that was marked long enough ago and still is an orphan; `null`: it is none, or was released already. */
  releaseOrphan: partOf<{
    readonly vrf: string
    readonly requestId: string
    readonly slot: string
    readonly generation: bigint
    readonly by: string
    readonly note: string
    readonly settleSeconds: number
  }>()("release_orphan", {
    role: "operator",
    parameters: {
      vrf: "text",
      request_id: "uuid",
      slot: "text",
      generation: ["bigint", ({ generation }) => generation.toString()],
      released_by: ["text", ({ by }) => by],
      note: "text",
      marked_before_seconds: ["double precision", ({ settleSeconds }) => settleSeconds],
    },
    answer: oneRow(
      answerColumns,
      byOutcome({
        released: gives(toReleased),
        already_released: gives(() => null),
        operation_pending: gives(() => null),
        not_marked: gives(() => null),
        not_found: gives(() => null),
      }),
    ),
  }),
}
