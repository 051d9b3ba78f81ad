/** Waiting for something to become so: a bound so generous that it is met only where it never will. */
import { setTimeout as pause } from "node:timers/promises"

const LIMIT_MS = 120_000

/** Asks again and again until the answer is neither `undefined` nor `false`, and gives it; fails saying what never came true. */
export const until = async <A>(what: string, ask: () => A | Promise<A>): Promise<Exclude<A, undefined | false>> => {
  const end = performance.now() + LIMIT_MS
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer as Exclude<A, undefined | false>
    if (performance.now() > end) throw new Error(`never came true: ${what}`)
    await pause(10)
  }
}
