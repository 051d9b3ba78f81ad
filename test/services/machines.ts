/**
 * What the tests of the reconciler share: a pool for machines in a VRF of each test's own, and a doctor who finds nothing after
 * it. For the file that imports it; `ipam`, `owner` and `vrf` are those of the test that runs.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest"
import { connect, type Ipam } from "../../src/promise.ts"
import { useDatabase, type Session } from "../harness/database.ts"

export const database = useDatabase()
export let ipam: Ipam
export let owner: Session
let number = 0
export let vrf: string

beforeAll(async () => {
  owner = database().session()
  ipam = await connect({ url: database().url("ipam_operator") })
})
beforeEach(async () => {
  number += 1
  vrf = `vrf-${number}`
  await ipam.createPool({ vrf, name: "web", ranges: ["10.0.0.0-10.0.0.31"] })
})
afterEach(async () => {
  expect(await ipam.doctor()).toEqual([])
})
afterAll(() => ipam.close())

/** At once: no grace, no settling, no limits that a test would have to wait for. */
export const now = () => ({
  vrf,
  graceSeconds: 0,
  settleSeconds: 0,
  maxShare: 1,
  perSecond: 10_000,
  by: "night shift",
})

/** An address for a machine. */
export const take = async (id: string, fields: { readonly requestId?: string; readonly ttlSeconds?: number } = {}) =>
  ipam.allocate({ vrf, pool: "web", requestId: crypto.randomUUID(), owner: { kind: "machine", id }, ...fields })

/** The same, of this VRF or of another, provisional, and past its ttl. */
export const takeExpired = async (id: string, of = vrf) => {
  const requestId = crypto.randomUUID()
  const taken = await ipam.allocate({
    vrf: of,
    pool: "web",
    requestId,
    owner: { kind: "machine", id },
    ttlSeconds: 0.001,
  })
  await owner.until("select 1 from ipam.allocation where request_id = $1 and expires_at < clock_timestamp()", [
    requestId,
  ])
  return taken
}

/** The machines that hold an address, in order. */
export const held = async () => {
  const owners = (await ipam.list({ vrf, pool: "web" })).map((one) => one.owner?.id ?? "nobody")
  return owners.toSorted((one, other) => one.localeCompare(other))
}

/** What a run gives after one that marked: none releases what it has marked itself. */
export const reconcileMarked = async (source: Parameters<Ipam["reconcile"]>[0], request = now()) => {
  await ipam.reconcile(source, request)
  return ipam.reconcile(source, request)
}
