/** For long and random tests: how long a test runs, and random numbers that can be repeated. */
import { onTestFailed } from "vitest"

/** How long a long test runs: one minute, or as many as `npm run test:long -- --minutes N` says. */
export const soakMs = Number(process.env["SAGA_IPAM_TEST_MINUTES"] ?? 1) * 60_000

/** The vitest options of a long test. */
export const soaking = { timeout: soakMs + 300_000 }

/** Returns a function that answers `true` until the time is over. */
export const timeLeft = (ms: number): (() => boolean) => {
  const end = performance.now() + ms
  return () => performance.now() < end
}

/** Random numbers from 0 to 1 (mulberry32). A test that fails prints its seed; SAGA_IPAM_TEST_SEED repeats it. */
export const seededRandom = (): (() => number) => {
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
