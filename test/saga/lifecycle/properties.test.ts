/**
 * Whatever a saga is made of and whatever its calls meet with: what is held is what the sagas that succeeded allocated, and calls of
 * theirs that arrive late change nothing. One saga executes the plan of its payload, several at once, over a pool too small for all.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Allocator } from "../../../src/services/Allocator.ts"
import { DatabaseUnavailable } from "../../../src/errors/errors.ts"
import { layer } from "../../../src/layer.ts"
import { allocateStep } from "../../../src/saga/allocateStep.ts"
import * as Saga from "../../../src/saga/Saga.ts"
import { SagaWorker } from "../../../src/saga/SagaWorker.ts"
import { step } from "../../../src/saga/step.ts"
import { openWorld, type World } from "../world.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { step: Schema.String }) {}

/** What calls meet with. `fails`: so many attempts, before or after they had their effect; `copies`: sent again, now and late. */
const Trouble = Schema.Struct({
  fails: Schema.Int,
  lost: Schema.Boolean,
  twice: Schema.Boolean,
  late: Schema.Boolean,
})
const Step = Schema.Struct({
  /** How many addresses it allocates; 0 is a step that does something else. */
  slots: Schema.Int,
  /** For good, so that the saga unwinds. Only a step without addresses can. */
  refuses: Schema.Boolean,
  forward: Trouble,
  back: Trouble,
})
type Trouble = typeof Trouble.Type

const Planned = Saga.make("Planned", {
  payload: { request: Schema.String, steps: Schema.Array(Step) },
  idempotencyKey: ({ request }) => request,
  targets: ({ request }) => [{ kind: "planned", id: request }],
  success: Schema.Array(Schema.String),
  error: Refused,
})
type Plan = Parameters<typeof Planned.execute>[0]

const POOL = 5

/** By saga and step: what was done, and how often it was undone after that. */
const done = new Map<string, { did: number; undid: number }>()
const late: Array<Effect.Effect<unknown, unknown>> = []

/** A call as the network may treat it. What fails is what an outage fails with, so that it is repeated with the same key. */
const troubled = <A, E, R>(
  call: Effect.Effect<A, E, R>,
  { fails, lost, twice, late: isLate }: Trouble,
  keep: (call: Effect.Effect<A, E, R>) => void,
) => {
  let attempts = 0
  return Effect.suspend((): Effect.Effect<A, E | DatabaseUnavailable, R> => {
    attempts += 1
    if (attempts === 1 && isLate) keep(call)
    const sent = twice ? Effect.map(Effect.all([call, call], { concurrency: 2 }), ([, second]) => second) : call
    if (attempts > fails) return sent
    const failed = Effect.fail(new DatabaseUnavailable({ call: "allocate", reason: "cut by the test" }))
    return lost ? Effect.andThen(Effect.exit(sent), failed) : failed
  })
}

const plans = new Map<string, Plan>()
const ids = new Map<string, string>()

/** The allocator of the sagas: every allocation meets the trouble of the step that it is of. */
const troubledAllocator = Layer.effect(
  Allocator,
  Effect.map(Allocator, (real) => {
    const calls = new Map<string, ReturnType<typeof real.allocateMany>>()
    return Allocator.of({
      ...real,
      allocateMany: (request) => {
        const plan = plans.get(ids.get(request.requestId) ?? "")
        const trouble = plan?.steps[Number(request.slots[0]?.slot?.split("/")[0])]?.forward
        const call = real.allocateMany(request)
        if (trouble === undefined) return call
        // The attempts at one call are counted together.
        const key = JSON.stringify(request)
        const known = calls.get(key) ?? troubled(call, trouble, (sent) => late.push(sent))
        calls.set(key, known)
        return known
      },
    })
  }),
)

const PlannedLive = Planned.toLayer(
  Effect.fnUntraced(function* ({ request, steps }) {
    const addresses: Array<string> = []
    for (const [number, { slots, refuses, forward, back }] of steps.entries()) {
      const name = String(number)
      if (slots > 0) {
        const taken = yield* allocateStep(name, {
          slots: Array.from({ length: slots }, (_, slot) => ({ slot: String(slot), pool: "v4" })),
        })
        addresses.push(...taken.map(({ address }) => address))
        continue
      }
      const key = `${request} ${name}`
      const count = (what: "did" | "undid") =>
        Effect.sync(() => {
          const counts = done.get(key) ?? { did: 0, undid: 0 }
          counts[what] += 1
          done.set(key, counts)
        })
      const act = Effect.andThen(count("did"), refuses ? Effect.fail(new Refused({ step: name })) : Effect.void)
      yield* step(name, {
        do: troubled(act, { ...forward, late: false }, () => undefined),
        undo: troubled(count("undid"), { ...back, late: false }, () => undefined),
        error: Schema.Union([Refused, DatabaseUnavailable]),
      })
    }
    return addresses
  }),
).pipe(Layer.provide(troubledAllocator))

let world: World
const makeWorker = () =>
  ManagedRuntime.make(
    PlannedLive.pipe(Layer.provideMerge(SagaWorker.layer()), Layer.provideMerge(layer({ url: world.database.url() }))),
  )
let worker: ReturnType<typeof makeWorker>

beforeAll(async () => {
  world = await openWorld([`10.0.0.0-10.0.0.${POOL - 1}`, "fd00::/64", "192.0.2.0/24"])
  worker = makeWorker()
})
afterAll(async () => {
  await worker?.dispose()
  await world?.close()
})

const trouble = fc.record({
  fails: fc.constantFrom(0, 0, 0, 1, 2),
  lost: fc.boolean(),
  twice: fc.boolean(),
  late: fc.boolean(),
})
const allocating = fc.record({
  slots: fc.constantFrom(1, 1, 2),
  refuses: fc.constant(false),
  forward: trouble,
  back: trouble,
})
const doing = fc.record({ slots: fc.constant(0), refuses: fc.boolean(), forward: trouble, back: trouble })
const steps = fc.array(fc.oneof({ weight: 3, arbitrary: allocating }, doing), { minLength: 1, maxLength: 6 })
const sagas = fc.array(fc.record({ steps }), { minLength: 1, maxLength: 4 })

const heldText = `select request_id, host(unit) as address, generation::text, confirmed_at is not null and expires_at is null as confirmed
  from ipam.allocation where released_at is null order by unit`

let run = 0
const ends = { succeeded: 0, Refused: 0, PoolExhausted: 0, late: 0 }

test("what is held is what the sagas that succeeded allocated, whatever their calls met with", async () => {
  await fc.assert(
    fc.asyncProperty(sagas, async (generated) => {
      run += 1
      // Also what a run left that failed: a smaller one of it must begin with an empty pool.
      for (const { request_id: requestId } of await world.session.rows(heldText)) {
        await worker.runPromise(Allocator.use((allocator) => allocator.releaseAll({ requestId: String(requestId) })))
      }
      late.length = 0
      const asked = await Promise.all(
        generated.map(async (plan, number) => {
          const payload: Plan = { request: `${run}-${number}`, ...plan }
          const operationId = Planned.operationIdFor(payload)
          plans.set(payload.request, payload)
          ids.set(operationId, payload.request)
          return { payload, operationId }
        }),
      )
      const answers = await Promise.all(
        asked.map(async ({ payload, operationId }) => {
          const exit = await worker.runPromise(Effect.exit(Planned.execute(payload)))
          return { payload, operationId, exit }
        }),
      )
      const operations = await world.session.rows(
        "select operation_id, state, result, error ->> '_tag' as tag from ipam.operation",
      )
      const held = await world.session.rows(heldText)
      let total = 0
      for (const { payload, operationId, exit } of answers) {
        const mine = held.filter((row) => row["request_id"] === operationId)
        const known = operations.find((row) => row["operation_id"] === operationId)
        const refuses = payload.steps.some((one) => one.refuses)
        if (Exit.isSuccess(exit)) {
          ends.succeeded += 1
          total += exit.value.length
          expect(refuses).toBe(false)
          expect(exit.value).toHaveLength(payload.steps.reduce((sum, { slots }) => sum + slots, 0))
          expect(known).toMatchObject({ state: "succeeded", result: exit.value })
          expect(mine.map((row) => row["address"])).toEqual([...exit.value].toSorted())
          expect(mine.every((row) => row["confirmed"])).toBe(true)
        } else {
          const tag = String(known?.["tag"])
          expect(["Refused", "PoolExhausted"]).toContain(tag)
          ends[tag as "Refused"] += 1
          if (tag === "Refused") expect(refuses).toBe(true)
          expect(known).toMatchObject({ state: "unwound" })
          expect(String(exit.cause)).toContain(tag)
          expect(mine).toEqual([])
        }
        for (const number of payload.steps.keys()) {
          const counts = done.get(`${payload.request} ${number}`)
          if (counts !== undefined) expect(counts.undid > 0).toBe(Exit.isFailure(exit))
        }
      }
      expect(held).toHaveLength(total)

      ends.late += late.length
      for (const call of late) await Effect.runPromise(Effect.exit(call))
      expect(await world.session.rows(heldText)).toEqual(held)
      const [counted] = await world.session.rows("select sum(held)::int as held from ipam.pool_counter")
      expect(counted?.["held"]).toBe(total)
      expect(await world.doctor()).toEqual([])
    }),
    { numRuns: 20 },
  )
  console.info(ends)
  for (const [end, times] of Object.entries(ends)) expect(times, end).toBeGreaterThan(0)
})
