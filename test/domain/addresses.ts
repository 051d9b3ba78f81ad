/** Random addresses for properties, as numbers, with printers that are independent of the code under test. */
import fc from "fast-check"

const isRefused = (value: bigint): boolean => value >> 32n === 0n || value >> 32n === 0xffffn

/** Any IPv4 address as a number; often one at the end of the family or of an octet. */
export const v4Number = fc.oneof(
  fc.bigInt({ min: 0n, max: 0xffffffffn }),
  fc.constantFrom(0n, 1n, 0xffn, 0x100n, 0xfffffffen, 0xffffffffn),
)

/** One group of an IPv6 address; often zero, so that runs of zeros occur everywhere. */
const group = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
)

/** Any IPv6 address as a number, outside the refused blocks. */
export const v6Number = fc
  .oneof(
    fc
      .array(group, { minLength: 8, maxLength: 8 })
      .map((groups) => groups.reduce((sum, part) => (sum << 16n) | BigInt(part), 0n)),
    fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
    fc.constantFrom((1n << 128n) - 1n, 1n << 32n, (0xffffn << 32n) - 1n, 0x10000n << 32n),
  )
  .filter((value) => !isRefused(value))

/** An IPv6 address in a refused block. */
export const refusedNumber = fc
  .tuple(fc.constantFrom(0n, 0xffffn), v4Number)
  .map(([block, low]) => (block << 32n) | low)

export const groupsOf = (value: bigint): ReadonlyArray<number> =>
  Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn))

export const printV4 = (value: bigint): string => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".")

/** RFC 5952, section 4: lower case, no leading zeros, the first of the longest runs of two or more zero groups shortened. */
export const printV6 = (value: bigint): string => {
  const groups = groupsOf(value)
  const runAt = (start: number): number => {
    const end = groups.findIndex((part, index) => index >= start && part !== 0)
    return (end === -1 ? 8 : end) - start
  }
  const runs = groups.map((_, start) => runAt(start))
  const longest = Math.max(...runs)
  const start = runs.indexOf(longest)
  const hex = groups.map((part) => part.toString(16))
  return longest < 2 ? hex.join(":") : `${hex.slice(0, start).join(":")}::${hex.slice(start + longest).join(":")}`
}

/** Any accepted spelling of the IPv6 address: with leading zeros, in either case, with one run of zeros shortened or none. */
export const spelling = (value: bigint): fc.Arbitrary<string> => {
  const groups = groupsOf(value)
  const runs = groups.flatMap((_, start) =>
    groups.flatMap((__, last) =>
      last >= start && groups.slice(start, last + 1).every((part) => part === 0) ? [[start, last + 1] as const] : [],
    ),
  )
  return fc
    .record({
      widths: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 8, maxLength: 8 }),
      upper: fc.boolean(),
      run: fc.constantFrom(undefined, ...runs),
    })
    .map(({ widths, upper, run }) => {
      const hex = groups.map((part, index) => part.toString(16).padStart(widths[index] ?? 1, "0"))
      const text =
        run === undefined ? hex.join(":") : `${hex.slice(0, run[0]).join(":")}::${hex.slice(run[1]).join(":")}`
      return upper ? text.toUpperCase() : text
    })
}
