import * as Result from "effect/Result"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { bitsOf, lastOf, toBigInt } from "../../src/domain/address.ts"
import type { Family } from "../../src/domain/address.ts"
import { parsePrefix, parseRange, printRange } from "../../src/domain/range.ts"
import type { Range } from "../../src/domain/range.ts"
import { printV4, printV6, v4Number, v6Number } from "./addresses.ts"

const range = (text: string): Range => Result.getOrThrow(parseRange(text))
const why = (text: string): string =>
  Result.match(parseRange(text), {
    onFailure: (reason) => reason,
    onSuccess: (value) => `accepted as ${printRange(value)}`,
  })
const sizeOf = ({ first, last }: Range): bigint => toBigInt(last) - toBigInt(first) + 1n
const print = (family: Family, value: bigint): string => (family === 4 ? printV4(value) : printV6(value))

/** A prefix as family, network and length. IPv6 networks have a bit set above the refused blocks, so that none reaches into them. */
const prefix = fc.constantFrom<Family>(4, 6).chain((family) => {
  const bits = bitsOf(family)
  const lengths = fc.integer({ min: family === 4 ? 0 : 3, max: bits })
  return fc
    .tuple(fc.constant(family), family === 4 ? v4Number : v6Number.map((value) => value | (1n << 125n)), lengths)
    .map(([, value, length]) => {
      const hosts = (1n << BigInt(bits - length)) - 1n
      return { family, network: value & ~hosts, hosts, length }
    })
})

/** Two ends of one family in order, and the family. */
const ends = fc
  .oneof(
    fc.tuple(fc.constant<Family>(4), v4Number, v4Number),
    fc.tuple(
      fc.constant<Family>(6),
      v6Number.map((value) => value | (1n << 64n)),
      v6Number.map((value) => value | (1n << 64n)),
    ),
  )
  .map(([family, a, b]) => ({ family, first: a < b ? a : b, last: a < b ? b : a }))

describe("a range", () => {
  it("written as a prefix contains the addresses that share its bits, and is printed as a prefix", () => {
    fc.assert(
      fc.property(prefix, ({ family, network, hosts, length }) => {
        const text = `${print(family, network)}/${length}`
        const parsed = range(text)
        expect(parsed).toEqual({
          family,
          first: print(family, network),
          last: print(family, network | hosts),
          prefixLength: length,
        })
        expect(sizeOf(parsed)).toBe(hosts + 1n)
        expect(printRange(parsed)).toBe(text)
      }),
      { numRuns: 1000 },
    )
  })

  it("written as two addresses contains both and those between, and is printed the same way", () => {
    fc.assert(
      fc.property(ends, ({ family, first, last }) => {
        const text = first === last ? print(family, first) : `${print(family, first)}-${print(family, last)}`
        const parsed = range(text)
        expect(parsed).toEqual({
          family,
          first: print(family, first),
          last: print(family, last),
          prefixLength: undefined,
        })
        expect(sizeOf(parsed)).toBe(last - first + 1n)
        expect(printRange(parsed)).toBe(text)
        expect(range(`${print(family, first)}-${print(family, last)}`)).toEqual(parsed)
      }),
      { numRuns: 1000 },
    )
  })

  it("with any host bit set is refused, with the prefix", () => {
    fc.assert(
      fc.property(prefix, fc.nat(), ({ family, network, length }, pick) => {
        fc.pre(length < bitsOf(family))
        const bit = 1n << BigInt(pick % (bitsOf(family) - length))
        expect(why(`${print(family, network | bit)}/${length}`)).toContain(
          `the prefix is ${print(family, network)}/${length}`,
        )
      }),
    )
  })

  it("that ends before it begins is refused", () => {
    fc.assert(
      fc.property(ends, ({ family, first, last }) => {
        fc.pre(first !== last)
        expect(why(`${print(family, last)}-${print(family, first)}`)).toContain("ends before it begins")
      }),
    )
  })

  it.each([
    ["10.0.0.1-2001:db8::1", "begins in IPv4 and ends in IPv6"],
    ["2001:db8::1-10.0.0.1", "begins in IPv6 and ends in IPv4"],
    ["10.0.0.0/33", "prefix length"],
    ["2001:db8::/129", "prefix length"],
    ["10.0.0.0/024", "prefix length"],
    ["10.0.0.0/", "prefix length"],
    ["10.0.0.0/-1", "prefix length"],
    ["10.0.0.0/8.0", "prefix length"],
    ["10.0.0.0/255.0.0.0", "prefix length"],
    ["10.0.0.0/24/24", "not a prefix"],
    ["/24", "not an IP address"],
    ["10.0.0/24", "four decimal numbers"],
    ["10.0.0.1-10.0.0.2-10.0.0.3", "not a range"],
    ["10.0.0.1-", "not a range"],
    ["-10.0.0.1", "not a range"],
    ["-", "not a range"],
    ["", "not a range"],
    ["10.0.0.1 - 10.0.0.2", "not an IP address"],
    ["10.0.0.0/30-10.0.0.9", "prefix length"],
    ["::/0", "reaches into"],
    ["::/64", "reaches into"],
    ["::fff0:0:0/92", "reaches into"],
    ["::fffe:0:0-::1:0:0:0", "reaches into"],
    ["::ffff:a00:0/120", "write 10.0.0.0"],
    ["::/128", "unspecified"],
  ])("is not spelt %j", (text, reason) => {
    expect(why(text)).toContain(reason)
  })

  it("may end just before a refused block and begin just after one", () => {
    expect(why("::1:0:0-::fffe:ffff:ffff")).toBe("accepted as ::1:0:0-::fffe:ffff:ffff")
    expect(why("::1:0:0:0/80")).toBe("accepted as ::1:0:0:0/80")
  })

  it("may be a whole family of IPv4, or its last address", () => {
    expect(sizeOf(range("0.0.0.0/0"))).toBe(1n << 32n)
    expect(toBigInt(range("255.255.255.255/32").last)).toBe(lastOf(4))
    expect(sizeOf(range("8000::/1"))).toBe(1n << 127n)
    expect(toBigInt(range("8000::/1").last)).toBe(lastOf(6))
  })

  it("that is not a prefix is refused by parsePrefix", () => {
    for (const text of ["10.0.0.1", "10.0.0.1-10.0.0.2"]) expect(Result.isFailure(parsePrefix(text))).toBe(true)
  })
})
