/**
 * An interrupted caller: its statement is cancelled, and no other. The library repeats a statement that was cancelled by mistake, so
 * the tests count executions with a sequence, which is not rolled back.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { connect, createServer, type AddressInfo, type Socket } from "node:net"
import { setTimeout as pause } from "node:timers/promises"
import { beforeAll, beforeEach, describe, expect, test } from "vitest"
import type { Statement } from "../../src/database/Database.ts"
import { noneRunning, put, useCalls, waiting } from "./calls.ts"

const { database, owner, effects, withDatabase } = useCalls()
const sleep = (seconds: number): Statement => ({ text: `select pg_sleep(${String(seconds)})`, repeatable: false })
const count = (seconds: number): Statement => ({
  text: `select nextval('runs') as run, pg_sleep(${String(seconds)}) is null as slept`,
  repeatable: false,
})

beforeAll(() => owner().run("create sequence runs"))
beforeEach(() => owner().run("alter sequence runs restart"))

describe("a caller that is interrupted", () => {
  test("leaves nothing running on the server, and the same call may be made again", async () => {
    await withDatabase({ max: 1 }, async ({ start, call }) => {
      await owner().run("select pg_advisory_lock(7)")
      const fiber = start(put, ["k"])
      await owner().until(waiting)
      await Effect.runPromise(Fiber.interrupt(fiber))
      expect(await owner().rows(waiting)).toEqual([])
      expect(await effects()).toEqual([])
      await owner().run("select pg_advisory_unlock_all()")
      expect(await call(put, ["k"])).toEqual([{ key: "k" }])
    })
  })

  test("does not cancel the next statement: its connection is free only after the cancel request was served", async () => {
    await withDatabase({ max: 1 }, async ({ start, call }) => {
      for (let round = 1; round <= 200; round++) {
        const fiber = start(sleep(0.001), [])
        const next = call(count(0.002), [])
        await pause(round % 3)
        await Effect.runPromise(Fiber.interrupt(fiber))
        expect(await next).toEqual([{ run: String(round), slept: false }])
      }
    })
  })

  test("that still waits for a connection sends nothing", async () => {
    await withDatabase({ max: 1 }, async ({ start, call }) => {
      await owner().run("select pg_advisory_lock(7)")
      const first = call(put, ["first"])
      await owner().until(waiting)
      const second = start(put, ["second"])
      await Effect.runPromise(Fiber.interrupt(second))
      await owner().run("select pg_advisory_unlock_all()")
      await first
      await owner().until(noneRunning)
      expect(await effects()).toEqual(["first"])
    })
  })

  test("discards its connection if the cancel request may still be on its way", async () => {
    const slow = await proxyWithSlowCancels(2500)
    try {
      await withDatabase({ host: "127.0.0.1", port: slow.port, ssl: false, max: 1 }, async ({ start, call }) => {
        await call(count(0), [])
        await owner().run("select pg_advisory_lock(7)")
        const fiber = start(put, ["k"])
        const next = call(count(1), [])
        await owner().until(waiting)
        const interrupted = Effect.runPromise(Fiber.interrupt(fiber))
        // Ended by itself, with the cancel request still on its way.
        await owner().run("select pg_advisory_unlock_all()")
        await interrupted
        expect(await next).toEqual([{ run: "2", slept: false }])
      })
    } finally {
      await slow.close()
    }
  })
})

/** The code of a CancelRequest in the PostgreSQL protocol, which follows its length. */
const cancelRequestCode = 80877102

/** A proxy to the test server that forwards cancel requests only after a delay. */
const proxyWithSlowCancels = async (delayMs: number) => {
  const { host, port } = database().options()
  const upstream = host?.startsWith("/")
    ? { path: `${host}/.s.PGSQL.${String(port)}` }
    : { host: host ?? "localhost", port: port ?? 5432 }
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const server = connect(upstream)
    for (const socket of [client, server]) sockets.add(socket.on("error", () => undefined))
    const passOn = (first: Buffer) => {
      server.write(first)
      client.pipe(server).pipe(client)
    }
    client.once("data", (first: Buffer) => {
      client.pause()
      const isCancel = first.readInt32BE(4) === cancelRequestCode
      setTimeout(passOn, isCancel ? delayMs : 0, first)
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  return {
    port: (proxy.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}
