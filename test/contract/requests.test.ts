import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import { MAX_SECONDS } from "../../src/domain/identity.ts"
import { parseInput } from "../../src/contract/input.ts"
import { AddRangeRequest, CreatePoolRequest } from "../../src/contract/poolRequests.ts"
import * as Requests from "../../src/contract/requests.ts"

const requestId = "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b"

/** The message of the refusal, or what was accepted. */
const told = (schema: Schema.ConstraintDecoder<unknown>, input: unknown): unknown =>
  Result.match(parseInput(schema)(input), { onFailure: (error) => error.message, onSuccess: (value) => value })

describe("a request to allocate", () => {
  const base = { requestId, pool: "web" }

  it("means the default vrf and slot, and no flags, when they are left out or undefined", () => {
    const full = {
      vrf: "default",
      requestId,
      slot: "default",
      pool: "web",
      allowReserved: false,
      allowCooling: false,
      allowDraining: false,
    }
    expect(told(Requests.AllocateRequest, base)).toEqual(full)
    expect(
      told(Requests.AllocateRequest, { ...base, vrf: undefined, slot: undefined, allowCooling: undefined }),
    ).toEqual(full)
  })

  it("is read into its canonical spelling", () => {
    const input = { requestId: requestId.toUpperCase(), pool: "v6", address: "2001:DB8::0:1" }
    expect(told(Requests.AllocateRequest, input)).toMatchObject({ requestId, address: "2001:db8::1" })
  })

  it.each([
    [{ pool: "web" }, "requestId: is missing"],
    [{ requestId }, "pool: is missing"],
    [{ ...base, ttl: 60 }, "ttl: is not a known field"],
    [{ ...base, requestId: "x" }, 'requestId: must be a UUID of 36 characters, not "x"'],
    [{ ...base, requestId: requestId.replaceAll("-", "") }, "requestId: must be a UUID of 36 characters"],
    [{ ...base, requestId: `{${requestId}}` }, "requestId: must be a UUID of 36 characters"],
    [{ ...base, requestId: "00000000-0000-0000-0000-000000000000" }, "requestId: must not be the nil UUID"],
    [{ ...base, requestId: 7 }, "requestId: must be text"],
    [{ ...base, pool: "" }, "pool: must not be empty"],
    [{ ...base, pool: "9223372036854775808" }, "pool: must be a pool's name, or an id"],
    [{ ...base, vrf: "x".repeat(201) }, "vrf: must have at most 200 characters"],
    [{ ...base, slot: "x".repeat(1_000_000) }, "slot: must have at most 200 characters"],
    [{ ...base, slot: "a\0b" }, "slot: must not contain a NUL"],
    [{ ...base, slot: "a\ud800" }, "slot: must not contain half a surrogate pair"],
    [{ ...base, slot: null }, "slot: must be text"],
    [{ ...base, address: "10.0.0.1/24" }, 'address: "10.0.0.1/24" is a prefix'],
    [{ ...base, address: 167772161 }, "address: must be text"],
    [{ ...base, ttlSeconds: 0 }, "ttlSeconds: must be a number of seconds, more than 0"],
    [{ ...base, ttlSeconds: -1 }, "ttlSeconds: must be a number of seconds"],
    [{ ...base, ttlSeconds: 1e-9 }, "ttlSeconds: must be a number of seconds"],
    [{ ...base, ttlSeconds: Number.NaN }, "ttlSeconds: must be a number of seconds"],
    [{ ...base, ttlSeconds: Number.POSITIVE_INFINITY }, "ttlSeconds: must be a number of seconds"],
    [{ ...base, ttlSeconds: MAX_SECONDS + 1 }, "ttlSeconds: must be a number of seconds"],
    [{ ...base, ttlSeconds: "60" }, "ttlSeconds: must be a number"],
    [{ ...base, owner: { kind: "instance" } }, "owner.id: is missing"],
    [{ ...base, owner: { kind: "a/b", id: "1" } }, "owner.kind: must not contain a slash"],
    [{ ...base, owner: "instance/1" }, "owner: must be an object"],
    [{ ...base, allowCooling: "yes" }, "allowCooling: must be true or false"],
    [null, "The input: must be an object"],
    ["web", "The input: must be an object"],
  ])("%# is refused by the field that is wrong", (input, message) => {
    expect(told(Requests.AllocateRequest, input)).toContain(message)
  })

  it("may have the longest and the shortest ttl", () => {
    for (const ttlSeconds of [0.000001, 0.5, MAX_SECONDS])
      expect(told(Requests.AllocateRequest, { ...base, ttlSeconds })).toMatchObject({ ttlSeconds })
  })
})

describe("a request of several slots", () => {
  const slots = (count: number): ReadonlyArray<{ slot: string; pool: string }> =>
    Array.from({ length: count }, (_, index) => ({ slot: `eth${index}`, pool: "web" }))

  it("has 1 to 256 of them, or up to 65,536 of one pool without an address, each once", () => {
    const mixed = [...slots(255), { slot: "last", pool: "other" }]
    expect(told(Requests.AllocateManyRequest, { requestId, slots: mixed })).toMatchObject({ slots: mixed })
    for (const last of [
      { slot: "last", pool: "other" },
      { slot: "last", pool: "web", address: "10.0.0.5" },
    ])
      expect(told(Requests.AllocateManyRequest, { requestId, slots: [...slots(256), last] })).toBe(
        "slots: must have at most 256 slots, unless all are of one pool and none asks for an address",
      )
    const most = slots(65_536)
    expect(told(Requests.AllocateManyRequest, { requestId, slots: most })).toMatchObject({ slots: most })
    expect(told(Requests.AllocateManyRequest, { requestId, slots: slots(65_537) })).toBe(
      "slots: must have at most 65536 slots, not 65537",
    )
    expect(told(Requests.AllocateManyRequest, { requestId, slots: [] })).toBe("slots: must name at least one slot")
    const twice = [...slots(3), { slot: "eth1", pool: "other" }]
    expect(told(Requests.AllocateManyRequest, { requestId, slots: twice })).toBe(
      "slots[3]: names a slot that is there already",
    )
    expect(told(Requests.KeysRequest, { requestId, slots: ["a", "b", "a"] })).toBe(
      "slots[2]: names a slot that is there already",
    )
  })

  it("names the slot that is wrong", () => {
    expect(told(Requests.AllocateManyRequest, { requestId, slots: [{ slot: "a", pool: "web" }, { slot: "b" }] })).toBe(
      "slots[1].pool: is missing",
    )
    expect(told(Requests.AllocateManyRequest, { requestId, slots: "a" })).toBe("slots: must be a list")
  })
})

describe("a request for a list", () => {
  it("has at most one filter, and looks in every VRF only without one", () => {
    const all = { allVrfs: false, pageSize: 1000 }
    expect(told(Requests.ListRequest, {})).toEqual(all)
    expect(told(Requests.ListRequest, { vrf: "blue" })).toEqual({ ...all, vrf: "blue" })
    expect(told(Requests.ListRequest, { allVrfs: true })).toEqual({ ...all, allVrfs: true })
    expect(told(Requests.ListRequest, { pool: "web", address: "10.0.0.1" })).toBe(
      "address: cannot go together with pool",
    )
    expect(told(Requests.ListRequest, { allVrfs: true, vrf: "blue" })).toBe("allVrfs: cannot go together with vrf")
    expect(told(Requests.ListRequest, { allVrfs: true, pool: "web" })).toBe("allVrfs: cannot go together with pool")
    expect(told(Requests.ListRequest, { prefix: "10.0.0.0/8" })).toEqual({ ...all, prefix: "10.0.0.0/8" })
    expect(told(Requests.ListRequest, { prefix: "10.0.0.1/8" })).toContain("prefix: ")
    expect(told(Requests.ListRequest, { pool: "web", pageSize: 0 })).toBe(
      "pageSize: must be a whole number from 1 to 10000",
    )
  })
})

describe("a request for a pool", () => {
  const base = { name: "web", ranges: ["10.0.0.0/24"] }

  it("has defaults for all but its name and ranges", () => {
    expect(told(CreatePoolRequest, base)).toEqual({
      vrf: "default",
      ...base,
      reserve: [],
      gateway: "none",
      cooldownSeconds: 0,
      includeNetworkAddresses: false,
    })
  })

  it.each([
    [{ ...base, name: "007" }, "name: must not be digits alone"],
    [{ ...base, ranges: [] }, "ranges: must have at least one range"],
    [{ ...base, ranges: ["10.0.0.1/24"] }, 'ranges[0]: "10.0.0.1/24" has host bits set'],
    [{ ...base, ranges: ["10.0.0.0/24", "2001:db8::/64"] }, "ranges[1]: must be IPv4"],
    [{ ...base, reserve: ["10.0.0.9", "2001:db8::1"] }, "reserve[1]: must be IPv4"],
    [{ ...base, gateway: "2001:db8::1" }, "gateway: must be IPv4"],
    [{ name: "v6", ranges: ["2001:db8::/64"], gateway: "10.0.0.1" }, "gateway: must be IPv6"],
    [{ ...base, gateway: "frist" }, "or first, last or none"],
    [{ ...base, cooldownSeconds: -1 }, "cooldownSeconds: must be a number of seconds, 0 or more"],
    [{ ...base, range: "10.0.0.0/24" }, "range: is not a known field"],
  ])("%# is refused by the field that is wrong", (input, message) => {
    expect(told(CreatePoolRequest, input)).toContain(message)
  })

  it("of IPv6 may have a gateway by word or by address", () => {
    for (const gateway of ["first", "last", "none", "2001:db8::1"]) {
      expect(told(CreatePoolRequest, { name: "v6", ranges: ["2001:db8::/64"], gateway })).toMatchObject({ gateway })
    }
    expect(told(AddRangeRequest, { pool: "v6", range: "2001:DB8::-2001:DB8::F" })).toEqual({
      vrf: "default",
      pool: "v6",
      range: "2001:db8::-2001:db8::f",
    })
  })
})
