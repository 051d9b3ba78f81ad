/**
 * The only way to the database. A call is one statement in a transaction of its own: it ends within a deadline, is retried where
 * that is safe, and returns rows or an error of the library.
 *
 * Knows no statements of its own except those that read the schema version and the roles. Opens no transactions: what takes several
 * steps belongs in a function of the database.
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
import type { Batch, CallContext, Everywhere } from "../contract/call.ts"
import type { Parameter, Row } from "../contract/row.ts"
import { inline } from "./connection.ts"
import type { DatabaseError, Failure } from "../contract/sqlState.ts"
import { failWith, mayHaveExecuted, mayRepeat, toFailure } from "./failure.ts"
import { makePool, type Together } from "./connectionPool.ts"
import { resolveSettings, type DatabaseOptions } from "./settings.ts"
import { checkVersion, readVersion, versionIn, type SchemaVersion } from "./schemaVersion.ts"

export type { DatabaseError } from "../contract/sqlState.ts"
export type { DatabaseOptions } from "./settings.ts"

/** A statement of the library. */
export interface Statement {
  /** A constant: each connection prepares each text once. */
  readonly text: string
  /** Whether it is idempotent, by its request key or because it only reads: then it is sent again if its outcome is unknown. */
  readonly repeatable: boolean
  /** How it travels together with others. */
  readonly batch?: Pick<Batch<never>, "text" | "queueOf" | "join">
  /** The least time limit, in milliseconds, of a statement that reads much; the limit of other calls applies if it is longer. */
  readonly atLeastMs?: number
  /** Who answers it where it names no VRF; left out, the server of the VRF `default`. */
  readonly everywhere?: Everywhere
  /** The names of its parameters, where they are known. */
  readonly parameters?: ReadonlyArray<readonly [name: string, type: string]>
}

/** The database schema and this library do not fit each other; nothing was written. */
export type SchemaError = SchemaTooOld | SchemaTooNew

/** What every call may fail with besides its own refusals. */
export type CallError = DatabaseError | SchemaError

type Rows = ReadonlyArray<Row>

/** One server, as calls use it. */
export type Server = Database["Service"]

/** Servers, each a `Database` by itself. */
interface Servers {
  readonly all: ReadonlyArray<Server>
  readonly of: (vrf: string) => Server
}

export class Database extends Context.Service<
  Database,
  {
    /**
     * The rows of one statement. Retries with exponential, jittered pauses as long as that is safe and the deadline allows. The
     * first call checks the schema version before it sends anything else. If the caller is interrupted, the statement is
     * cancelled, and it has ended on the server when this returns; one that was sent together with others runs on.
     */
    readonly query: (
      statement: Statement,
      parameters: ReadonlyArray<Parameter>,
      context: CallContext,
    ) => Effect.Effect<Rows, DatabaseError | SchemaError>
    /** As `query`, but without checking the schema version. */
    readonly queryAnySchema: (
      statement: Statement,
      parameters: ReadonlyArray<Parameter>,
      context: CallContext,
    ) => Effect.Effect<Rows, DatabaseError>
    /** Sends several statements once, as one simple query; the text has its own BEGIN and COMMIT. `timeoutMs` in milliseconds. */
    readonly script: (text: string, timeoutMs: number) => Effect.Effect<void, Failure>
    /** The schema version, whether it fits this library or not; `undefined` if there is no schema. */
    readonly schemaVersion: Effect.Effect<SchemaVersion | undefined, DatabaseError>
    /** Checks the schema version, unless a call has found it to fit before. */
    readonly checkSchema: Effect.Effect<void, DatabaseError | SchemaError>
    /** Reads and checks the schema version now: proves that the database answers. */
    readonly ping: Effect.Effect<void, DatabaseError | SchemaError>
    /** Whether calls may be part of a caller's transaction: there, a failed statement aborts the transaction, and a retry is useless. */
    readonly inTransactions: boolean
    /** The servers behind it, where VRFs have servers of their own. */
    readonly servers?: Servers | undefined
  }
>()("saga-ipam/database/Database") {
  /** A connection pool for the scope of the layer. Connects at the first call; fails if the settings cannot be used. */
  static readonly layer = (options: DatabaseOptions): Layer.Layer<Database, InvalidInput> =>
    Layer.effect(Database, make(options))
}

/** Eight pauses of 25, 50, 100, ... ms, each at most a second, each varied by up to 20 %. */
const pauses = Schedule.min([Schedule.exponential("25 millis"), Schedule.spaced("1 second")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 8 }),
)

/** The least privileged role that may execute the function $1; no row if the current role may execute it, too. */
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

  const send = (
    text: string,
    parameters: ReadonlyArray<Parameter> | undefined,
    timeoutMs: number,
    together?: Together,
  ) =>
    Effect.callback<Rows, Failure>((resume) => {
      const done = (cause: unknown, rows: Rows) => {
        resume(cause === undefined ? Effect.succeed(rows) : Effect.fail(toFailure(cause)))
      }
      return Effect.promise(pool.submit(text, parameters, timeoutMs, done, together))
    })

  const togetherOf = (statement: Statement, parameters: ReadonlyArray<Parameter>): Together | undefined => {
    if (statement.batch === undefined || !settings.batch) return undefined
    const { text, join, queueOf } = statement.batch
    const queue = queueOf(parameters)
    return queue === undefined ? undefined : { queue, text, join }
  }

  /** A limit longer than that of the connection is sent along, which takes a simple query. */
  const sendOnce = (statement: Statement, parameters: ReadonlyArray<Parameter>, limitMs: number) =>
    limitMs > settings.timeoutMs
      ? send(`set local statement_timeout = ${limitMs}; ${inline(statement.text, parameters)}`, undefined, limitMs)
      : send(statement.text, parameters, limitMs, togetherOf(statement, parameters))

  const sendRepeatedly = (
    first: Failure,
    statement: Statement,
    parameters: ReadonlyArray<Parameter>,
    clock: Clock.Clock,
    deadline: number,
  ) => {
    const leftMs = () => deadline - millisOf(clock)
    // No pause is begun that would end after the deadline: the failure is reported rather than a timeout.
    const schedule = pauses.pipe(
      Schedule.setInputType<Failure>(),
      Schedule.while(
        ({ input, duration }) => mayRepeat(input, statement.repeatable) && Duration.toMillis(duration) < leftMs(),
      ),
    )
    let earlierMayHaveExecuted = mayHaveExecuted(first)
    return Effect.suspend(() => sendOnce(statement, parameters, Math.max(1, leftMs()))).pipe(
      Effect.mapError((failure): Failure => {
        const reported = earlierMayHaveExecuted ? ({ ...failure, earlierMayHaveExecuted } as const) : failure
        earlierMayHaveExecuted ||= mayHaveExecuted(failure)
        return reported
      }),
      Effect.retry(schedule),
    )
  }

  /** The first retry comes without a pause: most often, an idle connection had been lost. */
  const sendUntilAnswered = (statement: Statement, parameters: ReadonlyArray<Parameter>) =>
    Effect.clockWith((clock) => {
      const limitMs = Math.max(settings.timeoutMs, statement.atLeastMs ?? 0)
      const deadline = millisOf(clock) + limitMs
      return Effect.catch(sendOnce(statement, parameters, limitMs), (failure) =>
        mayRepeat(failure, statement.repeatable)
          ? sendRepeatedly(failure, statement, parameters, clock, deadline)
          : Effect.fail(failure),
      )
    })

  /** If a grant is missing, the error names the role to grant, which every role can read from the catalog. */
  const fail = (failure: Failure, context: CallContext) =>
    failure.kind === "not_permitted"
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

  let schemaFits = false
  const checkNow = (context: CallContext) =>
    Effect.flatMap(schemaVersion(context), (found) =>
      Result.match(checkVersion(found), {
        onFailure: (error) => Effect.fail(error),
        onSuccess: () =>
          Effect.sync(() => {
            schemaFits = true
          }),
      }),
    )

  const query = (statement: Statement, parameters: ReadonlyArray<Parameter>, context: CallContext) =>
    schemaFits
      ? checked(statement, parameters, context)
      : Effect.andThen(checkNow(context), checked(statement, parameters, context))

  /** A missing function means that the schema has changed since it was checked: the version says whether it is older or newer. */
  const checked = (statement: Statement, parameters: ReadonlyArray<Parameter>, context: CallContext) =>
    Effect.catch(
      sendUntilAnswered(statement, parameters),
      (failure): Effect.Effect<never, DatabaseError | SchemaError> =>
        failure.kind === "schema_mismatch"
          ? Effect.andThen(checkNow(context), failWith(failure, context))
          : fail(failure, context),
    )

  return Database.of({
    query,
    queryAnySchema,
    script: (text, timeoutMs) => Effect.asVoid(send(text, undefined, timeoutMs)),
    schemaVersion: schemaVersion({ call: "migrate" }),
    checkSchema: Effect.suspend(() => (schemaFits ? Effect.void : checkNow({ call: "connect" }))),
    ping: Effect.withSpan(checkNow({ call: "ping" }), "Database.ping"),
    inTransactions: false,
  })
})

const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
