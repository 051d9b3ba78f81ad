/**
 * Reads what callers give by a schema, and says in plain words which field is wrong and why. Pure.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { asFields, quickReaderOf, type QuickReader } from "../domain/quickReader.ts"
import { InvalidInput } from "../errors/errors.ts"

/** What a value of the wrong type should have been, by the kind of schema that refused it. */
const kinds: { readonly [tag: string]: string } = {
  String: "must be text",
  Number: "must be a number",
  Boolean: "must be true or false",
  BigInt: "must be a bigint",
  Arrays: "must be a list",
  Objects: "must be an object",
}

/** What may be left out is a union with `undefined`: its other member is what was expected. */
const expected = (ast: SchemaAST.AST): string => {
  const inner = SchemaAST.isUnion(ast) ? ast.types.find((member) => !SchemaAST.isUndefined(member)) : ast
  return (inner === undefined ? undefined : kinds[inner._tag]) ?? "has the wrong type"
}

interface Reason {
  readonly path: ReadonlyArray<PropertyKey>
  readonly reason: string
}

/** The first thing that is wrong: the leaf that one comes to by always going to the first issue. */
const firstReason = (issue: SchemaIssue.Issue, path: ReadonlyArray<PropertyKey>): Reason => {
  switch (issue._tag) {
    case "Filter":
    case "Encoding":
      return firstReason(issue.issue, path)
    case "Pointer":
      return firstReason(issue.issue, [...path, ...issue.path])
    case "Composite":
      return firstReason(issue.issues[0], path)
    case "AnyOf": {
      const [first] = issue.issues
      return first === undefined ? { path, reason: expected(issue.ast) } : firstReason(first, path)
    }
    case "InvalidType":
      return { path, reason: expected(issue.ast) }
    case "MissingKey":
      return { path, reason: "is missing" }
    case "UnexpectedKey":
      return { path, reason: "is not a known field" }
    case "InvalidValue":
      return { path, reason: issue.annotations?.message ?? "is not valid" }
    case "OneOf":
    case "Forbidden":
      return { path, reason: "is not valid" }
  }
}

/** `slots[2].pool` of its parts. */
const printPath = (path: ReadonlyArray<PropertyKey>): string =>
  path.reduce<string>(
    (text, part) =>
      typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`,
    "",
  )

const toInvalidInput = (issue: SchemaIssue.Issue): InvalidInput => {
  const { path, reason } = firstReason(issue, [])
  const field = printPath(path)
  return new InvalidInput({ field, message: `${field === "" ? "The input" : field}: ${reason}` })
}

type AnySchema = Schema.ConstraintDecoder<unknown>

/** The quick reader of a field, and what the schema gives where the field is left out: nothing where it is needed. */
const quickField = ([name, field]: readonly [string, AnySchema]) => {
  const read = quickReaderOf(field)
  if (read === undefined) return []
  return [
    {
      name,
      read,
      leftOut: Result.getOrUndefined(SchemaParser.decodeUnknownResult(Schema.Struct({ [name]: field }))({})),
    },
  ]
}

/** The quick reader of an object, where each of its fields has one. */
export const quickReaderOfStruct = (schema: AnySchema): QuickReader => {
  const { ast } = schema
  if (!("fields" in schema) || ast.checks !== undefined || ast.encoding !== undefined) return () => undefined
  const all = Object.entries(schema.fields as Readonly<Record<string, AnySchema>>)
  const fields = all.flatMap(quickField)
  // An object without fields means anything at all.
  if (fields.length < all.length || all.length === 0) return () => undefined
  return (input) => {
    const given = asFields(input)
    if (given === undefined) return undefined
    const request: Record<string, unknown> = {}
    let unread = Reflect.ownKeys(given).length
    for (const { name, read, leftOut } of fields) {
      if (Object.hasOwn(given, name)) {
        request[name] = read(given[name])
        if (request[name] === undefined) return undefined
        unread -= 1
      } else if (leftOut === undefined) return undefined
      else if (name in leftOut) request[name] = leftOut[name]
    }
    return unread === 0 ? request : undefined
  }
}

/**
 * Reads an unknown value by the schema, or gives `InvalidInput` that names the first field that is wrong, e.g.
 * `ttlSeconds: must be a number of seconds, more than 0, at most 3155760000`. Fields that the schema does not know are
 * refused: a misspelt `ttlSeconds` would otherwise be an address held for ever.
 */
export const parseInput = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = SchemaParser.decodeUnknownResult(schema, { onExcessProperty: "error" })
  let readQuickly: QuickReader | undefined
  return (input: unknown): Result.Result<S["Type"], InvalidInput> => {
    readQuickly ??= quickReaderOfStruct(schema)
    const request = readQuickly(input)
    return request === undefined ? Result.mapError(decode(input), toInvalidInput) : Result.succeed(request)
  }
}

/** As `parseInput`, as an Effect. */
export const decodeInput = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const parse = parseInput(schema)
  return (input: unknown): Effect.Effect<S["Type"], InvalidInput> => Effect.fromResult(parse(input))
}
