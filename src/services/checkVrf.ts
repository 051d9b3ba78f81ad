/** A mistyped VRF: what finds nothing in the VRF that it was told asks whether there is such a VRF. */
import * as Effect from "effect/Effect"
import { checkVrf } from "../contract/poolCalls.ts"
import { DEFAULT } from "../domain/identity.ts"
import { sender, type Query } from "./methods.ts"

/** Fails with `UnknownVrf` when a VRF that was named is not there. */
export const vrfChecker = (query: Query) => {
  const send = sender(query)
  return (vrf: string | undefined) => (vrf === undefined || vrf === DEFAULT ? Effect.void : send(checkVrf, { vrf }))
}
