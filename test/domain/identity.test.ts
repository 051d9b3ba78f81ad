import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Name, RequestId, parseOwner } from "../../src/domain/identity.ts"
import { Time } from "../../src/domain/time.ts"

describe("a name", () => {
  it("has 1 to 200 code points, however they are written in UTF-16", () => {
    const accepts = Schema.is(Name)
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "é", "\u{1f600}", "字"), minLength: 0, maxLength: 250 }),
        (text) => {
          const length = [...text].length
          expect(accepts(text)).toBe(length >= 1 && length <= 200)
        },
      ),
    )
    expect([accepts("\u{1f600}".repeat(200)), accepts("\u{1f600}".repeat(201))]).toEqual([true, false])
  })
})

describe("a request id", () => {
  it("is any UUID except nil, in lower case", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.boolean(), (uuid, upper) => {
        expect(Schema.decodeUnknownSync(RequestId)(upper ? uuid.toUpperCase() : uuid)).toBe(uuid)
      }),
    )
  })
})

describe("an owner as text", () => {
  it("splits at the first slash", () => {
    expect(Result.getOrThrow(parseOwner("instance/i-1/eth0"))).toEqual({ kind: "instance", id: "i-1/eth0" })
    for (const text of ["", "/", "instance", "instance/", "/i-1"]) expect(Result.isFailure(parseOwner(text))).toBe(true)
  })

  it("is printed as the text that it was read from", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }).filter((kind) => !kind.includes("/")),
        fc.string({ minLength: 1 }),
        (kind, id) => {
          expect(Result.getOrThrow(parseOwner(`${kind}/${id}`))).toEqual({ kind, id })
        },
      ),
    )
  })
})

describe("a time", () => {
  it("has one text for each instant", () => {
    const read = Schema.decodeUnknownSync(Time)
    const spellings = [
      "2026-01-31T12:00:00.123Z",
      "2026-01-31 13:00:00.123456+01",
      "2026-01-31T06:30:00.123-05:30",
      new Date("2026-01-31T12:00:00.123Z"),
    ]
    expect(spellings.map((spelling) => read(spelling))).toEqual(spellings.map(() => "2026-01-31T12:00:00.123Z"))
    for (const text of [
      "2026-01-31",
      "2026-01-31T12:00:00",
      "infinity",
      "2026-13-31T12:00:00Z",
      "",
      new Date(Number.NaN),
    ])
      expect(() => read(text)).toThrow()
  })
})
