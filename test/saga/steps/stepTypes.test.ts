/** What a step requires, wherever it stands. Checked by `npm run types`: at run time, expectations on types always hold. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { WorkflowEngine } from "effect/workflow/WorkflowEngine"
import { describe, expectTypeOf, test } from "vitest"
import type { Allocator } from "../../../src/services/Allocator.ts"
import type { IpamError } from "../../../src/errors/errors.ts"
import type { Operations } from "../../../src/services/Operations.ts"
import { allocateStep, confirmStep, Saga, step } from "../../../src/saga/index.ts"
import type { Engine } from "../../../src/saga/run.ts"

class Doing extends Context.Service<Doing, { readonly now: number }>()("test/Doing") {}
class Undoing extends Context.Service<Undoing, { readonly now: number }>()("test/Undoing") {}
type Ledger = Operations | WorkflowEngine
class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}

const bare = () => step("bare", { do: Effect.void })
const typed = () =>
  step("typed", {
    do: Effect.flatMap(Doing, ({ now }) => (now > 0 ? Effect.succeed(now) : Effect.fail(new Broken()))),
    success: Schema.Number,
    error: Broken,
  })
const undone = () => step("undone", { do: Effect.asVoid(Doing), undo: Undoing })

const Flow = Saga.make("Flow", {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }) => id,
  targets: ({ id }) => [{ kind: "thing", id }],
  error: Broken,
})

describe("a step requires what it does and what it undoes require, and the engine", () => {
  test("when it is hoisted", () => {
    expectTypeOf(bare).returns.toEqualTypeOf<Effect.Effect<void, never, Engine>>()
    expectTypeOf(typed).returns.toEqualTypeOf<Effect.Effect<number, Broken, Doing | Engine>>()
    expectTypeOf(undone).returns.toEqualTypeOf<Effect.Effect<void, never, Doing | Undoing | Engine>>()
  })

  test("among the arguments of Effect.all and Effect.forEach", () => {
    const all = Effect.all([
      step("a", { do: Effect.void }),
      step("b", { do: Effect.asVoid(Doing) }),
      step("c", { do: Effect.succeed(1), success: Schema.Number }),
      step("d", { do: Effect.fail(new Broken()), error: Broken }),
      step("e", { do: Effect.void, undo: Undoing }),
    ])
    expectTypeOf(all).toEqualTypeOf<Effect.Effect<[void, void, number, void, void], Broken, Doing | Undoing | Engine>>()
    const each = Effect.forEach(["a", "b"], (name) => step(name, { do: Effect.asVoid(Doing) }))
    expectTypeOf(each).toEqualTypeOf<Effect.Effect<Array<void>, never, Doing | Engine>>()
  })

  test("among the steps of this library", () => {
    const all = Effect.all([allocateStep("nic", { slots: [] }), confirmStep()], { discard: true })
    expectTypeOf(all).toEqualTypeOf<Effect.Effect<void, typeof IpamError.Type, Allocator | Engine>>()
  })

  test("in the body of a flow, whose layer requires no more than that and the ledger", () => {
    const plain = Flow.toLayer(
      Effect.fnUntraced(function* () {
        yield* step("a", { do: Effect.void })
        yield* step("b", { do: Effect.asVoid(Doing), undo: Undoing })
      }),
    )
    expectTypeOf(plain).toEqualTypeOf<Layer.Layer<never, never, Ledger | Doing | Undoing>>()

    const parallel = Flow.toLayer(
      Effect.fnUntraced(function* () {
        yield* Effect.all([step("a", { do: Effect.void }), step("b", { do: Effect.void })])
        yield* Effect.forEach(["c"], (name) => step(name, { do: Effect.void, undo: Undoing }))
      }),
    )
    expectTypeOf(parallel).toEqualTypeOf<Layer.Layer<never, never, Ledger | Undoing>>()
  })
})
