/**
 * Sagas that create an instance, with devices that answer at once, against as many commits of a single row as each of them takes: what
 * the ledger, the addresses and the steps add to the cost of durability.
 */
import { randomUUID } from "node:crypto"
import * as Layer from "effect/Layer"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { layer } from "../src/layer.ts"
import { SagaWorker } from "../src/saga/SagaWorker.ts"
import { InstanceCreate, instanceCreate } from "../test/saga/instance.ts"
import { Devices } from "../test/saga/datacenter/Devices.ts"
import { Instances } from "../test/saga/datacenter/Instances.ts"
import { assert, type Bench } from "./database.ts"
import { busyWhile } from "./machine.ts"
import { callsPerSecond, inTurn, median, quantile, ratioOf, timed } from "./measure.ts"
import { grouped, ms, table, type Section } from "./report.ts"

/** The statements, each a commit, of a saga that creates an instance and succeeds; held by test/saga/statements.test.ts. */
const COMMITS = 10
const CALLERS = 16

const atOnce = Layer.succeed(
  Devices,
  Devices.of({
    connect: () => Effect.void,
    disconnect: () => Effect.void,
    boot: () => Effect.void,
    remove: () => Effect.void,
  }),
)

const openWorker = (url: string) =>
  ManagedRuntime.make(
    Layer.provide(instanceCreate, [atOnce, Instances.layer]).pipe(
      Layer.provideMerge(SagaWorker.layer()),
      Layer.provideMerge(layer({ url, max: 16 })),
    ),
  )

const pools = { v4: "v4", v6: "v6", external: "external" }

export const sagas = async (bench: Bench): Promise<Section> => {
  const { ipam, url, short } = bench
  const ranges = { v4: "10.0.0.0/12", v6: "fd00::/64", external: "100.64.0.0/12" }
  for (const [name, range] of Object.entries(ranges)) await ipam.createPool({ name, ranges: [range] })
  const runtime = openWorker(url)
  await bench.sql.unsafe("create table public.commits (id uuid)")
  const times = { create: [] as Array<number>, commits: [] as Array<number> }
  let created = 0
  const kinds = {
    create: async () => {
      const instance = randomUUID()
      await runtime.runPromise(
        InstanceCreate.execute({ request: instance, vrf: "default", instance, pools, faultMode: "ok" }),
      )
      created += 1
    },
    commits: async () => {
      for (let left = COMMITS; left > 0; left--) {
        await bench.sql.unsafe("insert into public.commits values (gen_random_uuid())", [], { prepare: true })
      }
    },
  }
  try {
    const run = (kind: keyof typeof kinds, callers: number, noted?: Array<number>) => () =>
      callsPerSecond(callers, short ? 1 : 8, async () => {
        const time = await timed(kinds[kind])
        noted?.push(time)
      })
    // Compile and connect before the measurement.
    await Promise.all([run("create", 8)(), run("commits", 8)()])
    const alone = await inTurn(short ? 1 : 3, { create: run("create", 1), commits: run("commits", 1) })
    const [crowd, { node, machine }] = await busyWhile(() =>
      inTurn(short ? 1 : 5, {
        create: run("create", CALLERS, times.create),
        commits: run("commits", CALLERS, times.commits),
      }),
    )
    const held = await Promise.all(Object.keys(pools).map(async (name) => (await ipam.getPool({ pool: name })).held))
    assert(
      held.every((count) => count === BigInt(created)),
      `${created} sagas succeeded, but the pools hold ${held.join(", ")}`,
    )
    const ended = (
      await bench.sql.unsafe("select count(*)::int as count from ipam.operation where state = 'succeeded'")
    )[0]
    assert(ended?.["count"] === created, `the ledger has ${String(ended?.["count"])} of ${created} sagas`)
    const row = (callers: number, rates: typeof crowd, kind: keyof typeof kinds) => [
      callers,
      kind === "create" ? "InstanceCreate" : `${COMMITS} commits of a row`,
      median(rates[kind]).toFixed(1),
      callers === 1 ? ms(1000 / median(rates[kind])) : ms(quantile(times[kind], 0.5)),
      callers === 1 ? "-" : ms(quantile(times[kind], 0.99)),
    ]
    return {
      blocks: [
        table(
          ["sagas at a time", "saga", "sagas /s", "p50 ms", "p99 ms"],
          [
            row(1, alone, "create"),
            row(1, alone, "commits"),
            row(CALLERS, crowd, "create"),
            row(CALLERS, crowd, "commits"),
          ],
        ),
        `${grouped(created)} sagas in all. With ${CALLERS} at a time, Node used ${Math.round(100 * node)} % of a core, and ${Math.round(100 * machine)} % of all cores were busy.`,
      ],
      goals: [
        {
          name: "one InstanceCreate to as many commits of a row",
          figure: ratioOf(alone.create, alone.commits),
          atLeast: 0.67,
        },
      ],
    }
  } finally {
    await runtime.dispose()
  }
}
