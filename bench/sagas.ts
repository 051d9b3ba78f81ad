/**
 * Sagas that create an instance, with devices that answer at once, against as many empty activities on the same engine: what the
 * ledger, the addresses and the steps add to the cost of durability.
 */
import { randomUUID } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import * as Activity from "effect/workflow/Activity"
import * as Workflow from "effect/workflow/Workflow"
import { freePort } from "../test/harness/freePort.ts"
import { layer } from "../src/layer.ts"
import { workerLayer } from "../src/saga/engine.ts"
import { Devices } from "../test/saga/reference/Devices.ts"
import { InstanceCreate, InstanceCreateLive } from "../test/saga/reference/InstanceCreate.ts"
import { Instances } from "../test/saga/reference/Instances.ts"
import { assert, type Bench } from "./database.ts"
import { busyWhile } from "./machine.ts"
import { callsPerSecond, inTurn, median, quantile, ratioOf, timed } from "./measure.ts"
import { grouped, ms, table, type Section } from "./report.ts"

/** The activities of an InstanceCreate that succeeds: begin, record, nic, external, switch, boot, succeeded. */
const ACTIVITIES = 7

const Empty = Workflow.make("Empty", { payload: { id: Schema.String }, idempotencyKey: ({ id }) => id })
const EmptyLive = Empty.toLayer(() =>
  Effect.forEach(
    Array.from({ length: ACTIVITIES }, (_, index) => index),
    (index) => Activity.make({ name: `empty/${index}`, execute: Effect.void }),
    { discard: true },
  ),
)

const atOnce = Layer.succeed(
  Devices,
  Devices.of({
    connect: () => Effect.void,
    disconnect: () => Effect.void,
    boot: () => Effect.void,
    remove: () => Effect.void,
  }),
)

const openWorker = async (url: string) => {
  const listen = { host: "127.0.0.1", port: await freePort() }
  const flows = Layer.mergeAll(EmptyLive, InstanceCreateLive).pipe(Layer.provide([atOnce, Instances.layer]))
  return ManagedRuntime.make(
    flows.pipe(Layer.provideMerge(workerLayer({ url, listen, max: 16 })), Layer.provideMerge(layer({ url, max: 16 }))),
  )
}

const pools = { v4: "v4", v6: "v6", external: "external" }

export const sagas = async (bench: Bench): Promise<Section> => {
  const { ipam, url, short } = bench
  const ranges = { v4: "10.0.0.0/12", v6: "fd00::/64", external: "100.64.0.0/12" }
  for (const [name, range] of Object.entries(ranges)) await ipam.createPool({ name, ranges: [range] })
  const runtime = await openWorker(url)
  const times = { create: [] as Array<number>, empty: [] as Array<number> }
  let created = 0
  const flows = {
    create: async () => {
      const instance = randomUUID()
      await runtime.runPromise(
        InstanceCreate.execute({ request: instance, vrf: "default", instance, pools, temper: "ok" }),
      )
      created += 1
    },
    empty: () => runtime.runPromise(Empty.execute({ id: randomUUID() })),
  }
  try {
    const run = (kind: keyof typeof flows, callers: number, noted?: Array<number>) => () =>
      callsPerSecond(callers, short ? 1 : 8, async () => {
        const time = await timed(flows[kind])
        noted?.push(time)
      })
    // Compile and connect before the measurement.
    await Promise.all([run("create", 8)(), run("empty", 8)()])
    const alone = await inTurn(short ? 1 : 3, { create: run("create", 1), empty: run("empty", 1) })
    const [crowd, { node, machine }] = await busyWhile(() =>
      inTurn(short ? 1 : 5, {
        create: run("create", CALLERS, times.create),
        empty: run("empty", CALLERS, times.empty),
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
    const row = (callers: number, rates: typeof crowd, kind: keyof typeof flows) => [
      callers,
      kind === "create" ? "InstanceCreate" : `${ACTIVITIES} empty activities`,
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
            row(1, alone, "empty"),
            row(CALLERS, crowd, "create"),
            row(CALLERS, crowd, "empty"),
          ],
        ),
        `${grouped(created)} sagas in all. With ${CALLERS} at a time, Node used ${Math.round(100 * node)} % of a core, and ${Math.round(100 * machine)} % of all cores were busy.`,
      ],
      goals: [
        {
          name: `InstanceCreate to as many empty activities, ${CALLERS} sagas at a time`,
          figure: ratioOf(crowd.create, crowd.empty),
          atLeast: 0.8,
        },
        {
          name: "the same, p99: empty activities to InstanceCreate",
          figure: quantile(times.empty, 0.99) / quantile(times.create, 0.99),
          atLeast: 0.8,
        },
      ],
    }
  } finally {
    await runtime.dispose()
  }
}

const CALLERS = 16
