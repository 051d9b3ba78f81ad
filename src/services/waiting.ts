/**
 * Waiting for addresses that transactions in flight may yet give back, outside of any connection.
 *
 * The first attempt of a call does not wait in the database. A call that is contended then queues with the others of this client that
 * want the same thing. Two at a time make another attempt, for 50 ms each, so that however many wait, other calls find connections.
 * Knows neither pools nor statements.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { Contended } from "../errors/errors.ts"

/** How long a call waits in all before it is `Contended`. */
const BOUND_MS = 5000
/** How long the database may wait in one attempt. */
const ATTEMPT_SECONDS = 0.05
/** How many of the calls that wait for the same thing make an attempt at a time. */
const ASKING = 2

/** One call, told how long the database may hold it; fails with `Contended` when that was not enough, having written nothing. */
type Attempt<A, E> = (maxWaitSeconds: number) => Effect.Effect<A, E | Contended>

/**
 * Makes the attempt, and makes it again as long as it is contended, 5 seconds in all, in the order in which callers began to wait for
 * `what`, a list of names. An interrupted caller leaves the queue.
 */
export type InTurn = <A, E>(what: ReadonlyArray<string>, attempt: Attempt<A, E>) => Effect.Effect<A, E | Contended>

/** Makes a single attempt, in which the database waits the whole 5 seconds: for callers whose own transaction a refusal would break. */
export const atOnce: InTurn = (_, attempt) => attempt(BOUND_MS / 1000)

/** The queues of one client. */
export const makeInTurn = (): InTurn => {
  const queues = new Map<string, { readonly turns: Semaphore.Semaphore; waiting: number }>()

  /** Waits for a turn, then has it until the effect has ended. The queue goes with the last who waits. */
  const withTurn = <A, E>(what: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const queue = queues.get(what) ?? { turns: Semaphore.makeUnsafe(ASKING), waiting: 0 }
      queues.set(what, queue)
      queue.waiting += 1
      const leave = Effect.sync(() => {
        queue.waiting -= 1
        if (queue.waiting === 0) queues.delete(what)
      })
      return Effect.ensuring(queue.turns.withPermit(effect), leave)
    })

  const wait = <A, E>(what: string, attempt: Attempt<A, E>, contended: Contended) =>
    Effect.flatMap(monotonicMillis, (now) => {
      const deadline = now + BOUND_MS
      let asks = false
      const ask: ReturnType<typeof attempt> = Effect.suspend(() => {
        asks = true
        return Effect.catchIf(attempt(ATTEMPT_SECONDS), isContended, (again) =>
          Effect.flatMap(monotonicMillis, (later) => (later < deadline ? ask : Effect.fail(again))),
        )
      })
      // A call whose turn has come by then gets the answer to its attempt in flight.
      const late = Effect.sleep(BOUND_MS).pipe(
        Effect.andThen(Effect.suspend(() => (asks ? Effect.never : Effect.fail(contended)))),
      )
      return Effect.raceFirst(withTurn(what, ask), late)
    })

  return (what, attempt) =>
    Effect.catchIf(attempt(0), isContended, (contended) => wait(JSON.stringify(what), attempt, contended))
}

const monotonicMillis = Clock.clockWith((clock) =>
  Effect.succeed(Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)),
)

const isContended = (error: unknown): error is Contended =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "Contended"
