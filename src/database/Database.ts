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
import { InvalidInput } from "../errors/errors.ts"
import type { SchemaTooNew, SchemaTooOld } from "../errors/errors.ts"
import { inline, type Parameter, type Row } from "./connection.ts"
import {
  failWith,
  isOpen,
  mayRepeat,
  toFailure,
  type CallContext,
  type DatabaseError,
  type Failure,
} from "./outcome.ts"
import { makePool } from "./pool.ts"
import { resolveSettings, type DatabaseOptions } from "./settings.ts"
import { checkVersion, readVersion, versionIn, type SchemaVersion } from "./version.ts"

export type { Parameter, Row } from "./connection.ts"
export type { CallContext, DatabaseError } from "./outcome.ts"
export type { DatabaseOptions } from "./settings.ts"

/** A statement that the library sends. */
export interface Statement {
  /** A constant: the server prepares each text once a connection. */
  readonly text: string
  /** Whether it may be sent again when nobody knows what became of it: it carries its key, or it writes nothing. */
  readonly repeatable: boolean
  /** How long it may take, where that is longer than other calls may: what reads everything. */
  readonly atLeastMs?: number
}

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
    /** Whether calls may be part of a caller's transaction, which is broken by one that fails, so that nothing can be tried again. */
    readonly inTransactions: boolean
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

/** The least role that may make the call $1, where it is the call itself that the current role may not make. */
const findRole: Statement = {
  text: `select r.rolname as role
from unnest(array['ipam_reader', 'ipam_allocator', 'ipam_operator']) with ordinality wanted (name, n)
join pg_catalog.pg_roles r on r.rolname = wanted.name
join pg_catalog.pg_namespace s on s.nspname = 'ipam'
join pg_catalog.pg_proc p on p.pronamespace = s.oid and p.proname = $1
where has_function_privilege(r.oid, p.oid, 'execute') and has_schema_privilege(r.oid, s.oid, 'usage')
  and not (has_function_privilege(p.oid, 'execute') and has_schema_privilege(s.oid, 'usage'))
order by wanted.n limit 1`,
  repeatable: true,
}

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

  /** What may take longer than the server lets a statement of this connection brings its own limit, as one simple query. */
  const sendOnce = (statement: Statement, parameters: ReadonlyArray<Parameter>, limitMs: number) =>
    limitMs > settings.timeoutMs
      ? send(`set local statement_timeout = ${limitMs}; ${inline(statement.text, parameters)}`, undefined, limitMs)
      : send(statement.text, parameters, limitMs)

  const sendAgain = (
    first: Failure,
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
    let maybeDone = isOpen(first)
    return Effect.suspend(() => sendOnce(statement, parameters, Math.max(1, leftMs()))).pipe(
      Effect.mapError((failure): Failure => {
        const told = maybeDone ? ({ ...failure, maybeDone } as const) : failure
        maybeDone ||= isOpen(failure)
        return told
      }),
      Effect.retry(schedule),
    )
  }

  /** The first repetition comes at once: most often a connection was lost that had been idle. */
  const sendUntilAnswered = (statement: Statement, parameters: ReadonlyArray<Parameter>) =>
    Effect.clockWith((clock) => {
      const limitMs = Math.max(settings.timeoutMs, statement.atLeastMs ?? 0)
      const deadline = millisOf(clock) + limitMs
      return Effect.catch(sendOnce(statement, parameters, limitMs), (failure) =>
        mayRepeat(failure, statement.repeatable)
          ? sendAgain(failure, statement, parameters, clock, deadline)
          : Effect.fail(failure),
      )
    })

  /** A call that was refused for lack of a grant names the role that helps, which the catalog tells everybody. */
  const fail = (failure: Failure, context: CallContext) =>
    failure.kind === "forbidden"
      ? sendUntilAnswered(findRole, [context.call]).pipe(
          Effect.orElseSucceed((): Rows => []),
          Effect.flatMap(([row]) =>
            failWith({ ...failure, role: row === undefined ? undefined : String(row["role"]) }, context),
          ),
        )
      : failWith(failure, context)

  const queryAnySchema = (statement: Statement, parameters: ReadonlyArray<Parameter>, context: CallContext) =>
    Effect.catch(sendUntilAnswered(statement, parameters), (failure) => fail(failure, context))

  const schemaVersion = (context: CallContext) =>
    versionIn(sendUntilAnswered(readVersion, []), (failure) => fail(failure, context))

  let fits = false
  const checkNow = (context: CallContext) =>
    Effect.flatMap(schemaVersion(context), (found) =>
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
      : Effect.andThen(checkNow(context), checked(statement, parameters, context))

  /** A function that is gone means that the schema was changed under us: the version says in which direction. */
  const checked = (statement: Statement, parameters: ReadonlyArray<Parameter>, context: CallContext) =>
    Effect.catch(
      sendUntilAnswered(statement, parameters),
      (failure): Effect.Effect<never, DatabaseError | SchemaError> =>
        failure.kind === "schema"
          ? Effect.andThen(checkNow(context), failWith(failure, context))
          : fail(failure, context),
    )

  return Database.of({
    query,
    queryAnySchema,
    script: (text, timeoutMs) => Effect.asVoid(send(text, undefined, timeoutMs)),
    schemaVersion: schemaVersion({ call: "migrate" }),
    checkSchema: Effect.suspend(() => (fits ? Effect.void : checkNow({ call: "connect" }))),
    ping: Effect.withSpan(checkNow({ call: "ping" }), "Database.ping"),
    inTransactions: false,
  })
})

const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
