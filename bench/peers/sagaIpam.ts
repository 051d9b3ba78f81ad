/** saga-ipam as one of the algorithms: its SQL function over the bare driver, and the library. */
import { arrayLiteral } from "../../src/contract/row.ts"
import { PoolExhausted, type Ipam } from "../../src/promise.ts"
import type { PreloadedPool } from "../preload.ts"
import type { Algorithm } from "./algorithm.ts"

/** Over the bare driver, one call at a time on each connection. */
export const bySql = ({ vrf, pool }: PreloadedPool): Algorithm => ({
  name: "saga-ipam, SQL",
  hasKey: true,
  setup: "",
  needsTransaction: false,
  // `preload` has filled it.
  fill: () => Promise.resolve(),
  countHeld: async (sql) => {
    const [row] = await sql.unsafe("select held from ipam.get_pool($1, $2)", [vrf, pool])
    return Number(row?.["held"])
  },
  attempt: async (sql, key) => {
    const text = "select outcome, address from ipam.allocate($1, $2, $3)"
    const [row] = await sql.unsafe<Array<{ outcome: string; address: string }>>(text, [vrf, pool, key], {
      prepare: true,
    })
    if (row?.outcome === "allocated" || row?.outcome === "replayed") return row.address
    if (row?.outcome === "exhausted") return undefined
    throw new Error(`allocate answered ${row?.outcome}`)
  },
  release: (sql, given) =>
    sql.unsafe("select count(*) from unnest($2::text::uuid[]) key, lateral ipam.release($1, key)", [
      vrf,
      arrayLiteral(given.map(({ key }) => key)),
    ]),
})

/** Through a client of the library, which has as many connections as it was opened with. */
export const byLibrary = (ipam: Ipam, pool: PreloadedPool): Algorithm => ({
  ...bySql(pool),
  name: "saga-ipam, library",
  attempt: async (_, requestId) => {
    try {
      return (await ipam.allocate({ vrf: pool.vrf, pool: pool.pool, requestId })).address
    } catch (error) {
      if (error instanceof PoolExhausted) return undefined
      throw error
    }
  },
})
