/**
 * The answers of an algorithm in cases that a busy server meets sooner or later. Each is held at its point by a transaction that stays
 * open, so that every run gives the same answers.
 */
import { randomUUID } from "node:crypto"
import { setTimeout as pause } from "node:timers/promises"
import type postgres from "postgres"
import { allocate, type Algorithm, type Given } from "./algorithm.ts"

/** Two connections, and one that watches them. */
interface Sessions {
  readonly first: postgres.Sql
  readonly second: postgres.Sql
  readonly watch: postgres.Sql
}

interface Case {
  readonly name: string
  /** How many addresses of the pool are free at the beginning. */
  readonly free: number
  readonly isRight: (algorithm: Algorithm, sessions: Sessions) => Promise<boolean>
}

/**
 * The first: the transaction that has allocated the last free address stays open while another caller asks, and is then rolled back. All
 * others repeat a call with its key: when the pool has become full, when an address below its own has become free, or while the
 * first call is in flight, with two free addresses or with one.
 */
export const cases: ReadonlyArray<Case> = [
  {
    name: "last address, rolled back",
    free: 1,
    isRight: async (algorithm, sessions) => {
      const [, answer] = await whileOpen(algorithm, sessions, randomUUID(), randomUUID(), "rollback")
      return answer !== undefined
    },
  },
  {
    name: "repeated, pool full",
    free: 1,
    isRight: async (algorithm, { first }) => {
      const given = await allocated(algorithm, first)
      return (await allocate(algorithm, first, given.key)) === given.ip
    },
  },
  {
    name: "repeated, lower one freed",
    free: 2,
    isRight: async (algorithm, { first }) => {
      const two = [await allocated(algorithm, first), await allocated(algorithm, first)]
      const [lower, higher] = two.toSorted((a, b) => (a.ip < b.ip ? -1 : 1)) as [Given, Given]
      await algorithm.release(first, [lower])
      return (await allocate(algorithm, first, higher.key)) === higher.ip
    },
  },
  {
    name: "repeated in flight",
    free: 2,
    isRight: (algorithm, sessions) => repeatedInFlight(algorithm, sessions),
  },
  {
    name: "repeated in flight, last address",
    free: 1,
    isRight: (algorithm, sessions) => repeatedInFlight(algorithm, sessions),
  },
]

const repeatedInFlight = async (algorithm: Algorithm, sessions: Sessions): Promise<boolean> => {
  const key = randomUUID()
  const [first, second] = await whileOpen(algorithm, sessions, key, key, "commit")
  return first === second
}

const allocated = async (algorithm: Algorithm, sql: postgres.Sql): Promise<Given> => {
  const key = randomUUID()
  const ip = await allocate(algorithm, sql, key)
  if (ip === undefined) throw new Error(`${algorithm.name} refused an address to a lone caller`)
  return { key, ip }
}

/** The answers of two calls, of which the second begins after the first was answered, and before its transaction ends. */
const whileOpen = async (
  algorithm: Algorithm,
  { first, second, watch }: Sessions,
  firstKey: string,
  secondKey: string,
  end: "commit" | "rollback",
): Promise<readonly [string | undefined, string | undefined]> => {
  const [backend] = await second.unsafe<Array<{ pid: number }>>("select pg_backend_pid() as pid")
  await first.unsafe("begin")
  const held = await algorithm.attempt(first, firstKey)
  let isAnswered = false
  const answer = allocate(algorithm, second, secondKey).finally(() => (isAnswered = true))
  // A rejection is reported by whoever awaits the answer.
  answer.catch(() => undefined)
  const waiting = "select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'"
  while (!isAnswered && (await watch.unsafe(waiting, [backend?.pid ?? 0])).length === 0) await pause(1)
  await first.unsafe(end)
  return [held, await answer]
}
