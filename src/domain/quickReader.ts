/**
 * Readers of fields that are canonical as they are written, as most are: they know what a schema would give without asking it, at a
 * tenth of the cost. What they do not know, errors above all, is left to the schema. Pure.
 */

/** What the schema would give for the value; `undefined`: it has to be asked. */
export type QuickReader = (value: unknown) => unknown

const readers = new WeakMap<object, QuickReader>()

/** The schema, for some of whose values the reader stands in. A test holds the two equal. */
export const readQuickly = <S extends object>(schema: S, reader: QuickReader | undefined): S => {
  if (reader !== undefined) readers.set(schema, reader)
  return schema
}

export const quickReaderOf = (schema: object): QuickReader | undefined => readers.get(schema)

/** The value as an object that has fields of its own and no others; `undefined` if it is anything else. */
export const asFields = (value: unknown): Readonly<Record<string, unknown>> | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null ? (value as Record<string, unknown>) : undefined
}
