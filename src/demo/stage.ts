/**
 * The output of a demo, and the list of promises that were broken. Knows nothing about allocations, except how full a pool is.
 */
import type { Pool } from "../promise.ts"

/** A step of the demo: a word for it, and its result. */
export interface Step {
  readonly step: string
  readonly text: string
}

/** The digits of a count, or its order of magnitude if there are too many to read. */
export const short = (count: bigint): string =>
  count < 10_000_000n ? String(count) : `~${Number(count).toExponential(1)}`

const WIDTH = 32

/** The fill of a pool as a bar: `█` held, `▒` reserved, `·` free. Any held address shows. */
export const bar = ({ size, held, reserved }: Pool): string => {
  const part = (count: bigint) => (count === 0n ? 0 : Math.max(1, Number((count * BigInt(WIDTH)) / size)))
  const heldPart = part(held)
  const reservedPart = Math.min(WIDTH - heldPart, part(reserved))
  return "█".repeat(heldPart) + "▒".repeat(reservedPart) + "·".repeat(WIDTH - heldPart - reservedPart)
}

/** How many pools have a bar at most: the fullest. */
const MAX_BARS = 24

/** A line for each pool, with its VRF; of many pools only the fullest. */
export const bars = (pools: ReadonlyArray<Pool>): ReadonlyArray<string> => {
  const fill = ({ size, held }: Pool) => (size === 0n ? 0 : Number((held * 1_000_000n) / size))
  const used = new Set(pools.toSorted((a, b) => fill(b) - fill(a)).slice(0, MAX_BARS))
  const shown = pools.filter((pool) => used.has(pool))
  const [vrfs, names] = [shown.map(({ vrf }) => vrf.length), shown.map(({ name }) => name.length)]
  const lines = shown.map((pool) => {
    const name = `${pool.vrf.padEnd(Math.max(...vrfs))} ${pool.name.padEnd(Math.max(...names))}`
    const counts = `${short(pool.held).padStart(5)} held ${short(pool.reserved).padStart(4)} reserved ${short(pool.free).padStart(8)} free`
    return `${name} ${bar(pool)} ${counts}`
  })
  return pools.length > shown.length ? [...lines, `... and ${pools.length - shown.length} pools more`] : lines
}

export class Stage {
  readonly steps: Array<Step> = []
  /** The promises that were broken, each once. */
  readonly broken = new Set<string>()
  readonly #quiet: boolean

  /** `quiet`: prints nothing, and only records the steps. */
  constructor(quiet: boolean) {
    this.#quiet = quiet
  }

  /** Prints a line. */
  line(text = ""): void {
    if (!this.#quiet) process.stdout.write(`${text}\n`)
  }

  /** Prints a step and records it. */
  say(step: string, text: string): void {
    this.progress()
    this.steps.push({ step, text })
    this.line(`${step.padEnd(10)} ${text}`)
  }

  /** Shows the current activity, only on a terminal; the next line replaces it. Without a text, removes it. */
  progress(text = ""): void {
    if (!this.#quiet && process.stderr.isTTY) process.stderr.write(`\r${text}\u001b[K`)
  }

  /** Shows the progress as a bar. */
  advance(what: string, done: number, all: number): void {
    const full = Math.min(WIDTH, Math.floor((WIDTH * done) / Math.max(1, all)))
    this.progress(`${what.padEnd(10)} ${"█".repeat(full)}${"·".repeat(WIDTH - full)} ${done} of ${all}`)
  }

  /** Records the promise as broken unless it holds. */
  expect(holds: boolean, promise: string): void {
    if (!holds) this.broken.add(promise)
  }
}
