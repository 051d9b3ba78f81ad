/** The statements that a saga sends, one after another, as a test counts them or stands still at one. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Database } from "../../src/database/Database.ts"

/** The nth call of a function for one operation, counted from 1. */
export interface Statement {
  readonly call: string
  readonly nth: number
}

type Watch = (operationId: string, statement: Statement, phase: "before" | "after") => Effect.Effect<void>

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The database, with something to do before each statement of an operation is sent, and after it was committed, unknown to the caller. */
export const watchedDatabase = (watch: Watch): Layer.Layer<Database, never, Database> =>
  Layer.effect(
    Database,
    Effect.map(Database, (database) => {
      const counts = new Map<string, number>()
      return Database.of({
        ...database,
        query: (statement, parameters, context) =>
          Effect.suspend(() => {
            const named = parameters.find((one) => typeof one === "string" && uuid.test(one))
            const operationId = context.requestId ?? (context.call === "claim_sagas" ? undefined : named)
            if (typeof operationId !== "string") return database.query(statement, parameters, context)
            const key = `${operationId} ${context.call}`
            const nth = (counts.get(key) ?? 0) + 1
            counts.set(key, nth)
            const at = (phase: "before" | "after") => watch(operationId, { call: context.call, nth }, phase)
            return at("before").pipe(
              Effect.andThen(database.query(statement, parameters, context)),
              Effect.tap(() => at("after")),
            )
          }),
      })
    }),
  )
