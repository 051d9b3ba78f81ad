/** Callers that share keys and receive their answers in any order, so that their next calls come in any order as well. */
import fc from "fast-check"
import { randomUUID } from "node:crypto"
import { afterAll, beforeAll, expect, test } from "vitest"
import { connect, type Ipam } from "../../src/promise.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase()
let operator: Ipam
let together: Ipam
let alone: Ipam
let number = 0

beforeAll(async () => {
  operator = await connect({ url: database().url("ipam_operator") })
  together = await connect({ url: database().url("ipam_allocator"), max: 8 })
  alone = await connect({ url: database().url("ipam_allocator"), max: 8, batch: false })
})
afterAll(() => Promise.all([operator.close(), together.close(), alone.close()]))

const verbs = fc.array(fc.constantFrom("allocate", "allocate", "confirm", "release"), { minLength: 1, maxLength: 4 })
const callers = fc.array(fc.record({ key: fc.nat(2), verbs }), { minLength: 2, maxLength: 6 })

test.each([
  ["together", () => together],
  ["one by one", () => alone],
])(
  "of calls that go %s, a key has one address, none after its release, and the final state that the answers told",
  async (_, client) => {
    const ipam = client()
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), callers, async (scheduler, work) => {
        number += 1
        const pool = `pool-${number}`
        await operator.createPool({ name: pool, ranges: [`10.${number}.0.0-10.${number}.0.1`] })
        const keys = [randomUUID(), randomUUID(), randomUUID()]
        const addresses = new Map<string, Set<string>>()
        const released = new Set<string>()

        const call = async (verb: string, requestId: string) => {
          const wasReleased = released.has(requestId)
          try {
            if (verb === "release") {
              await ipam.release({ requestId })
              released.add(requestId)
            } else {
              const answer = await (verb === "allocate"
                ? ipam.allocate({ pool, requestId })
                : ipam.confirm({ requestId }))
              expect(wasReleased).toBe(false)
              addresses.set(requestId, (addresses.get(requestId) ?? new Set()).add(answer.address))
            }
            return verb
          } catch (error) {
            const tag = error instanceof Error && "_tag" in error ? error._tag : undefined
            if (tag !== "PoolExhausted" && tag !== "KeyReleased" && tag !== "NotFound") throw error
            return tag
          }
        }
        const answered = scheduler.scheduleFunction(call)
        const finished = work.map(async ({ key, verbs: todo }) => {
          for (const verb of todo) await answered(verb, keys[key] ?? "")
        })
        await scheduler.waitFor(Promise.all(finished))

        for (const found of addresses.values()) expect(found.size).toBe(1)
        let held = 0n
        for (const requestId of keys) {
          const record = await ipam.get({ requestId })
          if (released.has(requestId)) expect(record?.state).toBe("released")
          if (record !== null && record.state !== "released") {
            held += 1n
            expect(addresses.get(requestId)).toEqual(new Set([record.address]))
            // The same request again, at any later time, gets the first answer.
            expect(await ipam.allocate({ pool, requestId })).toMatchObject({
              outcome: "replayed",
              address: record.address,
              generation: record.generation,
            })
          }
        }
        expect(await operator.getPool({ pool })).toMatchObject({ held, free: 2n - held, size: 2n })
        expect(await operator.doctor()).toEqual([])
      }),
      { numRuns: 60, endOnFailure: true },
    )
  },
)
