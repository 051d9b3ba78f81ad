/** The methods of the services, as they follow from the declarations of their calls. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Call, Choice, RequestSchema, Sent } from "../contract/call.ts"
import type { IpamError } from "../errors/errors.ts"
import type { CallError, Database } from "../database/Database.ts"
import { method } from "./metrics.ts"

export type Query = (typeof Database.Service)["query"]

/** One that needs no request may be called without. */
type Asking<Encoded, Reply> =
  Partial<Encoded> extends Encoded ? (request?: Encoded) => Reply : (request: Encoded) => Reply

type Method<One, Extra> =
  One extends Call<infer S, infer A, infer E>
    ? Asking<S["Encoded"], Effect.Effect<A, E | Extra | CallError>>
    : One extends Choice<infer S, infer A, infer E>
      ? Asking<S["Encoded"], Effect.Effect<A, E | Extra | CallError>>
      : never

/** The methods of some calls. `Extra`: what those of that name may fail with besides. */
export type Methods<Calls, Extra = unknown> = {
  readonly [Name in keyof Calls]: Method<Calls[Name], Name extends keyof Extra ? Extra[Name] : never>
}

/** The error of a call's own refusals. */
export type RefusalOf<One> = One extends Sent<never, unknown, infer E> ? E : never

/** Makes a call: sends its statement, and reads the rows. */
export const sender =
  (query: Query) =>
  <Request, A, E>(sent: Sent<Request, A, E>, request: Request, waitSeconds?: number): Effect.Effect<A, E | CallError> =>
    Effect.flatMap(query(sent, sent.values(request, waitSeconds), sent.context(request)), (rows) =>
      Effect.fromResult(sent.answer.read(rows, request)),
    )

/** The method of one call: reads the input, makes the call, and is traced and timed under its name. */
const methodOf = <S extends RequestSchema, A, E extends IpamError>(
  query: Query,
  name: string,
  one: Call<S, A, E> | Choice<S, A, E>,
) => {
  const send = sender(query)
  const pick = "pick" in one ? one.pick : () => one
  return method(name, (input: unknown = {}): Effect.Effect<A, E | CallError> => {
    const request = one.decode(input)
    return Result.isSuccess(request) ? send(pick(request.success), request.success) : Effect.fail(request.failure)
  })
}

/** The methods of the calls of a service. */
export const methodsOf = <Calls>(query: Query, service: string, calls: Calls): Methods<Calls> => {
  // What each takes and gives is what `Methods` says, which a list of them has lost.
  const all = Object.entries(calls as object) as ReadonlyArray<
    readonly [string, Call<RequestSchema, unknown, IpamError> | Choice<RequestSchema, unknown, IpamError>]
  >
  const methods = all.map(([name, one]) => [name, methodOf(query, `${service}.${name}`, one)] as const)
  return Object.fromEntries(methods) as unknown as Methods<Calls>
}
