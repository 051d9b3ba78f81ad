/** A standby shows the past: its rows may be read there, but nothing is decided by them. */
import { randomUUID } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Database } from "../../src/database/Database.ts"
import { migrate } from "../../src/database/migrate.ts"
import { startServer, stopServer } from "../../src/embedded/server.ts"
import { startTemporaryServer, type TemporaryServer } from "../../src/embedded/temporary.ts"
import { connect, type Ipam } from "../../src/promise.ts"
import { openSession, type Session } from "../harness/database.ts"
import { decisions } from "./decisions.ts"

let server: TemporaryServer
let ipam: Ipam
let session: Session
const binaries = process.env["SAGA_IPAM_TEST_BINARIES"] || undefined
const requestId = randomUUID()

beforeAll(async () => {
  server = await startTemporaryServer("ipam-standby-", { durable: false, binaries })
  await Effect.runPromise(migrate().pipe(Effect.provide(Database.layer(server))))
  const primary = await connect({ url: server.url })
  await primary.createPool({ name: "pool", ranges: ["10.0.0.0/29"] })
  await primary.allocate({ pool: "pool", requestId })
  await primary.close()
  // A standby that has nobody to follow stays at what it had.
  await stopServer(server.folder)
  writeFileSync(join(server.folder, "data", "standby.signal"), "")
  await startServer(server.folder, { binaries })
  ipam = await connect({ url: server.url })
  session = openSession(server)
})
afterAll(async () => {
  await session.end()
  await ipam.close()
  await server.stop()
})

test("reads answer what the standby has", async () => {
  expect(await ipam.get({ requestId })).toMatchObject({ outcome: "held", address: "10.0.0.1" })
  expect(await ipam.getPool({ pool: "pool" })).toMatchObject({ held: 1n })
  expect(await ipam.list({ pool: "pool" })).toHaveLength(1)
  expect(await ipam.doctor()).toEqual([])
})

test("the gate says that something may be pending", async () => {
  expect(await ipam.hasPendingOperation({ kind: "machine", id: "m-1" })).toBe(true)
})

test("every function that is not a mere read is refused as where no primary is", async () => {
  for (const { name, text } of await decisions(session)) {
    await expect(session.rows(text), name).rejects.toMatchObject({ code: "25006" })
  }
})

test.each([
  // It would say that nothing is pending.
  ["a gate", `ipam.has_pending_operation('default', 'machine', 'm-1')`],
  // Its key may have been released since.
  ["a replay", `ipam.allocate('default', 'pool', '${requestId}')`],
  ["a confirm that changes nothing", `ipam.confirm('default', '${requestId}')`],
])("%s is refused there too", async (_, call) => {
  await expect(session.rows(`select * from ${call}`)).rejects.toMatchObject({
    code: "25006",
    message: expect.stringContaining("standby"),
  })
})
