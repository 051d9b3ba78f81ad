/**
 * Fast paths past a schema. Most values that callers give are canonical already, such as `10.0.0.5`, which the schema would decode to
 * itself: a quick reader recognises these at a tenth of the cost. Everything else, errors above all, is left to the schema. Pure.
 */

/** What the schema would decode the value to; `undefined` where only the schema can tell. */
export type QuickReader = (value: unknown) => unknown

const readers = new WeakMap<object, QuickReader>()

/** Gives a schema a quick reader, and returns the schema. A test holds that both read every value alike. */
export const withQuickReader = <S extends object>(schema: S, reader: QuickReader | undefined): S => {
  if (reader !== undefined) readers.set(schema, reader)
  return schema
}

/** The quick reader of exactly this schema object: what is derived from it has none of its own. */
export const quickReaderOf = (schema: object): QuickReader | undefined => readers.get(schema)

/** The value as a plain object, which has no fields but its own; `undefined` if it is anything else. */
export const asFields = (value: unknown): Readonly<Record<string, unknown>> | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null ? (value as Record<string, unknown>) : undefined
}
