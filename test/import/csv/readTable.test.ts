import * as Result from "effect/Result"
import { describe, expect, test } from "vitest"
import { parseCsv } from "../../../src/import/csv/parseCsv.ts"
import { readTable, template } from "../../../src/import/csv/readTable.ts"

const cellsOf = (text: string) => Result.getOrThrow(parseCsv(text)).map(({ line, cells }) => [line, cells])

describe("comma-separated values", () => {
  test("may have quoted cells, CRLF line ends, a byte order mark and empty lines", () => {
    const text = '\uFEFFa,b\r\n"x, ""y""","two\nlines"\r\n\r\n,\nlast,"" '.trimEnd()
    expect(cellsOf(text)).toEqual([
      [1, ["a", "b"]],
      [2, ['x, "y"', "two\nlines"]],
      [5, ["", ""]],
      [6, ["last", ""]],
    ])
    expect(cellsOf("")).toEqual([])
    expect(cellsOf("a,")).toEqual([[1, ["a", ""]]])
  })

  test.each([
    ['a,"b', "the quoted cell that begins on line 1 is not closed"],
    ['a\n"b"c,d', "line 2: there is text after a closing quote"],
  ])("are refused if a cell is quoted wrongly: %s", (text, reason) => {
    expect(Result.getOrThrow(Result.flip(parseCsv(text)))).toBe(reason)
  })
})

const head = "vrf,pool or prefix,address,owner kind,owner id,status,description"
const read = (...lines: ReadonlyArray<string>) => Result.getOrThrow(readTable("t.csv", [head, ...lines].join("\n")))

describe("a table", () => {
  test("has pools, addresses with or without a prefix length, and ranges; the status is active by default", () => {
    const { pools, occupied, skipped } = read(
      ",10.0.0.0/24,,,,,",
      "blue,2001:db8::/64,,,,Active,",
      ",10.0.0.0/8,,,,container,",
      ",10.0.0.0/24,10.0.0.5,vm,i-1,,web server",
      ",web,10.0.0.6/24,,,ACTIVE,",
      ",,10.0.0.7,,,dhcp,printers",
      ",,10.0.0.8-10.0.0.9,,,,",
      ",10.0.0.64/26,,,,deprecated,",
    )
    expect(pools.map(({ id, space, text }) => [id, space, text])).toEqual([
      [2, { vrf: "default" }, "10.0.0.0/24"],
      [3, { vrf: "blue" }, "2001:db8::/64"],
    ])
    expect(skipped).toMatchObject([{ id: 4, reason: "container" }])
    expect(occupied.map(({ id, what, status, hold, note }) => [id, what, status, hold, note])).toEqual([
      [5, "address", "active", { owner: { kind: "vm", id: "i-1" } }, "web server"],
      [6, "address", "active", { owner: null }, ""],
      [7, "address", "dhcp", null, "printers"],
      [8, "range", "active", null, ""],
      [9, "prefix", "deprecated", null, ""],
    ])
  })

  test("may have its columns in any order, in any case, with underscores, and without the optional ones", () => {
    const { occupied } = Result.getOrThrow(
      readTable("t.csv", "Address,owner_id,OWNER_KIND,prefix\n10.0.0.5,i-1,vm,10.0.0.0/24"),
    )
    expect(occupied).toMatchObject([{ space: { vrf: "default" }, hold: { owner: { kind: "vm", id: "i-1" } } }])
  })

  test("has a template that can be read", () => {
    const { pools, occupied } = Result.getOrThrow(readTable("t.csv", template))
    expect([pools.length, occupied.length]).toEqual([1, 3])
  })

  test.each([
    ["a line without prefix and address", ",,,,,active,", "pool or prefix", "is missing"],
    ["a pool name without an address", ",web,,,,,", "address", "is missing"],
    ["a prefix with an owner", ",10.0.0.0/24,,vm,1,,", "address", "only an address has an owner"],
    ["host bits", ",10.0.0.1/24,,,,,", "pool or prefix", "has host bits set"],
    ["a prefix as an address", ",,10.0.0.0/24,,,,", "address", "write one address or FIRST-LAST"],
    ["a malformed address", ",,10.0.0,,,,", "address", "is not an IPv4 address"],
    ["an address that stands for an IPv4 one", ",,::ffff:10.0.0.1/128,,,,", "address", "cannot be handed out"],
    ["an address outside its prefix", ",10.0.0.0/24,10.0.1.5,,,,", "address", "does not lie in 10.0.0.0/24"],
    ["a range that goes backwards", ",,10.0.0.9-10.0.0.8,,,,", "address", "ends before it begins"],
    ["half an owner", ",,10.0.0.5,vm,,,", "owner id", "is missing"],
    ["a slash in a kind", ",,10.0.0.5,a/b,1,,", "owner kind", "must not contain a slash"],
    ["an owner of a range", ",,10.0.0.5-10.0.0.6,vm,1,,", "owner kind", "a range is reserved, not held"],
    ["a long VRF", `${"v".repeat(201)},,10.0.0.5,,,,`, "vrf", "at most 200"],
  ])("with %s is refused, with line and column", (_, line, column, reason) => {
    const error = Result.getOrThrow(Result.flip(readTable("t.csv", [head, ",10.0.0.0/24,,,,,", line].join("\n"))))
    expect(error.field).toBe(`t.csv[1].${column}`)
    expect(error.message).toContain(`t.csv, line 3: ${column}: `)
    expect(error.message).toContain(reason)
  })

  test.each([
    ["no columns", "", "pool or prefix is missing"],
    ["no addresses", "vrf,prefix\n", "address is missing"],
    ["an unknown column", "prefix,address,colour\n", '"colour" is not a column'],
    ["too many cells", "prefix,address\n10.0.0.0/24,,x\n", "line 2: has more cells"],
    ["a broken quote", 'prefix,address\n"', "is not closed"],
  ])("with %s is refused", (_, text, reason) => {
    expect(Result.getOrThrow(Result.flip(readTable("t.csv", text))).message).toContain(reason)
  })
})
