import * as Result from "effect/Result";
import * as Schema from "effect/Schema";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Allocation, KeyRecord } from "../../src/domain/allocation.ts";
import { MAX_SECONDS, Name, RequestId, parseOwner, printOwner } from "../../src/domain/identity.ts";
import { parseInput } from "../../src/domain/input.ts";
import { Pool } from "../../src/domain/pool.ts";
import { AddRangeRequest, CreatePoolRequest } from "../../src/domain/poolRequests.ts";
import * as Requests from "../../src/domain/requests.ts";
import { Time } from "../../src/domain/time.ts";

const requestId = "0190a5b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b";

/** The message of the refusal, or what was accepted. */
const told = <S extends Schema.ConstraintDecoder<unknown>>(schema: S, input: unknown): unknown =>
  Result.match(parseInput(schema)(input), { onFailure: (error) => error.message, onSuccess: (value) => value });

describe("a request to allocate", () => {
  const base = { requestId, pool: "web" };

  it("means the default vrf and slot, and no flags, when they are left out or undefined", () => {
    const full = { vrf: "default", requestId, slot: "default", pool: "web", allowReserved: false, allowCooling: false };
    expect(told(Requests.AllocateRequest, base)).toEqual(full);
    expect(told(Requests.AllocateRequest, { ...base, vrf: undefined, slot: undefined, allowCooling: undefined })).toEqual(full);
  });

  it("is read into its canonical spelling", () => {
    const input = { requestId: requestId.toUpperCase(), pool: "v6", address: "2001:DB8::0:1" };
    expect(told(Requests.AllocateRequest, input)).toMatchObject({ requestId, address: "2001:db8::1" });
  });

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
    expect(told(Requests.AllocateRequest, input)).toContain(message);
  });

  it("may have the longest and the shortest ttl", () => {
    for (const ttlSeconds of [0.000001, 0.5, MAX_SECONDS]) expect(told(Requests.AllocateRequest, { ...base, ttlSeconds })).toMatchObject({ ttlSeconds });
  });
});

describe("a request of several slots", () => {
  const slots = (count: number): ReadonlyArray<{ slot: string; pool: string }> =>
    Array.from({ length: count }, (_, index) => ({ slot: `eth${index}`, pool: "web" }));

  it("has 1 to 256 of them, each once", () => {
    expect(told(Requests.AllocateManyRequest, { requestId, slots: slots(256) })).toMatchObject({ slots: slots(256) });
    expect(told(Requests.AllocateManyRequest, { requestId, slots: slots(257) })).toBe("slots: must have at most 256 slots, not 257");
    expect(told(Requests.AllocateManyRequest, { requestId, slots: [] })).toBe("slots: must name at least one slot");
    const twice = [...slots(3), { slot: "eth1", pool: "other" }];
    expect(told(Requests.AllocateManyRequest, { requestId, slots: twice })).toBe("slots[3]: names a slot that is there already");
    expect(told(Requests.KeysRequest, { requestId, slots: ["a", "b", "a"] })).toBe("slots[2]: names a slot that is there already");
  });

  it("names the slot that is wrong", () => {
    expect(told(Requests.AllocateManyRequest, { requestId, slots: [{ slot: "a", pool: "web" }, { slot: "b" }] })).toBe("slots[1].pool: is missing");
    expect(told(Requests.AllocateManyRequest, { requestId, slots: "a" })).toBe("slots: must be a list");
  });
});

describe("a request for a list", () => {
  it("has exactly one filter", () => {
    const message = "The input: must have exactly one of pool, requestId, owner, address, prefix";
    expect(told(Requests.ListRequest, {})).toBe(message);
    expect(told(Requests.ListRequest, { vrf: "blue" })).toBe(message);
    expect(told(Requests.ListRequest, { pool: "web", address: "10.0.0.1" })).toBe(message);
    expect(told(Requests.ListRequest, { prefix: "10.0.0.0/8" })).toEqual({ prefix: "10.0.0.0/8", pageSize: 1000 });
    expect(told(Requests.ListRequest, { prefix: "10.0.0.1/8" })).toContain("prefix: ");
    expect(told(Requests.ListRequest, { pool: "web", pageSize: 0 })).toBe("pageSize: must be a whole number from 1 to 10000");
  });
});

describe("a request for a pool", () => {
  const base = { name: "web", ranges: ["10.0.0.0/24"] };

  it("has defaults for all but its name and ranges", () => {
    expect(told(CreatePoolRequest, base)).toEqual({
      vrf: "default",
      ...base,
      reserve: [],
      gateway: "none",
      cooldownSeconds: 0,
      includeNetworkAddresses: false,
    });
  });

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
    expect(told(CreatePoolRequest, input)).toContain(message);
  });

  it("of IPv6 may have a gateway by word or by address", () => {
    for (const gateway of ["first", "last", "none", "2001:db8::1"]) {
      expect(told(CreatePoolRequest, { name: "v6", ranges: ["2001:db8::/64"], gateway })).toMatchObject({ gateway });
    }
    expect(told(AddRangeRequest, { pool: "v6", range: "2001:DB8::-2001:DB8::F" })).toEqual({ vrf: "default", pool: "v6", range: "2001:db8::-2001:db8::f" });
  });
});

describe("a name", () => {
  it("has 1 to 200 code points, however they are written in UTF-16", () => {
    const accepts = Schema.is(Name);
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "é", "\u{1f600}", "字"), minLength: 0, maxLength: 250 }), (text) => {
        const length = [...text].length;
        expect(accepts(text)).toBe(length >= 1 && length <= 200);
      }),
    );
    expect([accepts("\u{1f600}".repeat(200)), accepts("\u{1f600}".repeat(201))]).toEqual([true, false]);
  });
});

describe("a request id", () => {
  it("is any UUID but nil, in lower case", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.boolean(), (uuid, upper) => {
        expect(told(RequestId, upper ? uuid.toUpperCase() : uuid)).toBe(uuid);
      }),
    );
  });
});

describe("an owner as text", () => {
  it("splits at the first slash", () => {
    expect(Result.getOrThrow(parseOwner("instance/i-1/eth0"))).toEqual({ kind: "instance", id: "i-1/eth0" });
    for (const text of ["", "/", "instance", "instance/", "/i-1"]) expect(Result.isFailure(parseOwner(text))).toBe(true);
  });

  it("is printed to what it was read from", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }).filter((kind) => !kind.includes("/")), fc.string({ minLength: 1 }), (kind, id) => {
        expect(Result.getOrThrow(parseOwner(printOwner({ kind, id })))).toEqual({ kind, id });
      }),
    );
  });
});

describe("a time", () => {
  it("is one text for one instant", () => {
    const read = Schema.decodeUnknownSync(Time);
    const spellings = ["2026-01-31T12:00:00.123Z", "2026-01-31 13:00:00.123456+01", "2026-01-31T06:30:00.123-05:30", new Date("2026-01-31T12:00:00.123Z")];
    expect(spellings.map((spelling) => read(spelling))).toEqual(spellings.map(() => "2026-01-31T12:00:00.123Z"));
    for (const text of ["2026-01-31", "2026-01-31T12:00:00", "infinity", "2026-13-31T12:00:00Z", "", new Date(Number.NaN)]) expect(() => read(text)).toThrow();
  });
});

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
    expiresAt: "2026-01-31T12:00:00.000Z",
    owner: { kind: "instance", id: "i-1" },
  };

  it("goes through JSON and back", () => {
    const read = Schema.decodeUnknownSync(Allocation)(live);
    expect(read.generation).toBe(9223372036854775807n);
    expect(JSON.parse(JSON.stringify(Schema.encodeSync(Allocation)(read)))).toEqual(live);
  });

  it("of a key is told apart by its state", () => {
    const unseen = { pool: null, address: null, prefixLength: null, gateway: null, generation: null, expiresAt: null, owner: null };
    const grave = { ...live, ...unseen, outcome: "released", state: "released", releasedAt: "2026-01-31T12:00:00.000Z", releaseReason: "released" };
    const read = Schema.decodeUnknownSync(KeyRecord);
    expect(read(live).state).toBe("provisional");
    expect(read(grave)).toMatchObject({ state: "released", releaseReason: "released", address: null });
    expect(() => read({ ...grave, state: "confirmed" })).toThrow();
  });

  it("about a pool has counts of any size", () => {
    const pool = {
      outcome: "found", vrf: "default", name: "v6", id: "1", family: 6, size: String(2n ** 125n), held: "1", reserved: "1", cooling: "0",
      free: String(2n ** 125n - 2n), cooldownSeconds: 0.5, gateway: "none", includeNetworkAddresses: false,
      ranges: [{ first: "2000::", last: "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", prefixLength: 3, gateway: null, kind: "allocatable" }],
      createdAt: "2026-01-31T12:00:00.000Z",
    };
    const read = Schema.decodeUnknownSync(Pool)(pool);
    expect(read.held + read.reserved + read.cooling + read.free).toBe(read.size);
    expect(JSON.parse(JSON.stringify(Schema.encodeSync(Pool)(read)))).toEqual(pool);
  });
});
