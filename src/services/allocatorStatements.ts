/**
 * The statements of the allocator: one call of one function of the database each, with its arguments by name.
 */
import type { Statement } from "../database/Database.ts"

const call = (name: string, parameters: ReadonlyArray<string>, repeatable: boolean): Statement => ({
  text: `select * from ipam.${name}(${parameters.map((parameter, index) => `${parameter} => $${index + 1}`).join(", ")})`,
  repeatable,
})

/** Carries its key, or only reads: sent again, it gives the same answer. */
export const keyed = (name: string, ...parameters: ReadonlyArray<string>) => call(name, parameters, true)
/** Sent again after it was done, it would answer that there is nothing to do, and hide that it was done. */
const once = (name: string, ...parameters: ReadonlyArray<string>) => call(name, parameters, false)

const takes = [
  "owner_kind",
  "owner_id",
  "ttl_seconds",
  "allow_reserved",
  "allow_cooling",
  "allow_draining",
  "max_wait_seconds",
]

export const allocate = keyed("allocate", "vrf", "pool", "request_id", "slot", "address", ...takes)
export const allocateMany = keyed("allocate_many", "vrf", "request_id", "slots", "pools", "addresses", ...takes)
export const confirm = keyed("confirm", "vrf", "request_id", "slot")
export const confirmMany = keyed("confirm_many", "vrf", "request_id", "slots")
export const extend = keyed("extend", "vrf", "request_id", "slot", "ttl_seconds")
export const extendMany = keyed("extend_many", "vrf", "request_id", "slots", "ttl_seconds")
export const release = keyed("release", "vrf", "request_id", "slot")
export const releaseMany = keyed("release_many", "vrf", "request_id", "slots")
export const releaseAll = keyed("release_all", "vrf", "request_id")
export const reclaimExpired = once("reclaim_expired", "max_rows", "vrf")
export const upkeep = keyed("upkeep", "after_vrf", "after_pool_id", "after")

export const get = keyed("get", "vrf", "request_id", "slot")
export const listByPool = keyed("list_by_pool", "vrf", "pool", "after_address", "page_size")
export const listByRequest = keyed("list_by_request", "vrf", "request_id", "after_slot", "page_size")
export const listByOwner = keyed(
  "list_by_owner",
  "vrf",
  "owner_kind",
  "owner_id",
  "after_vrf",
  "after_address",
  "page_size",
)
export const listByAddress = keyed("list_by_address", "vrf", "address", "after_vrf", "page_size")
export const listAll = keyed("list_all", "vrf", "after_vrf", "after_address", "page_size")
export const describeAddress = keyed("describe_address", "vrf", "address")
export const vrfKnown: Statement = { text: "select ipam.vrf_known($1) as known", repeatable: true }
export const listByPrefix = keyed("list_by_prefix", "vrf", "prefix", "after_address", "page_size")

export const createPool = keyed(
  "create_pool",
  "vrf",
  "name",
  "ranges",
  "reserve",
  "gateway",
  "cooldown_seconds",
  "include_network_addresses",
  "description",
)
export const updatePool = keyed("update_pool", "vrf", "pool", "name", "cooldown_seconds", "gateway", "description")
export const getPool = keyed("get_pool", "vrf", "pool")
export const listPools = keyed("list_pools", "vrf", "after_vrf", "after_name", "page_size")
export const addRange = keyed("add_range", "vrf", "pool", "range", "include_network_addresses", "gateway")
export const removeRange = once("remove_range", "vrf", "pool", "range")
export const setDraining = keyed("set_draining", "vrf", "pool", "range", "draining")
export const reserve = keyed("reserve", "vrf", "pool", "range", "reason")
export const unreserve = once("unreserve", "vrf", "pool", "range")
export const listReservations = keyed(
  "list_reservations",
  "vrf",
  "pool",
  "after_first",
  "after_last",
  "after_kind",
  "page_size",
)
export const deletePool = once("delete_pool", "vrf", "pool")

/** It reads everything there is. */
export const doctor: Statement = { ...keyed("doctor"), atLeastMs: 600_000 }
export const repair: Statement = { ...once("repair", "vrf", "pool"), atLeastMs: 600_000 }
