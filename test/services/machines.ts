/**
 * What the tests of the reconciler share: each test gets a VRF of its own with a pool for machines, and after it the doctor must find
 * nothing. `ipam`, `owner` (a session of the database's owner) and `vrf` are those of the test that is running.
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

/** A request that reconciles this VRF at once: without a grace period, settling time or limits that a test would have to wait for. */
export const immediately = () => ({
  vrf,
  graceSeconds: 0,
  settleSeconds: 0,
  maxShare: 1,
  perSecond: 10_000,
  by: "night shift",
})

/** Allocates an address for a machine. */
export const allocateFor = async (
  id: string,
  fields: { readonly requestId?: string; readonly ttlSeconds?: number } = {},
) => ipam.allocate({ vrf, pool: "web", requestId: crypto.randomUUID(), owner: { kind: "machine", id }, ...fields })

/** Allocates a provisional address for a machine, in this VRF or another, and waits until it is past its ttl. */
export const allocateExpired = async (id: string, of = vrf) => {
  const requestId = crypto.randomUUID()
  const expired = await ipam.allocate({
    vrf: of,
    pool: "web",
    requestId,
    owner: { kind: "machine", id },
    ttlSeconds: 0.001,
  })
  await owner.until("select 1 from ipam.allocation where request_id = $1 and expires_at < clock_timestamp()", [
    requestId,
  ])
  return expired
}

/** The ids of the machines that hold an address, sorted. */
export const held = async () => {
  const owners = (await ipam.list({ vrf, pool: "web" })).map((one) => one.owner?.id ?? "nobody")
  return owners.toSorted((one, other) => one.localeCompare(other))
}

/** The outcome of the second of two runs: a run releases only orphans that an earlier one has marked. */
export const reconcileMarked = async (source: Parameters<Ipam["reconcile"]>[0], request = immediately()) => {
  await ipam.reconcile(source, request)
  return ipam.reconcile(source, request)
}
