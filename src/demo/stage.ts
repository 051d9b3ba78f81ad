/**
 * What a demo shows while it runs, and whether everything was as promised. Knows nothing of allocations.
 */
import type { Pool } from "../promise.ts"

/** One thing that was done: a word, and what came of it. */
export interface Step {
  readonly step: string
  readonly text: string
}

/** Digits where people can still read them, else the order of magnitude. */
export const short = (count: bigint): string =>
  count < 10_000_000n ? String(count) : `~${Number(count).toExponential(1)}`

const WIDTH = 32

/** `█` held, `▒` reserved, `·` free; whatever is held at all shows. */
export const bar = ({ size, held, reserved }: Pool): string => {
  const part = (count: bigint) => (count === 0n ? 0 : Math.max(1, Number((count * BigInt(WIDTH)) / size)))
  const heldPart = part(held)
  const reservedPart = Math.min(WIDTH - heldPart, part(reserved))
  return "█".repeat(heldPart) + "▒".repeat(reservedPart) + "·".repeat(WIDTH - heldPart - reservedPart)
}

/** At most so many pools have a bar: the fullest. */
const MOST_BARS = 24

/** A line for each pool, the vrf before it; of many, the fullest ones. */
export const bars = (pools: ReadonlyArray<Pool>): ReadonlyArray<string> => {
  const fill = ({ size, held }: Pool) => (size === 0n ? 0 : Number((held * 1_000_000n) / size))
  const used = new Set(pools.toSorted((a, b) => fill(b) - fill(a)).slice(0, MOST_BARS))
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
  /** The promises that did not hold, each once. */
  readonly broken = new Set<string>()
  readonly #quiet: boolean

  /** `quiet`: shows nothing, and only keeps what there is to say. */
  constructor(quiet: boolean) {
    this.#quiet = quiet
  }

  /** A line of its own. */
  line(text = ""): void {
    if (!this.#quiet) process.stdout.write(`${text}\n`)
  }

  /** Says what was done, and keeps it. */
  say(step: string, text: string): void {
    this.progress()
    this.steps.push({ step, text })
    this.line(`${step.padEnd(10)} ${text}`)
  }

  /** Shows what goes on, only on a terminal; the next line takes its place. Nothing: it goes. */
  progress(text = ""): void {
    if (!this.#quiet && process.stderr.isTTY) process.stderr.write(`\r${text}\u001b[K`)
  }

  /** Shows how far it is, as a bar. */
  advance(what: string, done: number, all: number): void {
    const full = Math.min(WIDTH, Math.floor((WIDTH * done) / Math.max(1, all)))
    this.progress(`${what.padEnd(10)} ${"█".repeat(full)}${"·".repeat(WIDTH - full)} ${done} of ${all}`)
  }

  expect(holds: boolean, promise: string): void {
    if (!holds) this.broken.add(promise)
  }
}
