/** A database on a server of its own, which a test may end at once and start again without hurting other tests. */
import { rmSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { Database } from "../../../src/database/Database.ts"
import { migrate } from "../../../src/database/migrate.ts"
import { startServer } from "../../../src/embedded/server.ts"
import { startTemporaryServer } from "../../../src/embedded/temporary.ts"
import { startFakeDatacenter } from "../datacenter/fakeDatacenter.ts"
import { openSession, type Session } from "../../harness/database.ts"
import { until } from "../../harness/until.ts"
import type { World } from "../world.ts"

export interface OwnWorld extends World {
  /** Resolves once so many have tried to connect since it was cut off. */
  readonly missed: (times: number) => Promise<unknown>
  /** Ends the server without a checkpoint and cuts every connection, as `pg_ctl stop -m immediate` does. */
  readonly cut: () => Promise<void>
  /** Starts it again: it recovers from its log. */
  readonly start: () => Promise<void>
}

const statesText = `select o.operation_id, o.state || ', held ' || count(a.request_id) as words
from ipam.operation o
left join ipam.allocation a on a.request_id = o.operation_id and a.released_at is null
group by o.operation_id`

/** With the same pools as `openWorld`, on a server that flushes to disk. */
export const openOwnWorld = async (): Promise<OwnWorld> => {
  const server = await startTemporaryServer("ipam-outage-", { durable: true })
  const { host, port, user, url, folder } = server
  const options = { host, port, user, database: "postgres" }
  await Effect.runPromise(migrate().pipe(Effect.provide(Database.layer(options))))
  const sessions = new Set<Session>()
  const open = () => {
    const session = openSession(options)
    sessions.add(session)
    return session
  }
  const session = open()
  for (const [name, range] of [
    ["v4", "10.0.0.0-10.0.0.255"],
    ["v6", "fd00::/64"],
    ["external", "192.0.2.0-192.0.2.255"],
  ]) {
    await session.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [
      name ?? "",
      range ?? "",
    ])
  }
  const devices = await startFakeDatacenter()
  let tries = 0
  const nobodyHome = createServer((socket) => {
    tries += 1
    socket.on("error", () => undefined).destroy()
  })
  let { pid } = server
  const close = async () => {
    nobodyHome.close()
    await Promise.all([...sessions].map((one) => one.end()))
    await devices.close()
    await server.stop()
  }
  return {
    database: { name: "postgres", options: () => options, url: () => url, session: open, drop: close },
    session,
    devices,
    states: async () =>
      new Map((await session.rows(statesText)).map(({ operation_id: id, words }) => [String(id), String(words)])),
    doctor: () => session.rows("select * from ipam.doctor()"),
    cut: async () => {
      const ended = pid
      process.kill(ended, "SIGQUIT")
      await until(`the server ${ended} has ended`, () => !isAlive(ended))
      await session.rows("select 1").catch(() => undefined)
      tries = 0
      const path = join(host, `.s.PGSQL.${port}`)
      rmSync(path, { force: true })
      await new Promise<void>((done, fail) => nobodyHome.once("error", fail).listen(path, done))
    },
    missed: (times) => until(`${times} have tried to connect`, () => tries >= times),
    start: async () => {
      await new Promise((done) => nobodyHome.close(done))
      ;({ pid } = await startServer(folder))
    },
    close,
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
