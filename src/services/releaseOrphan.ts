/** The second pass of a reconciler: releases, one by one at a limited rate, what still looks orphaned. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { onlyRow, outcomeOf, toReleased } from "./rows.ts"
import type { Database } from "../database/Database.ts"
import type { Released } from "../contract/allocation.ts"
import type { ReconcileRequest } from "../contract/operationRequests.ts"
import type { Orphan } from "./orphans.ts"
import * as statements from "./operationStatements.ts"

const outcomes = ["released", "already_released", "operation_pending", "not_marked", "not_found"] as const

export const releaser = (query: (typeof Database.Service)["query"]) =>
  /** What it released. The fence in the database leaves what got another holder, or an operation, since it was marked. */
  Effect.fnUntraced(function* (orphans: ReadonlyArray<Orphan>, request: typeof ReconcileRequest.Type) {
    const released: Array<Released> = []
    for (const { allocation, owner } of orphans) {
      const { vrf, requestId, slot, generation } = allocation
      const note = `owner ${owner.kind}/${owner.id} absent in two looks, the first at least ${request.settleSeconds} s before`
      const rows = yield* query(
        statements.releaseOrphan,
        [vrf, requestId, slot, generation.toString(), request.by, note, request.settleSeconds],
        { call: "release_orphan", vrf, requestId, slot },
      )
      const row = onlyRow(rows)
      if (outcomeOf(row, outcomes) === "released") released.push(toReleased(row))
      yield* Effect.sleep(Duration.millis(1000 / request.perSecond))
    }
    return released
  })
