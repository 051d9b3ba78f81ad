/** Exports in the form of each version, written from its documentation: what is in use becomes an allocation, the rest occupied. */
import * as Effect from "effect/Effect"
import { join } from "node:path"
import { beforeAll, expect, test } from "vitest"
import { importFolder } from "../../../src/import/netbox/importFolder.ts"
import { layer } from "../../../src/layer.ts"
import { connect, type Ipam } from "../../../src/promise.ts"
import { useDatabase } from "../../harness/database.ts"

const database = useDatabase()
let ipam: Ipam

beforeAll(async () => {
  ipam = await connect({ url: database().url("ipam_operator") })
  return () => ipam.close()
})

const importVersion = (version: string) =>
  Effect.runPromise(
    Effect.provide(
      importFolder(join(import.meta.dirname, "fixtures", version), { source: version }),
      layer({ url: database().url("ipam_operator") }),
    ),
  )

/** Allocates all free addresses of the pool, and returns them. */
const handedOut = async (pool: string, vrf: string): Promise<ReadonlyArray<string>> => {
  const { free } = await ipam.getPool({ pool, vrf })
  const all = Array.from({ length: Number(free) }, () => ipam.allocate({ pool, vrf, requestId: crypto.randomUUID() }))
  return (await Promise.all(all)).map(({ address }) => address).toSorted()
}

const uuid = (last: number) => `0a1b2c3d-0000-4000-8000-${String(last).padStart(12, "0")}`

test.each([
  ["netbox-2.6", "blue", "10.126.0.0/29", { kind: "dcim.interface", id: "11" }, ["10.126.0.5", "10.126.0.6"]],
  [
    "netbox-2.11",
    "blue",
    "10.211.0.0/29",
    { kind: "virtualization.vminterface", id: "12" },
    ["10.211.0.5", "10.211.0.6"],
  ],
  ["netbox-4.4", "blue", "10.144.0.0/28", { kind: "ipam.fhrpgroup", id: "13" }, ["10.144.0.5", "10.144.0.6"]],
  ["nautobot-1.6", "blue", "10.116.0.0/29", { kind: "dcim.interface", id: uuid(14) }, ["10.116.0.5", "10.116.0.6"]],
  ["nautobot-2.4", "default", "10.224.0.0/29", { kind: "dcim.interface", id: uuid(21) }, ["10.224.0.5", "10.224.0.6"]],
])("%s", async (version, vrf, pool, owner, free) => {
  const report = await importVersion(version)
  expect(report).toMatchObject({ complete: true, unprotected: [], moved: [], taken: [], missing: [] })
  const inVrf = report.made.allocations.filter((one) => one.vrf === vrf)
  expect(inVrf.map(({ address, owner }) => ({ address, owner }))).toEqual([
    { address: pool.replace(/0\/.*/, "1"), owner },
  ])
  expect(await handedOut(pool, vrf)).toEqual(free)
  expect(await importVersion(version)).toEqual({
    ...report,
    made: { pools: [], reservations: [], allocations: [] },
    existing: report.made,
  })
})

test("Nautobot's namespaces become VRFs, and a prefix of type pool hands out its network address", async () => {
  const report = await importVersion("nautobot-2.4")
  expect(report.existing.pools.map(({ vrf, includeNetworkAddresses }) => [vrf, includeNetworkAddresses])).toEqual([
    ["default", false],
    ["Lab", true],
  ])
  expect(await ipam.who({ address: "10.224.0.0" })).toMatchObject({
    vrf: "Lab",
    owner: { kind: "virtualization.vminterface", id: uuid(23) },
  })
})
