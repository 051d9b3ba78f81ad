/**
 * The set-up of a file that tests the SQL functions, had by importing it: a database, its owner and two allocators; for each test the
 * name of a pool, a key and addresses that no other test uses; and after each test a doctor that finds nothing.
 */
import { randomUUID } from "node:crypto"
import { afterEach, beforeAll, beforeEach, expect } from "vitest"
import { allocatorSession } from "./calls.ts"
import { useDatabase, type Session } from "./database.ts"

export const database = useDatabase()
export let owner: Session
/** The allocator that may leave a transaction open: what it has not ended is rolled back after the test. */
export let first: Session
export let second: Session

/** Which test of the file this is, from 1. */
export let number = 0
/** A name: the test makes the pool. */
export let pool: string
export let requestId: string

/** One of the 256 addresses of this test. */
export const address = (last: number): string => `10.${number}.0.${last}`
export const span = (from: number, to: number): string => `${address(from)}-${address(to)}`

beforeAll(async () => {
  owner = database().session()
  first = await allocatorSession(database())
  second = await allocatorSession(database())
})
beforeEach(() => {
  number += 1
  pool = `pool-${number}`
  requestId = randomUUID()
})
afterEach(async () => {
  await first.run("rollback")
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
})
