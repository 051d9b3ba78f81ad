/** The writes of several sagas in one statement: each is answered as by its own call, and all are written, or none. */
import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { list } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { first, number, owner } from "../harness/fixture.ts"

const worker = `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`
const done = (name: string) => ({ name, state: "done", result: name })

interface Write {
  readonly id: string
  readonly epoch?: number
  readonly settled?: ReadonlyArray<object>
}
interface Advance extends Write {
  readonly next?: string
  readonly undo?: boolean
  readonly seconds?: number
}
interface Finish extends Write {
  readonly state: string
}

const json = (values: ReadonlyArray<unknown>) => list(values.map((value) => JSON.stringify(value)))
const writes = (asked: ReadonlyArray<Write>) => ({
  ids: list(asked.map(({ id }) => id)),
  epochs: list(asked.map(({ epoch = 1 }) => epoch)),
  settled: json(asked.map(({ settled = [] }) => settled)),
})

const advance = (session: Session, asked: ReadonlyArray<Advance>) => {
  const { ids, epochs, settled } = writes(asked)
  return session.rows(
    `select n, (answer).outcome, (answer).state, (answer).step_state, (answer).fence::int, (answer).seconds_left > 0 as waits
    from ipam.advance_saga_batch($1, $2, $3, $4, $5, $6) order by n`,
    [
      ids,
      epochs,
      settled,
      list(asked.map(({ next }) => next)),
      list(asked.map(({ undo = false }) => String(undo))),
      list(asked.map(({ seconds }) => seconds)),
    ],
  )
}

const finish = (session: Session, asked: ReadonlyArray<Finish>) => {
  const { ids, epochs, settled } = writes(asked)
  return session.rows(
    `select n, (answer).outcome, (answer).state, (answer).result, (answer).error
    from ipam.finish_saga_batch($1, $2, $3, $4, $5, $6, $7) order by n`,
    [
      ids,
      list(asked.map(() => "default")),
      epochs,
      settled,
      list(asked.map(({ state }) => state)),
      list(asked.map(({ state, id }) => (state === "succeeded" ? JSON.stringify(id) : undefined))),
      list(asked.map(({ state, id }) => (state === "unwound" ? JSON.stringify(id) : undefined))),
    ],
  )
}

/** The id of a saga that the worker has, with epoch 1. */
const start = async () => {
  const id = randomUUID()
  await owner.rows(
    `select ipam.start_saga($1, 'default', 'Batched', 1, '{}', '{default}', '{instance}', array[$2], worker_id => $3::uuid)`,
    [id, id, worker],
  )
  return id
}
const steps = async (id: string) =>
  (
    await owner.rows(
      "select name, state, until is not null as sleeps from ipam.saga_step where operation_id = $1 order by ordinal",
      [id],
    )
  ).map(({ name, state, sleeps }) => `${String(name)} ${String(state)}${sleeps === true ? " sleeps" : ""}`)

let a: string
let b: string
let c: string

beforeEach(async () => {
  await owner.rows("select ipam.renew_lease($1, 'here', '{Batched}', '{1}', 3600)", [worker])
  a = await start()
  b = await start()
  c = await start()
})

describe("advance_saga_batch", () => {
  test("advances each saga, and refuses the one whose lease was lost", async () => {
    expect(
      await advance(first, [
        { id: c, next: "one", undo: true },
        { id: a, next: "sleep", seconds: 60 },
        { id: b, epoch: 2, next: "one" },
      ]),
    ).toEqual([
      { n: 1, outcome: "recorded", state: "pending", step_state: "begun", fence: 1, waits: null },
      { n: 2, outcome: "recorded", state: "pending", step_state: "begun", fence: 1, waits: true },
      { n: 3, outcome: "lease_lost", state: null, step_state: null, fence: null, waits: null },
    ])
    expect([await steps(a), await steps(b), await steps(c)]).toEqual([["sleep begun sleeps"], [], ["one begun"]])
  })

  test("writes two steps of one saga in the order given, and the same again changes nothing", async () => {
    await advance(first, [{ id: a, next: "one" }])
    const both = [
      { id: a, settled: [done("one")], next: "two" },
      { id: a, next: "three" },
      { id: b, next: "one" },
    ]
    const answers = await advance(first, both)
    expect(answers.map(({ outcome }) => outcome)).toEqual(["recorded", "recorded", "recorded"])
    expect(await steps(a)).toEqual(["one done", "two begun", "three begun"])
    expect(await advance(first, both)).toEqual(answers)
    expect(await steps(a)).toEqual(["one done", "two begun", "three begun"])
    expect(await steps(b)).toEqual(["one begun"])
  })

  test("writes nothing if one of the sagas stays locked", async () => {
    await owner.run("begin")
    await owner.rows("select from ipam.saga_run where operation_id = $1 for update", [b])
    await expect(
      advance(first, [
        { id: a, next: "one" },
        { id: b, next: "one" },
      ]),
    ).rejects.toMatchObject({ code: "55P03" })
    await owner.run("rollback")
    expect([await steps(a), await steps(b)]).toEqual([[], []])
  })
})

describe("finish_saga_batch", () => {
  test("ends each saga with its own result or error, and refuses the one whose lease was lost", async () => {
    await advance(first, [{ id: a, next: "one" }])
    const all = [
      { id: a, settled: [done("one")], state: "succeeded" },
      { id: b, state: "unwound" },
      { id: c, epoch: 2, state: "succeeded" },
    ]
    expect(await finish(first, all)).toEqual([
      { n: 1, outcome: "finished", state: "succeeded", result: a, error: null },
      { n: 2, outcome: "finished", state: "unwound", result: null, error: b },
      { n: 3, outcome: "lease_lost", state: "pending", result: null, error: null },
    ])
    expect(await steps(a)).toEqual(["one done"])
    expect((await finish(first, all)).map(({ outcome }) => outcome)).toEqual(["replayed", "replayed", "lease_lost"])
  })

  test("ends none of them if one cannot end so", async () => {
    await advance(first, [{ id: b, next: "one", undo: true }])
    await expect(
      finish(first, [
        { id: a, state: "succeeded" },
        { id: b, state: "unwound" },
      ]),
    ).rejects.toMatchObject({ code: "XX001" })
    const states = await owner.rows("select state from ipam.operation where operation_id = any ($1)", [list([a, b])])
    expect(states).toEqual([{ state: "pending" }, { state: "pending" }])
  })
})
