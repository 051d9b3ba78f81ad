import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { defectFacts, errorFacts, errorToJson, factsOf, isIpamError } from "../../src/errors/errorFacts.ts"
import * as Errors from "../../src/errors/errors.ts"
import type { IpamError } from "../../src/errors/errors.ts"

const at = "2026-01-31T12:00:00.000Z"
const requestId = "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b"
const pool = { vrf: "blue", pool: "web", slot: "eth0/v4" }
const holders = [
  { address: "10.0.0.5", requestId: "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b", slot: "default", owner: null },
]
const key = { vrf: "blue", requestId, slot: "eth0/v4" }
const address = { ...pool, address: "10.0.0.5" }
const finding = { check: "held twice", vrf: "blue", pool: "web", detail: "10.0.0.5", repair: null }

/** One error of each class; the compiler demands every class. */
const samples: { readonly [Tag in IpamError["_tag"]]: Extract<IpamError, { readonly _tag: Tag }> } = {
  InvalidInput: new Errors.InvalidInput({ field: "slots[2].pool", message: "slots[2].pool: is missing" }),
  UnknownPool: new Errors.UnknownPool({ ...pool, vrfs: ["green", "red"] }),
  UnknownVrf: new Errors.UnknownVrf({ vrf: "bleu" }),
  NotFound: new Errors.NotFound({ what: "allocation", ...key }),
  PoolExhausted: new Errors.PoolExhausted({
    ...pool,
    held: 250n,
    expired: 3n,
    cooling: 4n,
    reserved: 2n,
    draining: 0n,
    size: 2n ** 64n,
    at,
    nextFreeAt: at,
  }),
  KeyReused: new Errors.KeyReused({ ...key, differs: ["pool", "owner"] }),
  KeyReleased: new Errors.KeyReleased({ ...key, reason: "released", releasedAt: at }),
  AllocationExpired: new Errors.AllocationExpired({ ...key, releasedAt: at }),
  KeyExpired: new Errors.KeyExpired(key),
  OperationEnded: new Errors.OperationEnded({ ...key, status: "unwound" }),
  AllocationsLost: new Errors.AllocationsLost({
    vrf: "blue",
    requestId,
    count: 2,
    lost: [{ vrf: "blue", slot: "eth0/v4", address: "10.0.0.5", reason: "expired", releasedAt: at }],
  }),
  TargetBusy: new Errors.TargetBusy({
    vrf: "blue",
    requestId,
    count: 1,
    pending: [{ operationId: requestId, vrf: "blue", kind: "Create", state: "pending" }],
  }),
  AddressTaken: new Errors.AddressTaken({ ...address, heldBy: { kind: "instance", id: "i-1" } }),
  AddressCooling: new Errors.AddressCooling({ ...address, until: at }),
  AddressReserved: new Errors.AddressReserved(address),
  AddressDraining: new Errors.AddressDraining(address),
  AddressOutside: new Errors.AddressOutside(address),
  RangeInUse: new Errors.RangeInUse({ vrf: "blue", pool: "web", range: "10.0.0.0/24", held: 3n, holders }),
  RangeOverlaps: new Errors.RangeOverlaps({
    vrf: "blue",
    pool: "web",
    other: { vrf: "blue", pool: "db", first: "10.0.0.0", last: "10.0.0.9" },
  }),
  PoolExists: new Errors.PoolExists({ vrf: "blue", pool: "web", differs: ["ranges"] }),
  PoolInUse: new Errors.PoolInUse({ vrf: "blue", pool: "web", held: 3n, holders }),
  AmbiguousIdentity: new Errors.AmbiguousIdentity({
    identity: "address 10.0.0.5",
    candidates: [
      { vrf: "blue", id: "web" },
      { vrf: "red", id: "web" },
    ],
  }),
  Contended: new Errors.Contended({ call: "allocate", ...pool, requestId }),
  DatabaseUnavailable: new Errors.DatabaseUnavailable({
    call: "allocate",
    reason: "connection lost",
    code: "CONNECTION_CLOSED",
    ...pool,
    requestId,
  }),
  DatabaseUnreachable: new Errors.DatabaseUnreachable({
    call: "allocate",
    reason: "connect ECONNREFUSED 127.0.0.1:5432",
    code: "ECONNREFUSED",
    ...pool,
    requestId,
  }),
  DiskFull: new Errors.DiskFull({ call: "allocate", reason: "could not extend file", code: "53100", ...pool }),
  NotPermitted: new Errors.NotPermitted({
    call: "allocate",
    reason: "permission denied for function allocate",
    code: "42501",
    role: "ipam_allocator",
    ...pool,
  }),
  DatabaseMisconfigured: new Errors.DatabaseMisconfigured({
    call: "connect",
    reason: 'database "ipma" does not exist',
    code: "3D000",
  }),
  SchemaTooOld: new Errors.SchemaTooOld({ version: null, compatibleFrom: null, library: 1 }),
  SchemaTooNew: new Errors.SchemaTooNew({ version: 9, compatibleFrom: 8, library: 1 }),
  Drifted: new Errors.Drifted({ findings: [finding, finding], slot: "eth0/v4" }),
  OwnersUnreadable: new Errors.OwnersUnreadable({ reason: "it did not answer within 30 s" }),
  TooManyOrphans: new Errors.TooManyOrphans({ vrf: "red", pool: "web", orphans: 7n, held: 9n, maxShare: 0.25 }),
}
const all: ReadonlyArray<IpamError> = Object.values(samples)

describe("the table of errors", () => {
  it("gives the saga action, the HTTP status and the exit code of each error", () => {
    const rows = all.map((error) => {
      const { saga, http, exit } = factsOf(error)
      return `${error._tag} ${saga} ${http} ${exit}`
    })
    expect(rows).toEqual([
      "InvalidInput unwind 400 2",
      "UnknownPool unwind 404 3",
      "UnknownVrf unwind 404 3",
      "NotFound unwind 404 3",
      "PoolExhausted unwind 409 4",
      "KeyReused unwind 422 5",
      "KeyReleased unwind 410 5",
      "AllocationExpired unwind 410 5",
      "KeyExpired unwind 410 5",
      "OperationEnded unwind 410 5",
      "AllocationsLost unwind 409 5",
      "TargetBusy unwind 409 5",
      "AddressTaken unwind 409 5",
      "AddressCooling unwind 409 5",
      "AddressReserved unwind 409 5",
      "AddressDraining unwind 409 5",
      "AddressOutside unwind 409 5",
      "RangeInUse unwind 409 5",
      "RangeOverlaps unwind 409 5",
      "PoolExists unwind 409 5",
      "PoolInUse unwind 409 5",
      "AmbiguousIdentity unwind 409 5",
      "Contended repeat 503 6",
      "DatabaseUnavailable repeat 503 6",
      "DatabaseUnreachable repeat 503 6",
      "DiskFull repeat 507 8",
      "NotPermitted stuck 500 8",
      "DatabaseMisconfigured stuck 500 8",
      "SchemaTooOld stop 503 6",
      "SchemaTooNew stop 503 6",
      "Drifted stuck 500 7",
      "OwnersUnreadable unwind 503 6",
      "TooManyOrphans unwind 409 7",
    ])
  })

  it("has exactly one row for each class of the union", () => {
    const tags = Errors.IpamError.members.map((member) => member.identifier)
    expect(Object.keys(errorFacts).toSorted()).toEqual(tags.toSorted())
    expect(Object.keys(samples).toSorted()).toEqual(tags.toSorted())
  })

  it("treats everything else as a defect", () => {
    for (const other of [new Error("x"), undefined, "PoolExhausted", { _tag: "PoolExhausted" }]) {
      expect(isIpamError(other)).toBe(false)
      expect(factsOf(other)).toBe(defectFacts)
    }
    expect(defectFacts).toMatchObject({ saga: "suspend", http: 500, exit: 1 })
  })
})

describe("an error", () => {
  it.each(all)(
    "$_tag is an Error whose message is one line with the VRF, pool, slot and request of the error",
    (error) => {
      expect(error).toBeInstanceOf(Error)
      expect(isIpamError(error)).toBe(true)
      expect(error.message).toMatch(/^\S.{10,500}$/)
      expect(error.message).not.toMatch(/undefined|null|\[object|NaN/)
      expect(String(error)).toBe(`${error._tag}: ${error.message}`)
      expect(error.stack).toContain(error.message)
      const fields: Record<string, unknown> = { ...error }
      for (const name of ["vrf", "pool", "slot", "requestId", "address", "range", "until", "size", "nextFreeAt"]) {
        const value = fields[name]
        if (typeof value === "string" || typeof value === "bigint") expect(error.message).toContain(String(value))
      }
    },
  )

  it.each(all)("$_tag survives JSON, with its counts as decimal strings", (error) => {
    const json: unknown = JSON.parse(JSON.stringify(errorToJson(error)))
    expect(json).toMatchObject({ error: error._tag, message: error.message })
    const wire: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(Errors.IpamError)(error)))
    const back = Schema.decodeUnknownSync(Errors.IpamError)(wire)
    expect(back).toBeInstanceOf(error.constructor)
    expect({ ...back, message: back.message }).toEqual({ ...error, message: error.message })
    expect(JSON.parse(JSON.stringify(error))).toEqual(wire)
  })

  it("PoolExhausted is one flat object in JSON", () => {
    expect(errorToJson(samples.PoolExhausted)).toEqual({
      error: "PoolExhausted",
      message: samples.PoolExhausted.message,
      ...pool,
      held: "250",
      expired: "3",
      cooling: "4",
      reserved: "2",
      draining: "0",
      size: "18446744073709551616",
      at,
      nextFreeAt: at,
    })
  })

  it("leaves absent fields out of its JSON", () => {
    const error = new Errors.Contended({ call: "release_all", vrf: "blue", pool: undefined })
    expect(Object.keys(errorToJson(error))).toEqual(["error", "message", "call", "vrf"])
  })

  it("says that the outcome is unknown only as DatabaseUnavailable", () => {
    expect(all.filter(({ message }) => /outcome is unknown/.test(message))).toEqual([samples.DatabaseUnavailable])
  })

  it("NotPermitted names a role only if granting one helps", () => {
    const { call, reason } = samples.NotPermitted
    expect(samples.NotPermitted.message).toMatch(/; grant ipam_allocator to the role that connects$/)
    expect(new Errors.NotPermitted({ call, reason }).message).toMatch(/; nothing was written$/)
  })

  it.each(all)("$_tag shows its name, its message and its fields on the console", (error) => {
    const printed = inspect(error, { breakLength: Infinity })
    expect(printed.startsWith(`${error._tag}: ${error.message}`)).toBe(true)
    for (const [name, value] of Object.entries(error)) {
      if (name !== "_tag" && value !== undefined) expect(printed).toContain(`${name}: `)
    }
  })

  it("never contains a URL or a password, whatever the driver reported", () => {
    const secret = fc
      .string({ unit: fc.constantFrom(..."abcXYZ019!#$&*()+,;=._~%^"), minLength: 6, maxLength: 20 })
      .map((text) => `S3cr3t${text}`)
    const leak = fc.constantFrom<(word: string) => string>(
      (word) => `connect postgres://me:${word}@db.example:5432/ipam failed`,
      (word) => `connect postgresql://me:${word}@db.example/ipam`,
      (word) => `password=${word} host=db.example`,
      (word) => `PGPASSWORD=${word}`,
      (word) => `{"password": "${word}"}`,
      (word) => `password='${word}'`,
    )
    fc.assert(
      fc.property(secret, leak, (word, reasonWith) => {
        const error = new Errors.DatabaseUnavailable({ call: "allocate", reason: reasonWith(word) })
        const texts = [
          error.message,
          JSON.stringify(error),
          JSON.stringify(errorToJson(error)),
          String(error.stack),
          JSON.stringify({ ...error }),
        ]
        for (const text of texts) expect(text).not.toContain("S3cr3t")
      }),
    )
  })

  it("OperationEnded does not say that an unwinding operation has ended", () => {
    expect(new Errors.OperationEnded({ ...key, status: "unwinding" }).message).toMatch(/^The operation is unwinding \(/)
  })

  it("PoolExhausted says so if fewer units are free than slots were requested", () => {
    const counts = { held: 1n, cooling: 0n, reserved: 2n, draining: 0n, at, nextFreeAt: null }
    expect(new Errors.PoolExhausted({ ...pool, ...counts, size: 5n }).message).toContain(
      "2 reserved, 2 free, fewer than the slots requested at",
    )
    expect(new Errors.PoolExhausted({ ...pool, ...counts, size: 3n }).message).toContain("2 reserved at")
    const drained = { ...counts, draining: 4n, size: 7n }
    expect(new Errors.PoolExhausted({ ...pool, ...drained }).message).toContain("2 reserved, 4 draining at")
  })

  it("UnknownPool names every VRF that has one", () => {
    const { message } = new Errors.UnknownPool({ ...pool, vrfs: ["green", "red", "yellow"] })
    expect(message).toContain('it is in VRF "green", "red", "yellow"')
  })

  it("shows a caller's names on one line, shortened", () => {
    const error = new Errors.UnknownPool({ vrf: "a\nb", pool: "x".repeat(5000), vrfs: ["\u001b[2J"] })
    expect(error.message).toMatch(/^[\x20-\x7e]{1,600}$/)
  })
})
