/** What is held, and what became of a key: the calls of the Allocator that change nothing. */
import * as Effect from "effect/Effect"
import type { AddressRecord, KeyRecord } from "../contract/allocation.ts"
import type { IpAddress } from "../domain/address.ts"
import { AmbiguousIdentity } from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import { AddressRequest, KeyRequest, ListRequest } from "../contract/requests.ts"
import type { Database } from "../database/Database.ts"
import { method } from "./metrics.ts"
import { pageOf } from "./pages.ts"
import { readUnknownPool } from "./allocationRefusals.ts"
import { toAllocation, toFreeAddress, toKeyRecord } from "./rows.ts"
import * as statements from "./allocatorStatements.ts"
import { vrfChecker } from "./checkVrf.ts"

const decode = { address: decodeInput(AddressRequest), key: decodeInput(KeyRequest), list: decodeInput(ListRequest) }

export const makeReading = (query: (typeof Database.Service)["query"]) => {
  const checkVrf = vrfChecker(query)

  const get = method(
    "Allocator.get",
    Effect.fnUntraced(function* (input: typeof KeyRequest.Encoded) {
      const { vrf, requestId, slot } = yield* decode.key(input)
      const [row] = yield* query(statements.get, [vrf, requestId, slot], { call: "get", vrf, requestId, slot })
      return row === undefined ? null : toKeyRecord(row)
    }),
  )

  const list = method(
    "Allocator.list",
    Effect.fnUntraced(function* (input: typeof ListRequest.Encoded = {}) {
      const request = yield* decode.list(input)
      const found: Array<KeyRecord> = []
      let { after } = request
      for (;;) {
        const page = pageOf({ ...request, after })
        const rows = yield* query(page.statement, page.parameters, page.context)
        const unknown = readUnknownPool(rows, request)
        if (unknown !== undefined) return yield* unknown
        found.push(...rows.map(toKeyRecord))
        const last = found.at(-1)
        if (last === undefined && after === undefined) yield* checkVrf(request.vrf)
        if (input.pageSize !== undefined || rows.length < request.pageSize || last === undefined) return found
        after = { vrf: last.vrf, address: last.address ?? undefined, slot: last.slot }
      }
    }),
  )

  const who = method(
    "Allocator.who",
    Effect.fnUntraced(function* (input: typeof AddressRequest.Encoded) {
      const found = list({ vrf: input.vrf, address: input.address, pageSize: 100 })
      const holders = yield* Effect.catchTag(found, "UnknownPool", Effect.die)
      if (holders.length < 2) return holders[0] ?? null
      return yield* severalVrfs(
        input.address,
        holders.map((holder) => ({ vrf: holder.vrf, id: holder.requestId })),
      )
    }),
  )

  const describeAddress = method(
    "Allocator.describeAddress",
    Effect.fnUntraced(function* (input: typeof AddressRequest.Encoded) {
      const { vrf, address } = yield* decode.address(input)
      const rows = yield* query(statements.describeAddress, [vrf ?? null, address], { call: "describe_address", vrf })
      const [row] = rows
      if (row === undefined) {
        yield* checkVrf(vrf)
        return outside(address, vrf)
      }
      if (rows.length > 1) {
        const places = rows.map((one) => ({ vrf: String(one["vrf"]), id: String(one["request_id"] ?? one["pool"]) }))
        return yield* severalVrfs(address, places)
      }
      return row["outcome"] === "held" ? toAllocation(row) : toFreeAddress(row)
    }),
  )

  return { get, list, who, describeAddress }
}

const severalVrfs = (address: string, candidates: (typeof AmbiguousIdentity.Type)["candidates"]) =>
  new AmbiguousIdentity({ identity: `address ${address}`, candidates })

const outside = (address: IpAddress, vrf: string | undefined): AddressRecord => ({
  outcome: "outside",
  address,
  vrf: vrf ?? null,
  pool: null,
  prefixLength: null,
  gateway: null,
  until: null,
  lastOwner: null,
  draining: false,
  reservations: [],
})
