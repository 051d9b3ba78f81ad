/** `saga-ipam worker`: its start, its end, and the flags that it refuses. What it executes is tested in test/saga. */
import { createServer, type AddressInfo } from "node:net"
import * as Effect from "effect/Effect"
import { describe, expect, test } from "vitest"
import { startFlow } from "../../src/saga/reference/starter.ts"
import { holdRequests } from "../saga/failover/chaos.ts"
import { openOwnWorld } from "../saga/failover/ownServer.ts"
import { creating, freePort } from "../saga/world.ts"
import { useDatabase } from "../harness/database.ts"
import { start, useCommand } from "./command.ts"

const database = useDatabase()
const { begin, refusal } = useCommand(database)

/** While something else listens on the port; 0 is any free one. */
const withServer = async (port: number, use: (port: number) => Promise<void>): Promise<void> => {
  const server = createServer()
  await new Promise<void>((done, fail) => server.once("error", fail).listen(port, "127.0.0.1", done))
  try {
    await use((server.address() as AddressInfo).port)
  } finally {
    await new Promise((done) => server.close(done))
  }
}

describe("a worker", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "ends on %s, and leaves neither a connection nor its port",
    async (signal) => {
      const port = await freePort()
      const one = begin("worker", "--listen", `127.0.0.1:${port}`)
      await one.said("running")
      one.child.kill(signal)
      const { code, out, err } = await one.ended
      expect({ code, out }).toEqual({ code: 130, out: "" })
      // What the engine says of its own may come after it.
      const running = `saga-ipam worker: running on 127.0.0.1:${port}; Ctrl-C ends it, and its sagas continue with another worker\n`
      expect(err.startsWith(running), err).toBe(true)
      await database()
        .session()
        .until(
          `select where not exists (select from pg_stat_activity
         where datname = current_database() and application_name like 'saga-ipam%')`,
        )
      await withServer(port, async () => undefined)
    },
  )

  test("reports as JSON that it is running", async () => {
    const listen = `127.0.0.1:${await freePort()}`
    const one = begin("worker", "--listen", listen, "--json")
    await new Promise((told) => one.child.stdout?.once("data", told))
    one.child.kill("SIGTERM")
    const { out, err } = await one.ended
    expect(out).toBe(`${JSON.stringify({ event: "running", listen })}\n`)
    // The engine may have something to warn of, on a machine with other work.
    for (const line of err.split("\n").filter((text) => text !== "")) expect(JSON.parse(line)).toHaveProperty("level")
  })

  test("ends even while the database is unavailable and a saga is in progress", async () => {
    const world = await openOwnWorld()
    const held = holdRequests(world.devices, /^PUT ports/, "after")
    const { url } = world.database
    const listen = `127.0.0.1:${await freePort()}`
    const one = start(["worker", "--listen", listen, "--devices", world.devices.url, "--url", url()])
    try {
      await one.said("running")
      await Effect.runPromise(startFlow({ url: url() }, "InstanceCreate", creating("under way"), true))
      await held.reached
      await world.cut()
      held.open()
      await world.missed(1)
      one.child.kill("SIGTERM")
      expect((await one.ended).code).toBe(130)
    } finally {
      one.child.kill("SIGKILL")
      held.open()
      await world.close()
    }
  })

  test("refuses a port in use, an invalid address, and a takeover time that is too short", async () => {
    await withServer(0, async (port) => {
      const listen = `127.0.0.1:${port}`
      expect(await refusal("worker", "--listen", listen)).toMatchObject({
        code: 2,
        error: "InvalidInput",
        field: "listen",
        message: `--listen: ${listen} cannot be listened on`,
      })
    })
    const cases = [
      ...["127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:24431", ":80"].map((text) => ["listen", text] as const),
      ...["2.9", "-1", "1e9", "soon"].map((text) => ["takeover", text] as const),
    ]
    const refused = await Promise.all(cases.map(([field, text]) => refusal("worker", `--${field}`, text)))
    expect(refused).toMatchObject(cases.map(([field]) => ({ code: 2, error: "InvalidInput", field })))
  })
})
