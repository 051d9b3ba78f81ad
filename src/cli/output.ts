/**
 * What the CLI prints: JSON for programs, short aligned tables for people, progress for whoever watches.
 *
 * Knows nothing of commands. A write has reached the operating system when its effect ends, so that a process may exit after it.
 */
import * as Effect from "effect/Effect"
import { Json } from "./flags.ts"

/** JSON on one line; a `bigint` is a decimal string. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? part.toString() : part))

const write = (stream: NodeJS.WriteStream, text: string): Effect.Effect<void, Error> =>
  Effect.callback<void, Error>((resume) => {
    stream.write(text, (error) => {
      // A reader that went away, such as `head`, has what it wanted.
      const isWritten = !error || ("code" in error && error.code === "EPIPE")
      resume(isWritten ? Effect.void : Effect.fail(error))
    })
  })

/** The answer was not written, such as to a full disk; what the command did stands. */
export class OutputFailed {
  readonly _tag = "OutputFailed"
  /** The same as of a database that has to be set right by somebody. */
  readonly exit = 8
  readonly message: string

  constructor(reason: string) {
    this.message = `The output cannot be written: ${reason}; what the command did stands`
  }
}

/** A line, or several, on stdout. */
export const printLine = (text: string): Effect.Effect<void, OutputFailed> =>
  Effect.mapError(write(process.stdout, `${text}\n`), ({ message }) => new OutputFailed(message))

/** The same on stderr, where nobody is left to be told that it failed. */
export const printError = (text: string): Effect.Effect<void> => Effect.ignore(write(process.stderr, `${text}\n`))

/** The value as JSON under `--json`, else as `human` puts it. */
export const print = <A>(value: A, human: (value: A) => string) =>
  Effect.flatMap(Json, (json) => printLine(json ? toJson(value) : human(value)))

/** Runs while a line on stderr says what goes on: only on a terminal, and gone at the end. */
export const during = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  process.stderr.isTTY
    ? Effect.acquireUseRelease(
        Effect.ignore(write(process.stderr, `${what} ...`)),
        () => effect,
        () => Effect.ignore(write(process.stderr, "\r\u001b[K")),
      )
    : effect

/** Says on a terminal how far it is, in place of what `during` said before. */
export const progress =
  (what: string) =>
  (done: number, all: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${what} ${done} of ${all}\u001b[K`)
  }

/** Text of others, without the control characters that would move a terminal's cursor. */
const plain = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`)

/** One cell: `-` where there is nothing. */
type Cell = string | number | bigint | boolean | null | undefined
const cellText = (cell: Cell): string =>
  cell === null || cell === undefined || cell === "" ? "-" : plain(String(cell))

const isNumeric = (cell: Cell): boolean =>
  typeof cell === "bigint" || typeof cell === "number" || /^[\d.]+%$/.test(String(cell))

/** Columns by their titles, as wide as they need to be; numbers and percentages stand to the right. `empty` when there are no rows. */
export const table = (
  titles: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>,
  empty: string,
): string => {
  if (rows.length === 0) return empty
  const toRight = titles.map((_, column) => rows.every((row) => isNumeric(row[column])))
  const lines = [titles, ...rows.map((row) => row.map(cellText))]
  const widths = titles.map((_, column) => lines.reduce((most, line) => Math.max(most, line[column]?.length ?? 0), 0))
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          toRight[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n")
}

/** One thing: a line for each field that has a value. */
export const details = (fields: ReadonlyArray<readonly [name: string, value: Cell]>): string => {
  const known = fields.filter(([, value]) => value !== null && value !== undefined)
  const width = known.reduce((most, [name]) => Math.max(most, name.length), 0)
  return known.map(([name, value]) => `${name.padEnd(width)}  ${cellText(value)}`).join("\n")
}
