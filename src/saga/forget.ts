/** Deletes what the engine keeps of executions that have ended: their messages and replies. */
import * as Effect from "effect/Effect"
import { arrayLiteral } from "../contract/row.ts"
import { Database, type Statement } from "../database/Database.ts"
import { MESSAGES, REPLIES } from "./engineTables.ts"

const exists: Statement = { text: `select to_regclass('${MESSAGES}') is not null as found`, repeatable: true }
const forget: Statement = {
  text: `with gone as (delete from ${MESSAGES} where entity_id = any ($1::text[]) returning request_id)
delete from ${REPLIES} where request_id in (select request_id from gone)`,
  repeatable: true,
}

/** For `Operations.prune`. A database that never had the engine has nothing to forget. */
export const forgetExecutions = (executionIds: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { query } = yield* Database
    const context = { call: "forget_executions" }
    const [row] = yield* query(exists, [], context)
    if (row?.["found"] === true) yield* query(forget, [arrayLiteral(executionIds)], context)
  })
