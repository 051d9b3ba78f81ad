/** Waits for a condition. The limit is so generous that only a condition which never holds reaches it. */
import { setTimeout as pause } from "node:timers/promises"

const LIMIT_MS = 120_000

/** Calls `ask` until its answer is neither `undefined` nor `false`, and returns that answer. `what` names the condition in the error. */
export const until = async <A>(what: string, ask: () => A | Promise<A>): Promise<Exclude<A, undefined | false>> => {
  const end = performance.now() + LIMIT_MS
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer as Exclude<A, undefined | false>
    if (performance.now() > end) throw new Error(`timed out waiting for: ${what}`)
    await pause(10)
  }
}
