/** What the long tests share: how long each soak goes on, and dice that can be thrown again. */
import { onTestFailed } from "vitest"

/** A minute, or as many as `npm run test:long -- --minutes N` says. */
export const soakMs = Number(process.env["SAGA_IPAM_TEST_MINUTES"] ?? 1) * 60_000

/** The options of a test that soaks. */
export const soaking = { timeout: soakMs + 300_000 }

/** Answers for so long that there is time left. */
export const lasting = (ms: number): (() => boolean) => {
  const end = performance.now() + ms
  return () => performance.now() < end
}

/** Numbers from 0 to 1, as random as the seed, by mulberry32. A test that fails prints its seed; SAGA_IPAM_TEST_SEED repeats it. */
export const throwDice = (): (() => number) => {
  const given = process.env["SAGA_IPAM_TEST_SEED"]
  const seed = given === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(given)
  onTestFailed(() => console.error(`SAGA_IPAM_TEST_SEED=${seed}`))
  let state = seed
  return () => {
    state = Math.trunc(state + 0x6d2b79f5)
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
