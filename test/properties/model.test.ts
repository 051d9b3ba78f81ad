/**
 * The allocator against a model of it: a Map of keys. Whatever the order of calls, the answers are those of the model, any earlier
 * allocation replays, counters equal counts, generations grow and the doctor finds nothing.
 */
import fc from "fast-check"
import { randomUUID } from "node:crypto"
import { beforeAll, expect, test } from "vitest"
import type { Answer } from "../harness/calls.ts"
import { allocate, allocatorSession, confirm, counts, createPool, get, release, upkeep } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase()
const size = 6
let owner: Session
let session: Session
let number = 0

beforeAll(async () => {
  owner = database().session()
  session = await allocatorSession(database())
})

interface Key {
  readonly first: Answer | undefined
  readonly owner: string
  state: "held" | "released"
  confirmed: boolean
}
interface Model {
  readonly keys: Map<number, Key>
  readonly reserved: Set<number>
  readonly generations: Map<string, bigint>
}
interface Real {
  readonly pool: string
  readonly net: string
  readonly ids: ReadonlyArray<string>
}
type Command = fc.AsyncCommand<Model, Real>

const address = (real: Real, place: number) => `${real.net}.${place}`
const held = (model: Model) => [...model.keys.values()].filter((key) => key.state === "held")
const heldAt = (model: Model, wanted: string) => held(model).find((key) => key.first?.address === wanted)
const lowest = (model: Model, real: Real) =>
  Array.from({ length: size }, (_, place) => place).find(
    (place) => !model.reserved.has(place) && heldAt(model, address(real, place)) === undefined,
  )

/** What the contract says of an allocate, and the address where it gives one. */
const expected = (model: Model, real: Real, key: number, owner: string, place: number | undefined) => {
  const known = model.keys.get(key)
  if (known?.state === "released") return ["key_released"]
  if (known !== undefined) {
    const same = known.owner === owner && place === undefined
    return same ? ["replayed", known.first?.address] : ["key_reused"]
  }
  if (place === undefined) {
    const free = lowest(model, real)
    return free === undefined ? ["exhausted"] : ["allocated", address(real, free)]
  }
  if (place >= size) return ["address_outside"]
  if (heldAt(model, address(real, place)) !== undefined) return ["address_taken"]
  return model.reserved.has(place) ? ["address_reserved"] : ["allocated", address(real, place)]
}

const command = (text: string, run: Command["run"]): Command => ({ check: () => true, run, toString: () => text })

/** Keys below 6 ask for any address; those from 6 on ask for the address of that place, so that a repeat is a replay. */
const place = (key: number) => (key < 6 ? undefined : key - 6)
const request = (real: Real, key: number, owner: string) => {
  const wanted = place(key)
  return {
    pool: real.pool,
    requestId: real.ids[key] ?? "",
    owner,
    ttlSeconds: 3600,
    ...(wanted === undefined ? {} : { address: address(real, wanted) }),
  }
}

const allocating = (key: number, owner: string): Command =>
  command(`allocate ${key} for ${owner}`, async (model, real) => {
    const known = model.keys.get(key)
    const [outcome, wanted] =
      known?.state === "held" && known.owner === owner
        ? ["replayed", known.first?.address]
        : expected(model, real, key, owner, place(key))
    const answer = await allocate(session, request(real, key, owner))
    expect(answer.outcome).toBe(outcome)
    expect(answer.address).toBe(wanted ?? null)
    if (answer.outcome === "replayed") expect(answer.generation).toBe(known?.first?.generation)
    if (answer.outcome !== "allocated") return
    const generation = BigInt(answer.generation ?? 0)
    expect(generation > (model.generations.get(answer.address ?? "") ?? 0n)).toBe(true)
    model.generations.set(answer.address ?? "", generation)
    model.keys.set(key, { first: answer, owner, state: "held", confirmed: false })
  })

const releasing = (key: number): Command =>
  command(`release ${key}`, async (model, real) => {
    const known = model.keys.get(key)
    expect(await release(session, real.ids[key] ?? "")).toMatchObject(
      known?.state === "released"
        ? { outcome: "already_released", freed: false }
        : { outcome: "released", freed: known !== undefined },
    )
    model.keys.set(key, { first: known?.first, owner: known?.owner ?? "", state: "released", confirmed: false })
  })

const confirming = (key: number): Command =>
  command(`confirm ${key}`, async (model, real) => {
    const known = model.keys.get(key)
    const outcome = known === undefined ? "not_found" : known.state === "held" ? "confirmed" : "key_released"
    expect(await confirm(session, real.ids[key] ?? "")).toMatchObject({ outcome })
    if (known?.state === "held") known.confirmed = true
  })

const reserving = (where: number, on: boolean): Command =>
  command(`${on ? "reserve" : "unreserve"} ${where}`, async (model, real) => {
    await owner.rows(`select ipam.${on ? "reserve" : "unreserve"}('default', $1, $2)`, [
      real.pool,
      address(real, where),
    ])
    if (on) model.reserved.add(where)
    else model.reserved.delete(where)
  })

const looking: Command = command("look", async (model, real) => {
  await upkeep(owner)
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
  const inUse = held(model).length
  const reserved = [...model.reserved].filter((where) => heldAt(model, address(real, where)) === undefined).length
  expect(await counts(owner, real.pool)).toEqual({
    held: inUse,
    reserved,
    cooling: 0,
    free: size - inUse - reserved,
    size,
  })
  for (const [key, known] of model.keys) {
    const requestId = real.ids[key] ?? ""
    if (known.state === "held") {
      const { outcome, address: same, generation, state } = await allocate(session, request(real, key, known.owner))
      expect({ outcome, same, generation }).toEqual({
        outcome: "replayed",
        same: known.first?.address,
        generation: known.first?.generation,
      })
      expect(state).toBe(known.confirmed ? "confirmed" : "provisional")
    } else expect(await get(session, requestId)).toMatchObject({ outcome: "released" })
  }
})

const key = fc.nat(13)
const commands = fc.commands(
  [
    fc.tuple(key, fc.constantFrom("a", "a", "a", "b")).map(([one, who]) => allocating(one, who)),
    key.map((one) => allocating(one, "a")),
    key.map(releasing),
    key.map(confirming),
    fc.tuple(fc.nat(size - 1), fc.boolean()).map(([where, on]) => reserving(where, on)),
    fc.constant(looking),
  ],
  { maxCommands: 40 },
)

test("any history of calls answers as the model does", async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (steps) => {
      number += 1
      const real: Real = {
        pool: `pool-${number}`,
        net: `10.${number >> 8}.${number & 255}`,
        ids: Array.from({ length: 14 }, () => randomUUID()),
      }
      await createPool(owner, real.pool, `${real.net}.0-${real.net}.${size - 1}`)
      const model: Model = { keys: new Map(), reserved: new Set(), generations: new Map() }
      await fc.asyncModelRun(() => ({ model, real }), [...steps, looking])
    }),
    { numRuns: Number(process.env["SAGA_IPAM_TEST_RUNS"] ?? 30), endOnFailure: true },
  )
})
