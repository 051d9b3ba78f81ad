/**
 * Sagas that create an instance, with devices that answer at once, against as many commits of a single row as each of them takes: what
 * the ledger, the addresses and the steps add to the cost of durability. Many at a time also against the same sagas whose writes go to
 * the log one by one.
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
const CROWDS = [16, 64]

const atOnce = Layer.succeed(
  Devices,
  Devices.of({
    connect: () => Effect.void,
    disconnect: () => Effect.void,
    boot: () => Effect.void,
    remove: () => Effect.void,
  }),
)

const openWorker = (url: string, batch: boolean) =>
  ManagedRuntime.make(
    Layer.provide(instanceCreate, [atOnce, Instances.layer]).pipe(
      Layer.provideMerge(SagaWorker.layer()),
      Layer.provideMerge(layer({ url, max: 16, batch })),
    ),
  )

type Kind = "create" | "oneByOne" | "commits"

const pools = { v4: "v4", v6: "v6", external: "external" }

export const sagas = async (bench: Bench): Promise<Section> => {
  const { ipam, url, short } = bench
  const ranges = { v4: "10.0.0.0/12", v6: "fd00::/64", external: "100.64.0.0/12" }
  for (const [name, range] of Object.entries(ranges)) await ipam.createPool({ name, ranges: [range] })
  const workers = { create: openWorker(url, true), oneByOne: openWorker(url, false) }
  await bench.sql.unsafe("create table public.commits (id uuid)")
  let created = 0
  const create = (worker: keyof typeof workers) => async () => {
    const instance = randomUUID()
    await workers[worker].runPromise(
      InstanceCreate.execute({ request: instance, vrf: "default", instance, pools, faultMode: "ok" }),
    )
    created += 1
  }
  const kinds = {
    create: create("create"),
    oneByOne: create("oneByOne"),
    commits: async () => {
      for (let left = COMMITS; left > 0; left--) {
        await bench.sql.unsafe("insert into public.commits values (gen_random_uuid())", [], { prepare: true })
      }
    },
  }
  try {
    const run = (kind: Kind, callers: number, noted?: Array<number>) => () =>
      callsPerSecond(callers, short ? 1 : 4, async () => {
        const time = await timed(kinds[kind])
        noted?.push(time)
      })
    // Compile and connect before the measurement.
    await Promise.all([run("create", 8)(), run("oneByOne", 8)(), run("commits", 8)()])
    const alone = await inTurn(short ? 1 : 5, { create: run("create", 1), commits: run("commits", 1) })
    const crowds = []
    for (const callers of CROWDS) {
      const times: Record<Kind, Array<number>> = { create: [], oneByOne: [], commits: [] }
      const [rates, busy] = await busyWhile(() =>
        inTurn(short ? 1 : 5, {
          create: run("create", callers, times.create),
          oneByOne: run("oneByOne", callers, times.oneByOne),
          commits: run("commits", callers, times.commits),
        }),
      )
      crowds.push({ callers, rates, times, busy })
    }
    const held = await Promise.all(Object.keys(pools).map(async (name) => (await ipam.getPool({ pool: name })).held))
    assert(
      held.every((count) => count === BigInt(created)),
      `${created} sagas succeeded, but the pools hold ${held.join(", ")}`,
    )
    const ended = (
      await bench.sql.unsafe("select count(*)::int as count from ipam.operation where state = 'succeeded'")
    )[0]
    assert(ended?.["count"] === created, `the ledger has ${String(ended?.["count"])} of ${created} sagas`)
    const names: Record<Kind, string> = {
      create: "InstanceCreate",
      oneByOne: "InstanceCreate, its writes one by one",
      commits: `${COMMITS} commits of a row`,
    }
    const rowAlone = (kind: "create" | "commits") => [
      1,
      names[kind],
      median(alone[kind]).toFixed(1),
      ms(1000 / median(alone[kind])),
      "-",
    ]
    const rows = crowds.flatMap(({ callers, rates, times }) =>
      (["create", "oneByOne", "commits"] as const).map((kind) => [
        callers,
        names[kind],
        median(rates[kind]).toFixed(1),
        ms(quantile(times[kind], 0.5)),
        ms(quantile(times[kind], 0.99)),
      ]),
    )
    const together = crowds.map(
      ({ callers, rates }) => `${ratioOf(rates.create, rates.oneByOne).toFixed(2)} with ${callers} at a time`,
    )
    const busy = crowds.map(
      ({ callers, busy: { node, machine } }) =>
        `with ${callers} at a time, Node used ${Math.round(100 * node)} % of a core, and ${Math.round(100 * machine)} % of all cores were busy`,
    )
    return {
      blocks: [
        table(
          ["sagas at a time", "saga", "sagas /s", "p50 ms", "p99 ms"],
          [rowAlone("create"), rowAlone("commits"), ...rows],
        ),
        `Writes of concurrent sagas that travel together, to one by one: ${together.join(", ")}.`,
        `${grouped(created)} sagas in all; ${busy.join("; ")}.`,
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
    await Promise.all(Object.values(workers).map((worker) => worker.dispose()))
  }
}
