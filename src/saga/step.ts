/**
 * A step of a saga: something to do, and how to undo it.
 *
 * Both may run more than once, and a late `do` may arrive after its `undo`: what they call must be idempotent by a key, and refuse a
 * `do` after an `undo` of that key, or one with a smaller fence. `checkStep` tests a step on all of this. The allocator's calls are such.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { isRepeatable } from "../errors/errorFacts.ts"
import type { PlainSchema } from "../services/defineOperation.ts"
import { CurrentRun, type StepContext } from "./run.ts"

/** What a step does: an effect, or a function of the key, the fence and the signal of the attempt. */
type Work<A, E, R> = Effect.Effect<A, E, R> | ((context: StepContext) => Effect.Effect<A, E, R>)

/** What a step is made of. `Success` and `Failure` are stored with the saga, so they are frozen once released. */
export interface StepOptions<Success extends PlainSchema, Failure extends PlainSchema, R, R2> {
  readonly do: Work<Success["Type"], Failure["Type"], R>
  /** Undoes whatever `do` did, may yet do, or never did. It is repeated until it succeeds, so a failure means: not yet. */
  readonly undo?: Work<unknown, unknown, R2> | undefined
  /** What `do` succeeds with: at most 1 MiB as JSON. */
  readonly success?: Success | undefined
  readonly error?: Failure | undefined
  /** Whether `do` is repeated after this error rather than failed. Default: as `isRepeatable` says. */
  readonly repeat?: ((error: Failure["Type"]) => boolean) | undefined
  /** For how long `do` is repeated before its error counts. Default 10 minutes. */
  readonly repeatFor?: Duration.Input | undefined
}

const codingOf = <S extends PlainSchema>(schema: S) => {
  const codec = Schema.toCodecJson(schema)
  const encode = Schema.encodeEffect(codec)
  const decode = Schema.decodeUnknownEffect(codec)
  return {
    encode: (value: S["Type"]): Effect.Effect<Schema.Json> =>
      Effect.map(Effect.orDie(encode(value)), (json) => json ?? null),
    decode: (json: unknown): Effect.Effect<S["Type"]> => Effect.orDie(decode(json)),
  }
}

/**
 * Does a step. A step that fails, or that the body interrupts, is undone before the body learns of it; one that was done is undone when
 * the saga unwinds.
 *
 * ```ts
 * const port = yield* step("port", {
 *   do: ({ key, fence }) => network.open(key, fence),
 *   undo: ({ key, fence }) => network.close(key, fence),
 *   success: Schema.String,
 *   error: NetworkError,
 * })
 * ```
 *
 * `name` is unique in its saga and frozen once released. A name that is used twice, a defect, and an error that the table of errors calls
 * `stop` or `stuck` leave the saga stuck: `saga resume` attempts the step again, `saga cancel` unwinds.
 */
export const step = <
  R = never,
  R2 = never,
  Success extends PlainSchema = typeof Schema.Void,
  Failure extends PlainSchema = typeof Schema.Never,
>(
  name: string,
  options: StepOptions<Success, Failure, R, R2>,
  // Among the arguments of `Effect.all`, what is not read from the options would else be inferred as the `any` asked for there.
): Effect.Effect<Success["Type"], Failure["Type"], NoInfer<R> | NoInfer<R2> | CurrentRun> =>
  Effect.gen(function* () {
    const run = yield* CurrentRun
    const services = yield* Effect.context<R | R2>()
    const providing =
      <A, E>(work: Work<A, E, R | R2>) =>
      (context: StepContext): Effect.Effect<A, E> =>
        Effect.provideContext(typeof work === "function" ? work(context) : work, services)
    return yield* run.step<Success["Type"], Failure["Type"]>({
      name,
      do: providing<Success["Type"], Failure["Type"]>(options.do),
      undo: options.undo === undefined ? undefined : providing(options.undo),
      result: codingOf(options.success ?? (Schema.Void as unknown as Success)),
      error: codingOf(options.error ?? (Schema.Never as unknown as Failure)),
      repeat: options.repeat ?? isRepeatable,
      repeatFor: options.repeatFor ?? "10 minutes",
    })
  })

/**
 * Waits, for any time: past a restart, and without holding a worker or a connection. The time begins when the step is first reached.
 *
 * What the body does beside steps while another branch of it sleeps may run again: it is run from its top when the time has come.
 */
export const sleep = (name: string, seconds: number): Effect.Effect<void, never, CurrentRun> =>
  Effect.flatMap(CurrentRun, (run) =>
    run.working(
      Effect.gen(function* () {
        yield* run.ask(name)
        const recorded = run.recorded.get(name)
        if (recorded?.settled === true) return
        if (run.unwinds) return yield* Effect.never
        const { secondsLeft } = recorded ?? (yield* run.begin(name, false, seconds))
        yield* run.waitFor(secondsLeft ?? seconds)
        run.settle({ name, state: "done" })
      }),
    ),
  )
