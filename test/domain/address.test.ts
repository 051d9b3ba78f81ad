import * as Result from "effect/Result"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { familyOf, fromBigInt, lastOf, parseAddress, toBigInt } from "../../src/domain/address.ts"
import type { Family, IpAddress } from "../../src/domain/address.ts"
import { groupsOf, printV4, printV6, refusedNumber, spelling, v4Number, v6Number } from "./addresses.ts"

const address = (text: string): IpAddress => Result.getOrThrow(parseAddress(text))
const why = (text: string): string =>
  Result.match(parseAddress(text), { onFailure: (reason) => reason, onSuccess: (value) => `accepted as ${value}` })
const anyNumber: fc.Arbitrary<readonly [Family, bigint]> = fc.oneof(
  v4Number.map((value) => [4, value] as const),
  v6Number.map((value) => [6, value] as const),
)

describe("an address", () => {
  it("is printed as a dotted quad or by RFC 5952, for every number of both families", () => {
    fc.assert(
      fc.property(anyNumber, ([family, value]) => {
        expect(fromBigInt(family, value)).toBe(family === 4 ? printV4(value) : printV6(value))
      }),
      { numRuns: 2000 },
    )
  })

  it("parses from its printed text, with the same number and family", () => {
    fc.assert(
      fc.property(anyNumber, ([family, value]) => {
        const printed = fromBigInt(family, value) ?? ""
        expect(address(printed)).toBe(printed)
        expect([familyOf(address(printed)), toBigInt(address(printed))]).toEqual([family, value])
      }),
      { numRuns: 2000 },
    )
  })

  it("of IPv6 has one canonical text for all its hexadecimal spellings", () => {
    fc.assert(
      fc.property(
        v6Number.chain((value) => spelling(value).map((text) => [value, text] as const)),
        ([value, text]) => {
          expect(why(text)).toBe(`accepted as ${printV6(value)}`)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it("in a block that stands for IPv4 is refused in every spelling, with the IPv4 address", () => {
    fc.assert(
      fc.property(
        refusedNumber.chain((value) => spelling(value).map((text) => [value, text] as const)),
        ([value, text]) => {
          const low = value & 0xffffffffn
          const meant = value === 0n ? "unspecified" : value === 1n ? "loopback" : `write ${printV4(low)}`
          expect(why(text)).toContain(meant)
          expect(fromBigInt(6, value)).toBeUndefined()
        },
      ),
      { numRuns: 1000 },
    )
  })

  it("of IPv6 with a dotted quad is refused, with the hexadecimal spelling", () => {
    fc.assert(
      fc.property(v6Number, (value) => {
        const text = `${groupsOf(value)
          .slice(0, 6)
          .map((part) => part.toString(16))
          .join(":")}:${printV4(value & 0xffffffffn)}`
        expect(why(text)).toContain(`write ${printV6(value)}`)
      }),
    )
    expect(why("::ffff:10.0.0.1")).toContain("write 10.0.0.1")
    expect(why("::10.0.0.1")).toContain("write 10.0.0.1")
  })

  it.each([
    ["010.0.0.1", "leading zeros"],
    ["10.0.0.01", "leading zeros"],
    ["00.0.0.1", "leading zeros"],
    ["0x7f.1", "not an IP address"],
    ["0x7f.0.0.1", "not an IP address"],
    ["1", "four decimal numbers"],
    ["1.2.3", "four decimal numbers"],
    ["1.2.3.4.5", "four decimal numbers"],
    ["1.2.3.", "four decimal numbers"],
    ["256.0.0.1", "at most 255"],
    ["4294967296.0.0.1", "at most 255"],
    ["-1.0.0.1", "not an IP address"],
    ["", "not an IP address"],
    [" 10.0.0.1", "not an IP address"],
    ["10.0.0.1\n", "not an IP address"],
    ["10.0.0.1/32", "is a prefix"],
    ["2001:db8::/64", "is a prefix"],
    ["١.١.١.١", "not an IP address"],
    ["host.example", "not an IP address"],
    ["fe80::1%eth0", "zone id"],
    ["1::2::3", "not an IPv6 address"],
    [":::", "not an IPv6 address"],
    [":1:2:3:4:5:6:7", "not an IPv6 address"],
    ["1:2:3:4:5:6:7:", "not an IPv6 address"],
    ["1:2:3:4:5:6:7", "not an IPv6 address"],
    ["1:2:3:4:5:6:7:8:9", "not an IPv6 address"],
    ["1:2:3:4::5:6:7:8", "not an IPv6 address"],
    ["2001:db8::00001", "not an IPv6 address"],
    ["2001:db8::g", "not an IPv6 address"],
    ["[2001:db8::1]", "not an IPv6 address"],
    ["2001:db8:: 1", "not an IPv6 address"],
    ["2001:db8::256.0.0.1", "not an IPv6 address"],
  ])("is not spelt %j", (text, reason) => {
    expect(why(text)).toContain(reason)
  })

  it("is shortened in the message that refuses it", () => {
    for (const text of ["9".repeat(1_000_000), "::".repeat(500_000), "x".repeat(1_000_000)])
      expect(why(text).length).toBeLessThan(200)
  })

  it("is read from no text but accepted spellings", () => {
    const noise = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."0123456789abcdefx.:%/-") }))
    fc.assert(
      fc.property(noise, (text) => {
        const parsed = parseAddress(text)
        if (Result.isSuccess(parsed)) expect(address(parsed.success)).toBe(parsed.success)
      }),
      { numRuns: 5000 },
    )
  })

  it("exists for no number outside its family", () => {
    expect([fromBigInt(4, lastOf(4) + 1n), fromBigInt(6, lastOf(6) + 1n), fromBigInt(4, -1n)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })
})
