/**
 * How a call of the database API is declared: once, and everything that sends, reads, grants, tests or documents it follows from that.
 *
 * ```ts
 * const confirm = call("confirm", {
 *   role: "allocator",
 *   request: KeyRequest,
 *   parameters: { vrf: "text", request_id: "uuid", slot: "text" },
 *   answer: oneRow(
 *     answerColumns,
 *     byOutcome({ confirmed: gives(toAllocation), not_found: refuses(NotFound, (row, asked: AskedKey) => ({ ... })) }),
 *   ),
 * })
 * ```
 *
 * Pure: knows neither a driver nor a connection.
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { AmbiguousIdentity, type InvalidInput, type IpamError } from "../errors/errors.ts"
import { parseInput } from "./input.ts"
import { arrayLiteral, camelCase, onlyRow, textColumns, type Columns, type Parameter, type Row } from "./row.ts"

/** The least role that may make a call: an allocator may all that a reader may, and an operator all that an allocator may. */
export type Role = "reader" | "allocator" | "operator"

/** The types of parameters, as PostgreSQL calls them. */
export type ParameterType =
  | "text"
  | "uuid"
  | "inet"
  | "integer"
  | "bigint"
  | "double precision"
  | "boolean"
  | "jsonb"
  | "jsonb[]"
  | "boolean[]"
  | "integer[]"
  | "text[]"
  | "uuid[]"
  | "inet[]"
  | "bigint[]"
  | "double precision[]"

/** What a call was about, for its errors. `call` is the SQL function's name, e.g. `allocate`. */
export interface CallContext {
  readonly call: string
  readonly vrf?: string | undefined
  readonly pool?: string | undefined
  readonly requestId?: string | undefined
  readonly slot?: string | undefined
  /** What else it touches than its `vrf`. */
  readonly otherVrfs?: ReadonlyArray<string> | undefined
}

/**
 * Who answers a call that names no VRF, where VRFs are on several servers. A call that does not declare it is then about the VRF
 * `default`.
 */
export type Everywhere =
  /** Every server: the rows of all, in the order of the column `by`, and no more of them than a page where there are pages. */
  | { readonly kind: "all"; readonly by?: string }
  /** The same, of operations, by their sequence downwards. Each server has its own: a page ends behind all rows of one number. */
  | { readonly kind: "newest" }
  /** Whichever server has what is asked for, also while others do not answer. */
  | { readonly kind: "one"; readonly has: (rows: ReadonlyArray<Row>) => boolean }
  /** Each server by itself: a service makes the call on one after the other. */
  | { readonly kind: "apart" }

/** Each server by itself. */
export const apart = { kind: "apart" } as const

/** Every server, in the order of VRFs. */
export const byVrf = { kind: "all", by: "vrf" } as const

/** A class of errors. */
type ErrorClass = (new (fields: never) => IpamError) & { readonly identifier: string }

/** An outcome that is an answer. */
interface Given<Asked, A> {
  readonly kind: "value"
  readonly read: (row: Row, asked: Asked) => A
}
/** An outcome that is an error. */
export interface Refused<Asked, E> {
  readonly kind: "refusal"
  readonly error: ErrorClass
  readonly read: (row: Row, asked: Asked) => E
}
/** A slot that went without only because of a sibling: the error is the sibling's. */
interface Withheld {
  readonly kind: "withheld"
}

/** What each outcome becomes, by its name in the database. One that is not listed is a defect, and never a wrong answer. */
export type Outcomes = Readonly<
  Record<string, { readonly kind: "value" | "withheld" } | { readonly kind: "refusal"; readonly error: ErrorClass }>
>

type ValueIn<One> = One extends Given<never, infer A> ? A : never
type ErrorIn<One> = One extends Refused<never, infer E> ? E : never
/** What all readers of a table are told of the request: the intersection of what each needs. */
type AskedIn<One> = (
  One extends { readonly read: (row: Row, asked: infer Asked) => unknown } ? (asked: Asked) => void : never
) extends (asked: infer Asked) => void
  ? Asked
  : never

/** An outcome that is an answer, read from its row. */
export const gives = <A, Asked = unknown>(read: (row: Row, asked: Asked) => A): Given<Asked, A> => ({
  kind: "value",
  read,
})

/** An outcome that is an error of this class, with these fields. */
export const refuses = <C extends ErrorClass, Asked = unknown>(
  error: C,
  fields: (row: Row, asked: Asked) => ConstructorParameters<C>[0],
): Refused<Asked, InstanceType<C>> => ({
  kind: "refusal",
  error,
  // The class is what its instances are of, which the constraint of C hides.
  read: (row, asked) => new error(fields(row, asked)) as InstanceType<C>,
})

/** The outcome of a slot that was not refused for its own sake. */
export const withheld: Withheld = { kind: "withheld" }

/** Reads one row. */
interface RowReader<Asked, A, E> {
  readonly outcomes: Outcomes
  readonly read: (row: Row, asked: Asked) => Result.Result<A, E | "withheld">
}

/** Reads a row by its outcome, or by another column that says as much. */
export const byOutcome = <const Table extends Outcomes>(
  outcomes: Table,
  column = "outcome",
): RowReader<AskedIn<Table[keyof Table]>, ValueIn<Table[keyof Table]>, ErrorIn<Table[keyof Table]>> => {
  type One = Table[keyof Table]
  // Each reader gives and takes a part of what the table as a whole does.
  const table = new Map(Object.entries(outcomes)) as ReadonlyMap<
    string,
    Given<AskedIn<One>, ValueIn<One>> | Refused<AskedIn<One>, ErrorIn<One>> | Withheld
  >
  return {
    outcomes,
    read: (row, asked) => {
      const outcome = table.get(String(row[column]))
      switch (outcome?.kind) {
        case "value":
          return Result.succeed(outcome.read(row, asked))
        case "refusal":
          return Result.fail(outcome.read(row, asked))
        case "withheld":
          return Result.fail("withheld")
        case undefined:
          throw new Error(`The database answered an outcome that does not fit: ${String(row[column])}`)
      }
    },
  }
}

/** Reads a row that has no outcome. */
export const always = <A, Asked = unknown>(read: (row: Row, asked: Asked) => A): RowReader<Asked, A, never> => ({
  outcomes: {},
  read: (row, asked) => Result.succeed(read(row, asked)),
})

/** How the rows of a call are read. */
export interface Answer<Request, A, E> {
  readonly columns: Columns
  /** How many rows come back. */
  readonly rows: "one" | "at most one" | "one a slot" | "any number"
  readonly outcomes: Outcomes
  /** The classes of errors that an answer may become. */
  readonly errors: ReadonlyArray<ErrorClass>
  readonly read: (rows: ReadonlyArray<Row>, request: Request) => Result.Result<A, E>
}

const errorsIn = (outcomes: Outcomes): ReadonlyArray<ErrorClass> =>
  Object.values(outcomes).flatMap((outcome) => (outcome.kind === "refusal" ? [outcome.error] : []))

const withheldAlone = "The database withheld a slot and refused none"

/** The answer to a row that no sibling can withhold. */
const alone = <A, E>(answer: Result.Result<A, E | "withheld">): Result.Result<A, E> => {
  if (Result.isSuccess(answer)) return Result.succeed(answer.success)
  if (answer.failure === "withheld") throw new Error(withheldAlone)
  return Result.fail(answer.failure)
}

/** Exactly one row. */
export const oneRow = <Asked, A, E>(columns: Columns, reader: RowReader<Asked, A, E>): Answer<Asked, A, E> => ({
  columns,
  rows: "one",
  outcomes: reader.outcomes,
  errors: errorsIn(reader.outcomes),
  read: (rows, asked) => alone(reader.read(onlyRow(rows), asked)),
})

/** One row for each slot, in the order asked: all answers, or the first slot that was refused for its own sake. */
export const oneRowASlot = <Request, Asked, A, E>(
  columns: Columns,
  reader: RowReader<Asked, A, E>,
  slotsOf: (request: Request) => ReadonlyArray<Asked>,
): Answer<Request, ReadonlyArray<A>, E> => ({
  columns,
  rows: "one a slot",
  outcomes: reader.outcomes,
  errors: errorsIn(reader.outcomes),
  read: (rows, request) => {
    const slots = slotsOf(request)
    if (rows.length !== slots.length)
      throw new Error(`The database answered ${rows.length} rows to ${slots.length} slots`)
    const values: Array<A> = []
    let wasWithheld = false
    for (const [index, row] of rows.entries()) {
      // There are as many slots as rows.
      const answer = reader.read(row, slots[index] as Asked)
      if (Result.isSuccess(answer)) values.push(answer.success)
      else if (answer.failure !== "withheld") return Result.fail(answer.failure)
      else wasWithheld = true
    }
    if (wasWithheld) throw new Error(withheldAlone)
    return Result.succeed(values)
  },
})

/** Any number of rows; a row that is a refusal is the whole answer. */
export const anyRows = <Asked, A, E>(
  columns: Columns,
  reader: RowReader<Asked, A, E>,
): Answer<Asked, ReadonlyArray<A>, E> => ({
  columns,
  rows: "any number",
  outcomes: reader.outcomes,
  errors: errorsIn(reader.outcomes),
  read: (rows, asked) => {
    const values: Array<A> = []
    for (const row of rows) {
      const answer = alone(reader.read(row, asked))
      if (Result.isFailure(answer)) return Result.fail(answer.failure)
      values.push(answer.success)
    }
    return Result.succeed(values)
  },
})

/** One row, or none, which is `none`. */
export const atMostOneRow = <Asked, A, E, None>(
  columns: Columns,
  reader: RowReader<Asked, A, E>,
  none: (asked: Asked) => None,
): Answer<Asked, A | None, E> => ({
  columns,
  rows: "at most one",
  outcomes: reader.outcomes,
  errors: errorsIn(reader.outcomes),
  read: (rows, asked) => {
    const [row] = rows
    if (rows.length > 1) throw new Error(`The database answered ${rows.length} rows instead of one`)
    return row === undefined ? Result.succeed(none(asked)) : alone(reader.read(row, asked))
  },
})

/** The same, where several rows are an error of their own, since a part of an identity was asked for. */
export const unambiguousRow = <Asked, A, E, None>(
  columns: Columns,
  reader: RowReader<Asked, A, E>,
  none: (asked: Asked) => None,
  several: (rows: ReadonlyArray<Row>, asked: Asked) => ConstructorParameters<typeof AmbiguousIdentity>[0],
): Answer<Asked, A | None, E | AmbiguousIdentity> => {
  const one = atMostOneRow(columns, reader, none)
  return {
    ...one,
    rows: "any number",
    errors: [...one.errors, AmbiguousIdentity],
    read: (rows, asked) =>
      rows.length > 1 ? Result.fail(new AmbiguousIdentity(several(rows, asked))) : one.read(rows, asked),
  }
}

/** Where a parameter comes from, if not from the field of its name: from the request, or from how long the database may wait. */
type Taken<Request> = readonly [
  type: ParameterType,
  from: (request: Request, waitSeconds: number) => Parameter | undefined,
]
type Parameters<Request> = Readonly<Record<string, ParameterType | Taken<Request>>>

type CamelCase<Name> = Name extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : Name
type UnknownIn<P, Request> = {
  [Name in keyof P]: P[Name] extends string ? (CamelCase<Name> extends keyof Request ? never : Name) : never
}[keyof P]
/** An argument that nobody can give where a parameter stands for a field which the request does not have. */
type Unknown<P, Request> = [UnknownIn<P, Request>] extends [never] ? [] : [never]

/**
 * How several calls of one SQL function travel together in one statement of another function, which takes lists. A call with a long
 * text (`TOGETHER_LENGTH`) goes alone.
 */
interface BatchDeclaration<Name extends string> {
  readonly sqlName: string
  /** The parameters in which all calls of a batch agree. */
  readonly shared: ReadonlyArray<Name>
  /** Each list that the function takes, and the parameter of the single call that it has of every call. */
  readonly lists: Readonly<Record<string, Name>>
  /** What a call must send for parameters that the function does not take; one that sends something else goes alone. */
  readonly only?: { readonly [Of in Name]?: Parameter }
}

interface Declaration<Request, A, E, P> {
  readonly role: Role
  /** The parameters of the SQL function, by name, in the order in which they are sent: the field of that name, `null` when left out. */
  readonly parameters: P
  readonly answer: Answer<Request, A, E>
  /**
   * Whether it may be sent again when nobody knows what became of it: it carries its key, or it writes nothing. `false`: once
   * done, it would answer that there is nothing to do, and hide that it was done.
   */
  readonly repeatable?: boolean
  /** How long it may take, where that is longer than other calls may: what reads everything. */
  readonly atLeastMs?: number
  /** How it travels together with others of its kind, where it can. */
  readonly batch?: BatchDeclaration<Extract<keyof P, string>>
  /** Who answers it where it names no VRF. */
  readonly everywhere?: Everywhere
  /** The VRFs that it touches besides its own: all of them must be on one server. */
  readonly otherVrfs?: (request: Request) => ReadonlyArray<string>
}

/** How long a parameter of a call may be that travels together with others, in UTF-16 units: 256 of them are 4 Mi at most. */
const TOGETHER_LENGTH = 16_384

/** How long the database waits for other transactions, in seconds, where the caller leaves it to the database. */
const WAIT_SECONDS = 5

/** A call of one SQL function, as the library makes it. */
export interface Sent<Request, A, E> {
  /** The SQL function, in the schema `ipam`. */
  readonly sqlName: string
  readonly role: Role
  readonly parameters: ReadonlyArray<readonly [name: string, type: ParameterType]>
  readonly answer: Answer<Request, A, E>
  readonly repeatable: boolean
  readonly atLeastMs?: number
  readonly everywhere?: Everywhere
  /** The statement, whose rows `answer.read` reads as the library's own driver gives them. */
  readonly text: string
  /** The same, with every column as text, which reads the same through any client. */
  readonly asText: string
  readonly values: (request: Request, waitSeconds?: number) => ReadonlyArray<Parameter>
  readonly context: (request: Request) => CallContext
  readonly batch?: Batch<Request>
}

/**
 * Several calls in one statement, which have nothing to do with each other. It answers those that it has settled, each by its row of
 * the single call with its position before it, `n`; the others are made one by one.
 */
export interface Batch<Request> extends Sent<ReadonlyArray<Request>, ReadonlyArray<Row>, never> {
  /** Which calls travel together, told by what the single call sends: those with the same text. `undefined`: it goes alone. */
  readonly queueOf: (values: ReadonlyArray<Parameter>) => string | undefined
  /** The parameters of the batch, of those of its single calls. */
  readonly join: (calls: ReadonlyArray<ReadonlyArray<Parameter>>) => ReadonlyArray<Parameter>
}

/** A schema that needs no services. */
export type RequestSchema = Schema.ConstraintDecoder<unknown>

/** A call with the schema of what its callers give. */
export interface Call<S extends RequestSchema, A, E> extends Sent<S["Type"], A, E> {
  readonly request: S
  /** The canonical request, or the first field that is wrong. */
  readonly decode: (input: unknown) => Result.Result<S["Type"], InvalidInput>
}

/** What the request of a call has of this, under whatever call it is. */
interface About {
  readonly vrf?: string | null | undefined
  readonly pool?: string | undefined
  readonly requestId?: string | undefined
  readonly operationId?: string | undefined
  readonly slot?: string | undefined
}

const declare = <Request, A, E, P extends Parameters<Request>>(
  sqlName: string,
  {
    role,
    parameters,
    answer,
    repeatable = true,
    atLeastMs,
    batch,
    everywhere,
    otherVrfs,
  }: Declaration<Request, A, E, P>,
): Sent<Request, A, E> => {
  const all = Object.entries<ParameterType | Taken<Request>>(parameters).map(([name, given]) => {
    const [type, from] = typeof given === "string" ? [given, fieldOf(camelCase(name))] : given
    return { name, type, from }
  })
  const invocation = invocationOf(sqlName, all)
  const sources = all.map(({ from }) => from)
  const context = (request: Request): CallContext => {
    const { vrf, pool, requestId, operationId, slot } = request as About
    return { call: sqlName, vrf: vrf ?? undefined, pool, requestId: requestId ?? operationId, slot }
  }
  const single: Sent<Request, A, E> = {
    sqlName,
    role,
    parameters: all.map(({ name, type }) => [name, type]),
    answer,
    repeatable,
    ...(atLeastMs === undefined ? {} : { atLeastMs }),
    ...(everywhere === undefined ? {} : { everywhere }),
    text: `select * from ${invocation}`,
    asText: `select ${textColumns(answer.columns)} from ${invocation}`,
    values: (request, waitSeconds = WAIT_SECONDS) => sources.map((from) => from(request, waitSeconds) ?? null),
    context: otherVrfs === undefined ? context : (request) => ({ ...context(request), otherVrfs: otherVrfs(request) }),
  }
  return batch === undefined ? single : { ...single, batch: batchOf(single, batch) }
}

/** The call of a function by the names of its parameters. */
const invocationOf = (
  sqlName: string,
  parameters: ReadonlyArray<{ readonly name: string; readonly type: ParameterType }>,
): string => {
  const placeholders = parameters.map(({ name, type }, index) =>
    // Without the first cast a driver that knows the type would encode the text once more.
    type === "jsonb" ? `${name} => $${index + 1}::text::jsonb` : `${name} => $${index + 1}`,
  )
  return `ipam.${sqlName}(${placeholders.join(", ")})`
}

const batchOf = <Request, A, E>(
  single: Sent<Request, A, E>,
  { sqlName, shared, lists, only = {} }: BatchDeclaration<string>,
): Batch<Request> => {
  const placeOf = (name: string) => single.parameters.findIndex(([known]) => known === name)
  const typeOf = (name: string) => single.parameters[placeOf(name)]?.[1] ?? "text"
  const listed = Object.entries(lists)
  const parameters = [
    ...shared.map((name) => ({ name, type: typeOf(name) })),
    ...listed.map(([name, of]) => ({ name, type: `${typeOf(of)}[]` as ParameterType })),
  ]
  const sharedPlaces = shared.map(placeOf)
  const listPlaces = listed.map(([, of]) => placeOf(of))
  const fixed = Object.entries(only).map(([name, value]) => [placeOf(name), value] as const)
  const isShort = (value: Parameter | undefined) => typeof value !== "string" || value.length <= TOGETHER_LENGTH
  const join: Batch<Request>["join"] = (calls) => [
    ...sharedPlaces.map((place) => calls[0]?.[place] ?? null),
    ...listPlaces.map((place) =>
      arrayLiteral(calls.map((values) => (values[place] === null ? null : String(values[place])))),
    ),
  ]
  const text = `select n, (answer).* from ${invocationOf(sqlName, parameters)}`
  const columns: Columns = { n: "integer", ...single.answer.columns }
  return {
    sqlName,
    role: single.role,
    parameters: parameters.map(({ name, type }) => [name, type]),
    answer: anyRows(
      columns,
      always((row: Row) => row),
    ),
    repeatable: single.repeatable,
    text,
    asText: `select ${textColumns(columns)} from (${text}) settled`,
    values: (requests) => join(requests.map((request) => single.values(request))),
    context: () => ({ call: sqlName }),
    queueOf: (values) =>
      fixed.every(([place, value]) => values[place] === value) && listPlaces.every((place) => isShort(values[place]))
        ? JSON.stringify([sqlName, ...sharedPlaces.map((place) => values[place])])
        : undefined,
    join,
  }
}

/** The field as a parameter; that it is one is checked where the call is declared. */
const fieldOf =
  (field: string) =>
  (request: unknown): Parameter | undefined =>
    (request as Readonly<Record<string, Parameter | undefined>>)[field]

/** Declares a call that callers may make. */
export const call = <S extends RequestSchema, A, E, const P extends Parameters<S["Type"]>>(
  sqlName: string,
  declaration: { readonly request: S } & Declaration<S["Type"], A, E, P>,
  ..._unknown: Unknown<P, S["Type"]>
): Call<S, A, E> => ({
  ...declare(sqlName, declaration),
  request: declaration.request,
  decode: parseInput(declaration.request),
})

/** Declares a call that is a part of what a service does: its request comes from the service, and is not checked again. */
export const partOf =
  <Request>() =>
  <A, E, const P extends Parameters<Request>>(
    sqlName: string,
    declaration: Declaration<Request, A, E, P>,
    ..._unknown: Unknown<P, Request>
  ): Sent<Request, A, E> =>
    declare(sqlName, declaration)

/** A call that is one of several SQL functions, as its request says. */
export interface Choice<S extends RequestSchema, A, E> {
  readonly request: S
  readonly decode: (input: unknown) => Result.Result<S["Type"], InvalidInput>
  readonly among: ReadonlyArray<Sent<S["Type"], A, E>>
  readonly pick: (request: S["Type"]) => Sent<S["Type"], A, E>
}

/** Declares a call that is one of several SQL functions. */
export const choice = <S extends RequestSchema, A, E>(
  request: S,
  among: Readonly<Record<string, Sent<S["Type"], A, E>>>,
  pick: (request: S["Type"]) => Sent<S["Type"], A, E>,
): Choice<S, A, E> => ({ request, decode: parseInput(request), among: Object.values(among), pick })
