/**
 * Rows of the database, and how they are read. Pure. A row that does not fit is a bug of ours: the readers throw, which makes it a
 * defect in Effect code.
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"

/** A parameter of a statement. Lists go as `arrayLiteral`; bigint, numeric, inet, uuid and times as text. */
export type Parameter = string | number | boolean | null

/** A row as this library's driver gives it: int8, numeric, inet, uuid and times as text, json parsed. */
export type Row = Readonly<Record<string, unknown>>

/** A list as PostgreSQL's text form of an array, `{"a","b",NULL}`. */
export const arrayLiteral = (values: ReadonlyArray<string | null>): string =>
  `{${values.map((value) => (value === null ? "NULL" : `"${value.replace(/["\\]/g, "\\$&")}"`)).join(",")}}`

/** The types of columns, as PostgreSQL calls them. */
export type ColumnType =
  | "text"
  | "uuid"
  | "inet"
  | "integer"
  | "bigint"
  | "numeric"
  | "double precision"
  | "boolean"
  | "timestamp with time zone"
  | "jsonb"
  | "void"

/** The columns of an answer, in the order in which the database gives them. */
export type Columns = Readonly<Record<string, ColumnType>>

/** A column as text that reads the same in every session and through every client, where the cast does not give it. */
const asText: { readonly [Type in ColumnType]?: (column: string) => string } = {
  text: (column) => column,
  // The cast would write the mask of a single address.
  inet: (column) => `abbrev(${column}) as ${column}`,
  "timestamp with time zone": (column) =>
    `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as ${column}`,
}

/** A select list of the columns, each as text. */
export const textColumns = (columns: Columns): string =>
  Object.entries(columns)
    .map(([column, type]) => asText[type]?.(column) ?? `${column}::text as ${column}`)
    .join(", ")

/** What is not text to this library's driver. */
const fromText: { readonly [Type in ColumnType]?: (text: string) => unknown } = {
  integer: Number,
  "double precision": Number,
  boolean: (text) => text === "true",
  jsonb: (text) => JSON.parse(text) as unknown,
}

/** A row of `textColumns` as this library's driver would have given it. */
export const rowFromText = (columns: Columns, row: Row): Row =>
  Object.fromEntries(
    Object.entries(columns).map(([column, type]) => {
      const value = row[column]
      if (value !== null && typeof value !== "string")
        throw new Error(`A client answered ${column} as ${typeof value} instead of text: send the statement as it is`)
      return [column, value === null ? null : (fromText[type]?.(value) ?? value)]
    }),
  )

/** `request_id` is `requestId` to callers. */
export const camelCase = (name: string): string =>
  name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** Reads the columns of a row as fields, under the names that callers know. */
export const fieldsIn = (columns: Columns) => {
  const names = Object.keys(columns).map((column) => [column, camelCase(column)] as const)
  return (row: Row): Record<string, unknown> => {
    const fields: Record<string, unknown> = {}
    for (const [column, field] of names) fields[field] = row[column]
    return fields
  }
}

const explain = SchemaIssue.makeFormatterDefault()

/** A reader by schema that throws, naming the column, on a value that does not fit. */
export const reader = <S extends Schema.ConstraintDecoder<unknown>>(what: string, schema: S) => {
  const decode = SchemaParser.decodeUnknownResult(schema)
  return (value: unknown): S["Type"] => {
    const read = decode(value)
    if (Result.isSuccess(read)) return read.success
    throw new Error(`The database answered ${what} that does not fit: ${explain(read.failure)}`)
  }
}

/** Text of a column that may be null. */
export const textOf = (row: Row, column: string): string | undefined => {
  const value = row[column]
  return typeof value === "string" ? value : undefined
}

/** The row of a call that answers exactly one. */
export const onlyRow = (rows: ReadonlyArray<Row>): Row => {
  const [row] = rows
  if (row === undefined || rows.length > 1) throw new Error(`The database answered ${rows.length} rows instead of one`)
  return row
}
