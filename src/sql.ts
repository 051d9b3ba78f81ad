/**
 * The calls as statements, for a connection and a transaction of your own, with any PostgreSQL client.
 *
 * ```ts
 * const allocate = calls.allocate.statement({ pool: "web", requestId })
 * const { rows } = await client.query(allocate.text, allocate.values)
 * const { address } = allocate.read(rows) // or throws what the call refuses, such as PoolExhausted
 * ```
 *
 * Every column comes as text, so that no type that a client is told to parse otherwise matters. A refusal is a row: it leaves the
 * transaction as it is. What the server raises instead ends the transaction; `readError` says what it means.
 */
import * as Result from "effect/Result"
import type { Call, Choice, RequestSchema, Sent } from "./contract/call.ts"
import { calls as declared } from "./contract/calls.ts"
import { rowFromText, type Parameter, type Row } from "./contract/row.ts"
import { kindOfSqlState, toDomainError } from "./contract/sqlState.ts"

export { isRepeatable } from "./errors/errorFacts.ts"
export * from "./errors/errors.ts"

/** One call, ready to be sent. Its functions need no `this`. */
export interface SqlStatement<Answer> {
  readonly text: string
  /** The parameters `$1`, `$2` and so on: text, numbers and booleans. */
  readonly values: ReadonlyArray<Parameter>
  /** The answer in the rows of the statement; throws the error that a refusal is. */
  readonly read: (rows: ReadonlyArray<Row>) => Answer
  /**
   * The error that an exception of the server means, told by its SQLSTATE. The same exception where it means nothing to this library, as
   * where the connection was lost: then nobody knows whether a commit took place, and the same transaction with the same keys tells.
   */
  readonly readError: (thrown: unknown) => unknown
}

export interface SqlOptions {
  /**
   * How long an allocate may wait for other transactions, in seconds, if every free address is in flight: 5 when left out. Your
   * connection, and what your transaction has locked, wait with it.
   */
  readonly waitSeconds?: number | undefined
}

/** The statement of a call. Throws `InvalidInput` for a request that breaks a rule. */
type Making<Encoded, Answer> =
  Partial<Encoded> extends Encoded
    ? (request?: Encoded, options?: SqlOptions) => SqlStatement<Answer>
    : (request: Encoded, options?: SqlOptions) => SqlStatement<Answer>

type SqlCall<One> =
  One extends Call<infer S, infer A, infer _>
    ? { readonly statement: Making<S["Encoded"], A> }
    : One extends Choice<infer S, infer A, infer _>
      ? { readonly statement: Making<S["Encoded"], A> }
      : never

const statementOf = <Request, A, E>(
  sent: Sent<Request, A, E>,
  request: Request,
  { waitSeconds }: SqlOptions,
): SqlStatement<A> => ({
  text: sent.asText,
  values: sent.values(request, waitSeconds),
  read: (rows) => {
    const answer = sent.answer.read(
      rows.map((row) => rowFromText(sent.answer.columns, row)),
      request,
    )
    if (Result.isSuccess(answer)) return answer.success
    throw answer.failure
  },
  readError: (thrown) => {
    const { code, severity, message } = Object(thrown) as Readonly<Record<string, unknown>>
    // Errors of Node have codes as well, but only those of the server a severity.
    if (typeof code !== "string" || typeof severity !== "string") return thrown
    const kind = kindOfSqlState(code, thrown)
    const role = kind === "not_permitted" ? `ipam_${sent.role}` : undefined
    return toDomainError({ kind, reason: String(message), code, cause: thrown, role }, sent.context(request)) ?? thrown
  },
})

const makeCall = <S extends RequestSchema, A, E>(one: Call<S, A, E> | Choice<S, A, E>) => ({
  statement: (input: unknown = {}, options: SqlOptions = {}): SqlStatement<A> => {
    const request = one.decode(input)
    if (Result.isFailure(request)) throw request.failure
    return statementOf("pick" in one ? one.pick(request.success) : one, request.success, options)
  },
})

const made = Object.entries(declared as object) as ReadonlyArray<
  readonly [string, Call<RequestSchema, unknown, unknown> | Choice<RequestSchema, unknown, unknown>]
>

/** Every call by its name. Lists give one page: `after` names the last of the page before. */
// What each takes and answers is what its declaration says, which a list of them has lost.
export const calls = Object.fromEntries(made.map(([name, one]) => [name, makeCall(one)])) as unknown as {
  readonly [Name in keyof typeof declared]: SqlCall<(typeof declared)[Name]>
}
