/** What is held, and what became of a key: the calls of the Allocator that change nothing. */
import * as Effect from "effect/Effect"
import type { KeyRecord } from "../domain/allocation.ts"
import { AmbiguousIdentity } from "../domain/errors.ts"
import { decodeInput } from "../domain/input.ts"
import { KeyRequest, ListRequest } from "../domain/requests.ts"
import type { Database } from "../database/Database.ts"
import { method } from "./metrics.ts"
import { pageOf } from "./pages.ts"
import { readUnknownPool } from "./refusals.ts"
import { toKeyRecord } from "./rows.ts"
import * as statements from "./statements.ts"

const decode = { key: decodeInput(KeyRequest), list: decodeInput(ListRequest) }

export const makeReading = (query: (typeof Database.Service)["query"]) => {
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
    Effect.fnUntraced(function* (input: typeof ListRequest.Encoded) {
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
        if (input.pageSize !== undefined || rows.length < request.pageSize || last === undefined) return found
        after = { vrf: last.vrf, address: last.address ?? undefined, slot: last.slot }
      }
    }),
  )

  const who = method(
    "Allocator.who",
    Effect.fnUntraced(function* (input: { readonly vrf?: string | undefined; readonly address: string }) {
      const found = list({ vrf: input.vrf, address: input.address, pageSize: 100 })
      const holders = yield* Effect.catchTag(found, "UnknownPool", Effect.die)
      if (holders.length < 2) return holders[0] ?? null
      return yield* new AmbiguousIdentity({
        identity: `address ${input.address}`,
        candidates: holders.map((holder) => ({ vrf: holder.vrf, id: holder.requestId })),
      })
    }),
  )

  return { get, list, who }
}
