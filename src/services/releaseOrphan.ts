/** The second pass of a reconciler: releases, one by one at a limited rate, what still looks orphaned. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Released } from "../contract/allocation.ts"
import type { ReconcileRequest } from "../contract/operationRequests.ts"
import type { Orphan } from "./orphans.ts"
import { reconcilerCalls } from "../contract/reconcilerCalls.ts"
import { sender, type Query } from "./methods.ts"

export const releaser = (query: Query) => {
  const send = sender(query)
  /** What it released. The fence in the database leaves what got another holder, or an operation, since it was marked. */
  return Effect.fnUntraced(function* (orphans: ReadonlyArray<Orphan>, request: typeof ReconcileRequest.Type) {
    const all: Array<Released> = []
    for (const { allocation, owner } of orphans) {
      const { vrf, requestId, slot, generation } = allocation
      const { by, settleSeconds } = request
      const note = `owner ${owner.kind}/${owner.id} absent in two looks, the first at least ${settleSeconds} s before`
      const key = { vrf, requestId, slot, generation }
      const released = yield* send(reconcilerCalls.releaseOrphan, { ...key, by, note, settleSeconds })
      if (released !== null) all.push(released)
      yield* Effect.sleep(Duration.millis(1000 / request.perSecond))
    }
    return all
  })
}
