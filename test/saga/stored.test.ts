/**
 * A flow that an earlier release began is finished by this one: what that release had stored of it is loaded into a new database,
 * and a worker goes on from there. So the names and payloads of steps are frozen; who changes them keeps the old ones too.
 *
 * With WRITE_STORED set, this writes the rows of `stored/` anew, as the code of now stores them. Those of a release must stay.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { expect, test } from "vitest"
import { starterLayer } from "../../src/saga/engine.ts"
import { Instances } from "./reference/Instances.ts"
import { layer } from "../../src/layer.ts"
import { repair } from "../harness/calls.ts"
import { addressesOf } from "./aftermath.ts"
import { startInProcess } from "./inProcess.ts"
import { creating, idsOf, openWorld, succeeded, type World } from "./world.ts"

/** Where a flow stood, just after `activity` was recorded, what is left of it to do, and how it ends. */
const stored = {
  "half-way": {
    payload: creating("stored half-way"),
    activity: "nic/do",
    left: ["external/do", "switch/do", "boot/do", "saga/succeeded"],
    answer: "succeeded",
    state: succeeded,
  },
  unwinding: {
    payload: creating("stored unwinding", "fail"),
    activity: "switch/undo",
    left: ["external/undo", "nic/undo", "record/undo", "saga/unwound"],
    answer: "DeviceRefused",
    // The machine was removed before, from other devices than those of the test.
    state: "unwound, released 3, instance gone, ports 0",
  },
} as const

/** The order in which rows refer to each other. */
const tables = [
  "ipam.operation",
  "ipam.operation_target",
  "ipam.allocation",
  "reference.instance",
  "ipam_engine.engine_messages",
  "ipam_engine.engine_replies",
] as const

/** Every value as the database writes it, so that no number loses digits. */
type Rows = Record<string, ReadonlyArray<Readonly<Record<string, string | null>>>>

const columnsOf = async ({ session }: World, table: string) =>
  (await session.rows(
    `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
     where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum`,
    [table],
  )) as unknown as ReadonlyArray<{ readonly name: string; readonly type: string }>

const read = async (world: World): Promise<Rows> => {
  const rows: Rows = {}
  for (const table of tables) {
    const columns = (await columnsOf(world, table)).map(({ name }) => `${name}::text as ${name}`)
    rows[table] = (await world.session.rows(`select ${columns.join(", ")} from ${table} order by 1, 2`)) as never
  }
  return rows
}

const load = async (world: World, rows: Rows) => {
  for (const table of tables) {
    const types = new Map((await columnsOf(world, table)).map(({ name, type }) => [name, type]))
    for (const row of rows[table] ?? []) {
      const values = Object.keys(row).map((name, index) => `$${index + 1}::text::${types.get(name) ?? "text"}`)
      await world.session.rows(
        `insert into ${table} (${Object.keys(row).join(", ")}) overriding system value values (${values.join(", ")})`,
        Object.values(row),
      )
    }
  }
  await repair(world.session)
  // The day that they were held for is over.
  await world.session.rows(
    "update ipam.allocation set expires_at = clock_timestamp() + interval '1 day' where expires_at is not null",
  )
}

/** Stops a flow at its point and writes down what is stored of it then. */
const write = async (file: string, { payload, activity }: (typeof stored)[keyof typeof stored]) => {
  const world = await openWorld()
  const worker = await startInProcess(world)
  const hold = worker.hold((await idsOf(payload)).executionId, activity, "after")
  const answer = worker.create(payload)
  await hold.reached
  const rows = await read(world)
  hold.open()
  await answer
  await worker.close()
  await world.close()
  await mkdir(join(file, ".."), { recursive: true })
  await writeFile(file, `${JSON.stringify(rows, undefined, 2)}\n`)
}

test.each(Object.entries(stored))("a flow stored %s is finished from what was stored", async (name, flow) => {
  const { payload, left, answer, state } = flow
  const file = join(import.meta.dirname, "stored", `${name}.json`)
  if (process.env["WRITE_STORED"] !== undefined) await write(file, flow)

  const rows = JSON.parse(await readFile(file, "utf8")) as Rows
  const world = await openWorld()
  const url = world.database.url()
  // Nothing but the tables that the rows go into.
  await Effect.runPromise(
    Effect.scoped(Layer.build(Layer.mergeAll(starterLayer({ url }), Layer.provide(Instances.layer, layer({ url }))))),
  )
  await load(world, rows)
  expect(await world.doctor()).toEqual([])
  const { executionId, operationId } = await idsOf(payload)
  const before = await addressesOf(world, operationId)

  const worker = await startInProcess(world)
  try {
    expect(await worker.create(payload)).toBe(answer)
    // Nothing of what was recorded is done again: the addresses are those that were recorded.
    expect(worker.done(executionId)).toEqual(left)
    const identity = ({ step, address, generation }: (typeof before)[number]) => `${step} ${address} ${generation}`
    const after = await addressesOf(world, operationId)
    expect(before.length).toBeGreaterThan(0)
    expect(after.map(identity)).toEqual(expect.arrayContaining(before.map(identity)))
    expect((await world.states()).get(operationId)).toBe(state)
    expect(await world.doctor()).toEqual([])
  } finally {
    await worker.close()
    await world.close()
  }
})
