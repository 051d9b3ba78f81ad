/**
 * The allocator against a model of it, a map of keys. For any sequence of calls, on one key or on several in one statement, the answers
 * are those of the model, every earlier allocation replays, the counters equal the counts, generations grow, and the doctor finds nothing.
 */
import fc from "fast-check"
import { randomUUID } from "node:crypto"
import { beforeAll, expect } from "vitest"
import { allocateBatch, confirmBatch, releaseBatch } from "../harness/batchCalls.ts"
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

const address = (real: Real, last: number) => `${real.net}.${last}`
const held = (model: Model) => [...model.keys.values()].filter((key) => key.state === "held")
const heldAt = (model: Model, wanted: string) => held(model).find((key) => key.first?.address === wanted)
const free = (model: Model, real: Real) =>
  Array.from({ length: size }, (_, last) => last).filter(
    (last) => !model.reserved.has(last) && heldAt(model, address(real, last)) === undefined,
  )

/** The outcome of an allocate according to the contract, and the address if it returns one. `last` is that of an explicit address. */
const expected = (model: Model, real: Real, key: number, owner: string, last: number | undefined) => {
  const known = model.keys.get(key)
  if (known?.state === "released") return ["key_released"]
  if (known !== undefined) {
    const same = known.owner === owner && last === undefined
    return same ? ["replayed", known.first?.address] : ["key_reused"]
  }
  if (last === undefined) {
    const [lowest] = free(model, real)
    return lowest === undefined ? ["exhausted"] : ["allocated", address(real, lowest)]
  }
  if (last >= size) return ["address_outside"]
  if (heldAt(model, address(real, last)) !== undefined) return ["address_taken"]
  return model.reserved.has(last) ? ["address_reserved"] : ["allocated", address(real, last)]
}

const command = (text: string, run: Command["run"]): Command => ({ check: () => true, run, toString: () => text })

/** Keys below 6 request any address; each key from 6 on always requests the same explicit address, so that a repeat is a replay. */
const explicitLast = (key: number) => (key < 6 ? undefined : key - 6)
const request = (real: Real, key: number, owner: string) => {
  const wanted = explicitLast(key)
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
        : expected(model, real, key, owner, explicitLast(key))
    const answer = await allocate(session, request(real, key, owner))
    expect(answer.outcome).toBe(outcome)
    expect(answer.address).toBe(wanted ?? null)
    if (answer.outcome === "replayed") expect(answer.generation).toBe(known?.first?.generation)
    if (answer.outcome === "allocated") holds(model, key, owner, answer)
  })

const holds = (model: Model, key: number, owner: string, answer: Answer) => {
  const generation = BigInt(answer.generation ?? 0)
  expect(generation > (model.generations.get(answer.address ?? "") ?? 0n)).toBe(true)
  model.generations.set(answer.address ?? "", generation)
  model.keys.set(key, { first: answer, owner, state: "held", confirmed: false })
}

/** Of the keys that were never seen, as many as there are free addresses get the lowest of these; every other one is left out. */
const allocatingTogether = (keys: ReadonlyArray<number>): Command =>
  command(`allocate ${keys.join(" and ")} together`, async (model, real) => {
    const lowest = free(model, real).map((last) => address(real, last))
    const answers = await allocateBatch(session, real.pool, asked(real, keys))
    const given = keys.flatMap((one, index) => {
      const answer = answers[index]
      return answer === undefined ? [] : [{ key: one, answer }]
    })
    expect(given.filter((one) => model.keys.has(one.key))).toEqual([])
    const unseen = keys.filter((one) => !model.keys.has(one))
    const expectedAddresses = lowest.slice(0, unseen.length)
    expect(given).toHaveLength(expectedAddresses.length)
    expect(new Set(given.map(({ answer }) => answer.address))).toEqual(new Set(expectedAddresses))
    for (const one of given) {
      expect(one.answer.outcome).toBe("allocated")
      holds(model, one.key, "a", one.answer)
    }
  })

/** Those that are held are answered, every other one is left out. */
const together =
  (
    what: string,
    send: typeof releaseBatch,
    outcome: string,
    becomes: (known: Key, model: Model, key: number) => void,
  ) =>
  (keys: ReadonlyArray<number>): Command =>
    command(`${what} ${keys.join(" and ")} together`, async (model, real) => {
      const answers = await send(session, asked(real, keys))
      for (const [index, one] of keys.entries()) {
        const known = model.keys.get(one)
        expect(answers[index]?.outcome).toBe(known?.state === "held" ? outcome : undefined)
        if (known?.state !== "held") continue
        expect(answers[index]?.address).toBe(known.first?.address)
        becomes(known, model, one)
      }
    })
const releasingTogether = together("release", releaseBatch, "released", (known, model, one) =>
  model.keys.set(one, { first: known.first, owner: known.owner, state: "released", confirmed: false }),
)
const confirmingTogether = together("confirm", confirmBatch, "confirmed", (known) => {
  known.confirmed = true
})

const asked = (real: Real, keys: ReadonlyArray<number>) =>
  keys.map((one) => ({ id: real.ids[one] ?? "", owner: ["instance", "a"] as const, ttl: 3600 }))

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

const reserving = (last: number, on: boolean): Command =>
  command(`${on ? "reserve" : "unreserve"} ${last}`, async (model, real) => {
    await owner.rows(`select ipam.${on ? "reserve" : "unreserve"}('default', $1, $2)`, [real.pool, address(real, last)])
    if (on) model.reserved.add(last)
    else model.reserved.delete(last)
  })

const checking: Command = command("check", async (model, real) => {
  await upkeep(owner)
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
  const inUse = held(model).length
  const reserved = [...model.reserved].filter((last) => heldAt(model, address(real, last)) === undefined).length
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
/** Distinct keys of 0 to `last`. Only those up to 5 request any address, as a batch does. */
const severalOf = (last: number) => fc.uniqueArray(fc.nat(last), { minLength: 1, maxLength: 5 })
const commands = fc.commands(
  [
    fc.tuple(key, fc.constantFrom("a", "a", "a", "b")).map(([one, who]) => allocating(one, who)),
    key.map((one) => allocating(one, "a")),
    key.map(releasing),
    key.map(confirming),
    severalOf(5).map(allocatingTogether),
    severalOf(13).map(releasingTogether),
    severalOf(13).map(confirmingTogether),
    fc.tuple(fc.nat(size - 1), fc.boolean()).map(([last, on]) => reserving(last, on)),
    fc.constant(checking),
  ],
  { maxCommands: 40 },
)

/** Any sequence of calls gets the answers of the model: so many sequences are tried. */
export const followModel = async (sequences: number): Promise<void> => {
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
      await fc.asyncModelRun(() => ({ model, real }), [...steps, checking])
    }),
    { numRuns: sequences, endOnFailure: true },
  )
}
