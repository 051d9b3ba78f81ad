import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import { Allocation, KeyRecord } from "../../src/contract/allocation.ts"
import { Pool } from "../../src/contract/pool.ts"

const requestId = "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b"

describe("an answer", () => {
  const live = {
    outcome: "allocated",
    vrf: "default",
    pool: "web",
    requestId,
    slot: "default",
    address: "10.0.0.5",
    prefixLength: 24,
    gateway: "10.0.0.1",
    generation: "9223372036854775807",
    state: "provisional",
    allocatedAt: "2026-01-31T11:00:00.000Z",
    expiresAt: "2026-01-31T12:00:00.000Z",
    owner: { kind: "instance", id: "i-1" },
  }

  it("goes through JSON and back", () => {
    const read = Schema.decodeUnknownSync(Allocation)(live)
    expect(read.generation).toBe(9223372036854775807n)
    expect(JSON.parse(JSON.stringify(Schema.encodeSync(Allocation)(read)))).toEqual(live)
  })

  it("of a key is told apart by its state", () => {
    const unseen = {
      pool: null,
      address: null,
      prefixLength: null,
      gateway: null,
      generation: null,
      expiresAt: null,
      owner: null,
    }
    const grave = {
      ...live,
      ...unseen,
      outcome: "released",
      state: "released",
      releasedAt: "2026-01-31T12:00:00.000Z",
      releaseReason: "released",
      releasedBy: null,
      releaseNote: null,
    }
    const read = Schema.decodeUnknownSync(KeyRecord)
    expect(read(live).state).toBe("provisional")
    expect(read(grave)).toMatchObject({ state: "released", releaseReason: "released", address: null })
    expect(() => read({ ...grave, state: "confirmed" })).toThrow()
  })

  it("about a pool has counts of any size", () => {
    const pool = {
      outcome: "found",
      vrf: "default",
      name: "v6",
      id: "1",
      family: 6,
      size: String(2n ** 125n),
      held: "1",
      reserved: "1",
      cooling: "0",
      free: String(2n ** 125n - 2n),
      draining: "0",
      state: "active",
      description: null,
      revision: "7",
      cooldownSeconds: 0.5,
      gateway: "none",
      includeNetworkAddresses: false,
      ranges: [
        {
          first: "2000::",
          last: "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
          prefixLength: 3,
          gateway: null,
          state: "active",
          revision: "1",
        },
      ],
      createdAt: "2026-01-31T12:00:00.000Z",
    }
    const read = Schema.decodeUnknownSync(Pool)(pool)
    expect(read.held + read.reserved + read.cooling + read.free).toBe(read.size)
    expect(JSON.parse(JSON.stringify(Schema.encodeSync(Pool)(read)))).toEqual(pool)
  })
})
