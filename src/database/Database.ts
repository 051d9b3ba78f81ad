/**
 * The one way to the database: a call is one statement in a transaction of its own, ended within a deadline, repeated where
 * that is safe, and answered with rows or with an error of the domain.
 *
 * Knows no statement but the ones that read the schema's version. Statements of several steps belong into functions of the
 * database; nothing here opens a transaction.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { Scope } from "effect/Scope"
import { InvalidInput } from "../domain/errors.ts"
import type { Contended, DatabaseUnavailable, SchemaTooNew, SchemaTooOld } from "../domain/errors.ts"
import type { Parameter, Row } from "./connection.ts"
import { failWith, mayRepeat, toFailure, type CallContext, type Failure } from "./outcome.ts"
import { makePool } from "./pool.ts"
import { resolveSettings, type DatabaseOptions } from "./settings.ts"
import { checkVersion, readVersion, versionIn, type SchemaVersion } from "./version.ts"

export type { Parameter, Row } from "./connection.ts"
export type { CallContext } from "./outcome.ts"
export type { DatabaseOptions } from "./settings.ts"

/** A statement that the library sends. */
export interface Statement {
  /** A constant: the server prepares each text once a connection. */
  readonly text: string
  /** Whether it may be sent again when nobody knows what became of it: it carries its key, or it writes nothing. */
  readonly repeatable: boolean
}

/** What any call may fail with, whatever it asks. */
export type DatabaseError = InvalidInput | Contended | DatabaseUnavailable
/** The schema does not fit this library; nothing was written. */
export type SchemaError = SchemaTooOld | SchemaTooNew

type Rows = ReadonlyArray<Row>

export class Database extends Context.Service<
  Database,
  {
    /**
     * The rows of one statement. Repeats it, with exponential pauses and jitter, as long as that is safe and the deadline
     * allows. The first call of a pool checks the schema's version, before anything else is sent. When the caller is
     * interrupted, the statement is cancelled and has ended on the server when this returns.
     */
    readonly query: (
      statement: Statement,
      parameters: ReadonlyArray<Parameter>,
      context: CallContext,
    ) => Effect.Effect<Rows, DatabaseError | SchemaError>
    /** The same, whatever the schema is. */
    readonly queryAnySchema: (
      statement: Statement,
      parameters: ReadonlyArray<Parameter>,
      context: CallContext,
    ) => Effect.Effect<Rows, DatabaseError>
    /** Several statements as one simple query, sent once; fails with what the server said. The text brings its own BEGIN and COMMIT. */
    readonly script: (text: string, timeoutMs: number) => Effect.Effect<void, Failure>
    /** The version of the schema; `undefined` when there is none. Fits or not. */
    readonly schemaVersion: Effect.Effect<SchemaVersion | undefined, DatabaseError>
    /** Checks the schema's version, once for all calls of this pool. */
    readonly checkSchema: Effect.Effect<void, DatabaseError | SchemaError>
    /** Asks the database for its schema's version now, and checks it. */
    readonly ping: Effect.Effect<void, DatabaseError | SchemaError>
  }
>()("saga-ipam/database/Database") {
  /** A pool for the scope of the layer. Opens no connection until the first call; fails on settings that cannot be used. */
  static readonly layer = (options: DatabaseOptions): Layer.Layer<Database, InvalidInput> =>
    Layer.effect(Database, make(options))
}

/** 25, 50, 100, ... ms, at most a second each and eight in all, each between 0.8 and 1.2 of that. */
const pauses = Schedule.min([Schedule.exponential("25 millis"), Schedule.spaced("1 second")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 8 }),
)

const make = Effect.fnUntraced(function* (
  options: DatabaseOptions,
): Effect.fn.Return<Database["Service"], InvalidInput, Scope> {
  const resolved = resolveSettings(options)
  if (Result.isFailure(resolved)) return yield* new InvalidInput({ field: "database", message: resolved.failure })
  const settings = resolved.success
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() => makePool(settings)),
    (opened) => Effect.promise(opened.close),
  )

  const send = (text: string, parameters: ReadonlyArray<Parameter> | undefined, timeoutMs: number) =>
    Effect.callback<Rows, Failure>((resume) => {
      const stop = pool.submit(text, parameters, timeoutMs, (cause, rows) => {
        resume(cause === undefined ? Effect.succeed(rows) : Effect.fail(toFailure(cause)))
      })
      return Effect.promise(stop)
    })

  const sendAgain = (
    statement: Statement,
    parameters: ReadonlyArray<Parameter>,
    clock: Clock.Clock,
    deadline: number,
  ) => {
    const leftMs = () => deadline - millisOf(clock)
    // A pause that does not fit in is not begun: what comes out then is the failure, not that time ran out.
    const schedule = pauses.pipe(
      Schedule.setInputType<Failure>(),
      Schedule.while(
        ({ input, duration }) => mayRepeat(input, statement.repeatable) && Duration.toMillis(duration) < leftMs(),
      ),
    )
    return Effect.retry(
      Effect.suspend(() => send(statement.text, parameters, Math.max(1, leftMs()))),
      schedule,
    ).pipe(Effect.mapError((failure): Failure => ({ ...failure, repeated: true })))
  }

  /** The first repetition comes at once: most often a connection was lost that had been idle. */
  const sendUntilAnswered = (statement: Statement, parameters: ReadonlyArray<Parameter>) =>
    Effect.clockWith((clock) => {
      const deadline = millisOf(clock) + settings.timeoutMs
      return Effect.catch(send(statement.text, parameters, settings.timeoutMs), (failure) =>
        mayRepeat(failure, statement.repeatable)
          ? sendAgain(statement, parameters, clock, deadline)
          : Effect.fail(failure),
      )
    })

  const queryAnySchema = (statement: Statement, parameters: ReadonlyArray<Parameter>, context: CallContext) =>
    Effect.catch(sendUntilAnswered(statement, parameters), (failure) => failWith(failure, context))

  const schemaVersion = versionIn(sendUntilAnswered(readVersion, []))

  let fits = false
  const checkSchema = Effect.suspend(() => (fits ? Effect.void : checkNow))
  const checkNow = Effect.flatMap(schemaVersion, (found) =>
    Result.match(checkVersion(found), {
      onFailure: (error) => Effect.fail(error),
      onSuccess: () =>
        Effect.sync(() => {
          fits = true
        }),
    }),
  )

  const query = (statement: Statement, parameters: ReadonlyArray<Parameter>, context: CallContext) =>
    fits
      ? checked(statement, parameters, context)
      : Effect.andThen(checkSchema, checked(statement, parameters, context))

  /** A function that is gone means that the schema was changed under us: the version says in which direction. */
  const checked = (statement: Statement, parameters: ReadonlyArray<Parameter>, context: CallContext) =>
    Effect.catch(
      sendUntilAnswered(statement, parameters),
      (failure): Effect.Effect<never, DatabaseError | SchemaError> =>
        failure.kind === "schema" ? Effect.andThen(checkNow, failWith(failure, context)) : failWith(failure, context),
    )

  return Database.of({
    query,
    queryAnySchema,
    script: (text, timeoutMs) => Effect.asVoid(send(text, undefined, timeoutMs)),
    schemaVersion,
    checkSchema,
    ping: Effect.withSpan(checkNow, "Database.ping"),
  })
})

const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
