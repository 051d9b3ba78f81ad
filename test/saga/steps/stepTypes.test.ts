/** What a step requires, wherever it stands. Checked by `npm run types`: at run time, expectations on types always hold. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { describe, expectTypeOf, test } from "vitest"
import type { Allocator } from "../../../src/services/Allocator.ts"
import { allocateStep, type CurrentRun, Saga, type SagaWorker, sleep, step } from "../../../src/saga/index.ts"

class Doing extends Context.Service<Doing, { readonly now: number }>()("test/Doing") {}
class Undoing extends Context.Service<Undoing, { readonly now: number }>()("test/Undoing") {}
type NicError = Effect.Error<ReturnType<Allocator["Service"]["allocateMany"]>>
class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}

const bare = () => step("bare", { do: Effect.void })
const typed = () =>
  step("typed", {
    do: Effect.flatMap(Doing, ({ now }) => (now > 0 ? Effect.succeed(now) : Effect.fail(new Broken()))),
    success: Schema.Number,
    error: Broken,
  })
const undone = () => step("undone", { do: Effect.asVoid(Doing), undo: Undoing })

const Create = Saga.make("Create", {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }) => id,
  targets: ({ id }) => [{ kind: "thing", id }],
  error: Broken,
})

describe("a step requires what it does and what it undoes require, and a run", () => {
  test("when it is hoisted", () => {
    expectTypeOf(bare).returns.toEqualTypeOf<Effect.Effect<void, never, CurrentRun>>()
    expectTypeOf(typed).returns.toEqualTypeOf<Effect.Effect<number, Broken, Doing | CurrentRun>>()
    expectTypeOf(undone).returns.toEqualTypeOf<Effect.Effect<void, never, Doing | Undoing | CurrentRun>>()
  })

  test("among the arguments of Effect.all and Effect.forEach", () => {
    const all = Effect.all([
      step("a", { do: Effect.void }),
      step("b", { do: Effect.asVoid(Doing) }),
      step("c", { do: Effect.succeed(1), success: Schema.Number }),
      step("d", { do: Effect.fail(new Broken()), error: Broken }),
      step("e", { do: Effect.void, undo: Undoing }),
    ])
    expectTypeOf(all).toEqualTypeOf<
      Effect.Effect<[void, void, number, void, void], Broken, Doing | Undoing | CurrentRun>
    >()
    const each = Effect.forEach(["a", "b"], (name) => step(name, { do: Effect.asVoid(Doing) }))
    expectTypeOf(each).toEqualTypeOf<Effect.Effect<Array<void>, never, Doing | CurrentRun>>()
  })

  test("among the steps of this library", () => {
    const all = Effect.all([allocateStep("nic", { slots: [] }), sleep("a while", 1)], { discard: true })
    expectTypeOf(all).toEqualTypeOf<Effect.Effect<void, NicError, Allocator | CurrentRun>>()
  })

  test("in the body of a saga, whose layer requires no more than that and a worker", () => {
    const plain = Create.toLayer(
      Effect.fnUntraced(function* () {
        yield* step("a", { do: Effect.void })
        yield* step("b", { do: Effect.asVoid(Doing), undo: Undoing })
      }),
    )
    expectTypeOf(plain).toEqualTypeOf<Layer.Layer<never, never, SagaWorker | Doing | Undoing>>()

    const parallel = Create.toLayer(
      Effect.fnUntraced(function* () {
        yield* Effect.all([step("a", { do: Effect.void }), step("b", { do: Effect.void })])
        yield* Effect.forEach(["c"], (name) => step(name, { do: Effect.void, undo: Undoing }))
      }),
    )
    expectTypeOf(parallel).toEqualTypeOf<Layer.Layer<never, never, SagaWorker | Undoing>>()
  })
})
