/** Sagas through pgbouncer in transaction mode, where any two statements may run in different sessions. Skipped if it is not installed. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { chown, mkdtemp, rm, stat, writeFile } from "node:fs/promises"
import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { expect, inject, onTestFinished, test } from "vitest"
import { layer } from "../../../src/layer.ts"
import { allocateStep } from "../../../src/saga/allocateStep.ts"
import * as Saga from "../../../src/saga/Saga.ts"
import { SagaWorker } from "../../../src/saga/SagaWorker.ts"
import { sleep, step } from "../../../src/saga/step.ts"
import { useDatabase } from "../../harness/database.ts"
import { until } from "../../harness/until.ts"

const pgbouncer = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"].find((path) =>
  existsSync(path),
)
const database = useDatabase()

/** Starts pgbouncer in front of the tests' server, as the user that owns the server. Resolves to the folder of its socket. */
const startPooler = async (): Promise<string> => {
  const server = inject("server")
  const socket = join(server.host, `.s.PGSQL.${server.port}`)
  const { uid, gid } = await stat(server.host.startsWith("/") ? socket : tmpdir())
  const folder = await mkdtemp(join(tmpdir(), "pgbouncer-"))
  const settings = `[databases]
* = host=${server.host} port=${server.port} user=${server.user}${server.password === undefined ? "" : ` password=${server.password}`}
[pgbouncer]
pool_mode = transaction
default_pool_size = 2
auth_type = any
unix_socket_dir = ${folder}
unix_socket_mode = 0777
listen_addr =
listen_port = 6543
`
  await writeFile(join(folder, "pgbouncer.ini"), settings)
  await chown(folder, uid, gid)
  const pooler = spawn(pgbouncer ?? "", [join(folder, "pgbouncer.ini")], { uid, gid, stdio: "ignore" })
  const ended = once(pooler, "exit")
  onTestFinished(async () => {
    pooler.kill("SIGKILL")
    await ended
    await rm(folder, { recursive: true })
  })
  await until("pgbouncer listens", () => existsSync(join(folder, ".s.PGSQL.6543")))
  return folder
}

const Create = Saga.make("Create", {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }) => id,
  targets: ({ id }) => [{ kind: "instance", id }],
  success: Schema.String,
})

test("two workers that share two sessions of pgbouncer in transaction mode run twenty sagas to their ends and cancel one that sleeps", async ({
  skip,
}) => {
  skip(pgbouncer === undefined, "pgbouncer is not installed")
  const owner = database().session()
  await owner.rows("select from ipam.create_pool('default', 'web', array['10.0.0.0/24'], '{}', 'none', 0)")
  const host = await startPooler()
  const query = new URLSearchParams({ host, port: "6543", pgbouncer: "true" })
  const pooled = layer({ url: `postgres://${inject("server").user}@/${database().name}?${query}` })
  const live = Create.toLayer(
    Effect.fnUntraced(function* ({ id }) {
      yield* step("record", { do: Effect.void, undo: Effect.void })
      const [nic] = yield* allocateStep("nic", { slots: [{ slot: "v4", pool: "web" }] })
      yield* sleep("a while", id.startsWith("sleeper") ? 31_536_000 : 0.2)
      yield* step("boot", { do: Effect.void, undo: Effect.void })
      return nic?.address ?? "none"
    }),
  )
  const makeWorker = () =>
    ManagedRuntime.make(live.pipe(Layer.provideMerge(SagaWorker.layer()), Layer.provideMerge(Layer.fresh(pooled))))
  const first = makeWorker()
  const second = makeWorker()
  onTestFinished(async () => {
    await first.dispose()
    await second.dispose()
  })

  const created = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? first : second).runPromise(Create.execute({ id: `instance ${index}` })),
    ),
  )
  expect(new Set(created).size).toBe(20)

  const sleeping = first.runPromise(Effect.flip(Create.execute({ id: "sleeper" })))
  await owner.until("select from ipam.saga_run where worker_id is null and due_at > now()")
  await second.runPromise(Create.cancel({ id: "sleeper" }))
  expect(await sleeping).toMatchObject({ _tag: "SagaCancelled" })

  const states = await owner.rows("select state, count(*)::int from ipam.operation group by state order by state")
  expect(states).toEqual([
    { state: "succeeded", count: 20 },
    { state: "unwound", count: 1 },
  ])
  expect(await owner.rows("select count(*)::int from ipam.allocation where released_at is null")).toEqual([
    { count: 20 },
  ])
  expect(await owner.rows("select from ipam.doctor()")).toEqual([])
})
