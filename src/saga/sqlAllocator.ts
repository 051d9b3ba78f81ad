/**
 * The allocator and the ledger over Effect's `SqlClient`: within a transaction of that client, their calls are part of it.
 *
 * So an activity that is annotated `ClusterSchema.WithTransaction`, on the `SqlClient` of `workerLayer`, commits what it
 * allocates together with the engine's record of its answer, and with whatever else it writes to this database.
 *
 * ```ts
 * Activity.make({ name: "nic", success: Allocation, error: IpamError, execute: allOrNothing(
 *   Allocator.use((allocator) => allocator.allocate({ pool: "web", requestId })),
 * ) }).annotate(ClusterSchema.WithTransaction, true)
 * ```
 *
 * A call is sent once, whatever comes of it: a transaction that was broken stays broken. Nothing here has a deadline of its own;
 * the functions of the database bound their waits.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Allocator } from "../services/Allocator.ts"
import type { CallContext } from "../contract/call.ts"
import type { Parameter, Row } from "../contract/row.ts"
import { Database, type CallError, type Statement } from "../database/Database.ts"
import type { Failure } from "../contract/sqlState.ts"
import { failWith, toFailure } from "../database/failure.ts"
import { checkVersion, readVersion, versionIn } from "../database/schemaVersion.ts"
import { isRepeatable } from "../errors/errorFacts.ts"
import { Operations } from "../services/Operations.ts"

/**
 * Does all of a body of a transactional activity, or nothing of it.
 *
 * The engine records the failure of an activity as its answer, and commits the transaction that holds it: without this, what
 * the activity did before it failed would stay. After an error that may be repeated the transaction is given up instead,
 * and the engine does the activity again. Dies outside of a transaction.
 */
export const allOrNothing = <A, E, R>(body: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | SqlClient> =>
  Effect.flatMap(SqlClient, (sql) => {
    const run = (text: string) => Effect.orDie(sql.unsafe(text))
    return Effect.uninterruptibleMask((restore) =>
      Effect.andThen(
        run("savepoint ipam_activity"),
        Effect.onExit(restore(body), (exit) => {
          if (Exit.isSuccess(exit)) return Effect.void
          return mustRepeat(exit.cause)
            ? Effect.ignore(sql.unsafe(breaking))
            : run("rollback to savepoint ipam_activity")
        }),
      ),
    )
  })

/** Breaks a transaction that is not broken yet, so that no answer can be recorded in it. */
const breaking = "do $$ begin raise exception 'the activity is done again'; end $$"

const mustRepeat = (cause: Cause.Cause<unknown>): boolean => Option.exists(Cause.findErrorOption(cause), isRepeatable)

const noScript = new Error("A script brings its own transaction, which has no place in one of SqlClient")

const makeDatabase = Effect.gen(function* () {
  const client = yield* SqlClient
  const sql = client.withoutTransforms()

  const send = (
    { text }: Statement,
    parameters: ReadonlyArray<Parameter>,
  ): Effect.Effect<ReadonlyArray<Row>, Failure> =>
    sql.unsafe<Row>(text, parameters).pipe(
      Effect.map((rows) => rows.map(asOurs)),
      Effect.mapError(failureOf),
    )

  const queryAnySchema = (statement: Statement, parameters: ReadonlyArray<Parameter>, context: CallContext) =>
    Effect.catch(send(statement, parameters), (failure) => failWith(failure, context))

  const schemaVersion = versionIn(send(readVersion, []), (failure) => failWith(failure, { call: "connect" }))
  const checkSchema = Effect.flatMap(schemaVersion, (found) => Effect.asVoid(Effect.fromResult(checkVersion(found))))

  /** A function that is gone means that the schema was changed under us. In a broken transaction nobody can ask how. */
  const query = (statement: Statement, parameters: ReadonlyArray<Parameter>, context: CallContext) =>
    Effect.catch(send(statement, parameters), (failure): Effect.Effect<never, CallError> => {
      const failed = failWith(failure, context)
      if (failure.kind !== "schema_mismatch") return failed
      return Effect.flatMap(Effect.serviceOption(sql.transactionService), (transaction) =>
        Option.isSome(transaction) ? failed : Effect.andThen(checkSchema, failed),
      )
    })

  yield* checkSchema
  return Database.of({
    query,
    queryAnySchema,
    script: () => Effect.die(noScript),
    schemaVersion,
    checkSchema,
    ping: checkSchema,
    inTransactions: true,
  })
})

/**
 * `Allocator` and `Operations` on a `SqlClient` of `@effect/sql-pg`. Within one of its transactions they write nothing that
 * it does not commit; outside of one, each call is a transaction of its own.
 *
 * Fails when the schema does not fit. `Contended` within a transaction: the transaction is broken, and all of it is to be done again.
 */
export const sqlAllocatorLayer: Layer.Layer<Allocator | Operations, CallError, SqlClient> = Layer.fresh(
  Layer.mergeAll(Allocator.layer, Operations.layer).pipe(Layer.provide(Layer.effect(Database, makeDatabase))),
)

/** As our own driver gives a row: int8 and times as text. */
const asOurs = (row: Row): Row => {
  const ours: Record<string, unknown> = {}
  for (const [column, value] of Object.entries(row)) {
    ours[column] = typeof value === "bigint" ? String(value) : value instanceof Date ? value.toISOString() : value
  }
  return ours
}

const failureOf = ({ reason }: SqlError): Failure => {
  const { cause } = reason
  const fields = cause instanceof Error && "severity" in cause && "code" in cause ? cause : undefined
  const state = typeof fields?.code === "string" ? fields.code : undefined
  const failure = toFailure(cause, state)
  // A call in a transaction that another statement has broken: nothing is written, and it passes with the transaction.
  if (state === "25P02") return { ...failure, kind: "conflict" }
  // Neither the server nor the network: a value that the driver could not read or write.
  return state === undefined && reason._tag === "UnknownError" ? { ...failure, kind: "bug" } : failure
}
