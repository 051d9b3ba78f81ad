/** A mistyped VRF: what finds nothing in the VRF that it was told asks whether there is such a VRF. */
import * as Effect from "effect/Effect"
import { UnknownVrf } from "../errors/errors.ts"
import { DEFAULT } from "../domain/identity.ts"
import type { Database } from "../database/Database.ts"
import { onlyRow } from "./rows.ts"
import * as statements from "./allocatorStatements.ts"

/** Fails with `UnknownVrf` when a VRF that was named is not there. */
export const vrfChecker = (query: (typeof Database.Service)["query"]) =>
  Effect.fnUntraced(function* (vrf: string | undefined) {
    if (vrf === undefined || vrf === DEFAULT) return
    const rows = yield* query(statements.vrfKnown, [vrf], { call: "vrf_known", vrf })
    if (onlyRow(rows)["known"] !== true) return yield* new UnknownVrf({ vrf })
  })
