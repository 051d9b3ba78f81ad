/**
 * Set-up for tests of the SQL functions; importing it registers the hooks. It provides a database, a session of its owner and two of
 * allocators; for each test a pool name, a request id and addresses of its own; and after each test it checks that the doctor finds
 * nothing.
 */
import { randomUUID } from "node:crypto"
import { afterEach, beforeAll, beforeEach, expect } from "vitest"
import { allocatorSession } from "./calls.ts"
import { useDatabase, type Session } from "./database.ts"

export const database = useDatabase()
export let owner: Session
/** An allocator that may leave a transaction open: it is rolled back after the test. */
export let first: Session
export let second: Session

/** The number of the test in the file, from 1. */
export let number = 0
/** The name of a pool, which the test itself creates. */
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
