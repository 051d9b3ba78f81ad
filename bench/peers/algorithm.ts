/** What the comparison asks of an allocator. */
import type postgres from "postgres"

/** An allocation that was answered. */
export interface Given {
  readonly key: string
  readonly ip: string
}

export interface Algorithm {
  readonly name: string
  /** Whether a caller can repeat a call by its key and be recognised. */
  readonly hasKey: boolean
  /** Creates its tables and functions. */
  readonly setup: string
  /** Makes its records those of `public.peer_held`, in the pool of `public.peer_pool`. */
  readonly fill: (sql: postgres.Sql) => Promise<unknown>
  /** How many addresses it holds by its own records. */
  readonly countHeld: (sql: postgres.Sql) => Promise<number>
  /** Whether the statements of an attempt must be sent in one transaction. */
  readonly needsTransaction: boolean
  /** One attempt over one connection. Resolves with the address, or `undefined` if the pool is said to be exhausted. */
  readonly attempt: (sql: postgres.Sql, key: string) => Promise<string | undefined>
  readonly release: (sql: postgres.Sql, given: ReadonlyArray<Given>) => Promise<unknown>
}

/** Whether it is saga-ipam, and not one of the others. */
export const isOurs = (name: string): boolean => name.startsWith("saga-ipam")

/** Another caller has chosen the same address: an unlocked choice of the lowest address must be made again. */
const isUniqueViolation = (error: unknown): boolean => (error as { readonly code?: unknown }).code === "23505"

/** Makes attempts until one gets an answer. */
export const allocate = async (algorithm: Algorithm, sql: postgres.Sql, key: string): Promise<string | undefined> => {
  for (;;) {
    try {
      if (!algorithm.needsTransaction) return await algorithm.attempt(sql, key)
      await sql.unsafe("begin")
      const ip = await algorithm.attempt(sql, key)
      await sql.unsafe("commit")
      return ip
    } catch (error) {
      if (!isUniqueViolation(error)) throw error
    }
  }
}

export const countRows = async (sql: postgres.Sql, table: string): Promise<number> => {
  const [row] = await sql.unsafe<Array<{ n: string }>>(`select count(*) as n from ${table}`)
  return Number(row?.n)
}
