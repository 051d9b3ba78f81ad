/**
 * Output: JSON for programs, aligned tables for people, and progress on a terminal.
 *
 * Knows no commands. When the effect of a write ends, the text has reached the operating system, so that the process may exit.
 */
import * as Effect from "effect/Effect"
import { Json } from "./flags.ts"

/** JSON on one line; a `bigint` is a decimal string. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? part.toString() : part))

const write = (stream: NodeJS.WriteStream, text: string): Effect.Effect<void, Error> =>
  Effect.callback<void, Error>((resume) => {
    stream.write(text, (error) => {
      // A reader that closes the pipe, such as `head`, has read what it wanted: that is no error.
      const isWritten = !error || ("code" in error && error.code === "EPIPE")
      resume(isWritten ? Effect.void : Effect.fail(error))
    })
  })

/** The output could not be written, for example to a full disk. The command has taken effect all the same. */
export class OutputFailed {
  readonly _tag = "OutputFailed"
  /** The exit code, as for `DatabaseMisconfigured` and `DiskFull`: somebody has to repair something. */
  readonly exit = 8
  readonly message: string

  constructor(reason: string) {
    this.message = `The output cannot be written: ${reason}; the command took effect all the same`
  }
}

/** Prints one line or several on stdout. */
export const printLine = (text: string): Effect.Effect<void, OutputFailed> =>
  Effect.mapError(write(process.stdout, `${text}\n`), ({ message }) => new OutputFailed(message))

/** Prints on stderr. Ignores a failure, which could be reported nowhere else. */
export const printError = (text: string): Effect.Effect<void> => Effect.ignore(write(process.stderr, `${text}\n`))

/** Prints the value on stdout: as JSON with `--json`, else as the text that `human` makes of it. */
export const print = <A>(value: A, human: (value: A) => string) =>
  Effect.flatMap(Json, (json) => printLine(json ? toJson(value) : human(value)))

/** Runs the effect while a line on stderr, if that is a terminal, says `what` it does; removes the line at the end. */
export const during = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  process.stderr.isTTY
    ? Effect.acquireUseRelease(
        Effect.ignore(write(process.stderr, `${what} ...`)),
        () => effect,
        () => Effect.ignore(write(process.stderr, "\r\u001b[K")),
      )
    : effect

/** Returns a function that replaces the line of `during` by how much is done. */
export const progress =
  (what: string) =>
  (done: number, total: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${what} ${done} of ${total}\u001b[K`)
  }

/** Escapes control characters, which could move the cursor of a terminal. */
const escaped = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`)

/** A cell of a table; an empty one is printed as `-`. */
type Cell = string | number | bigint | boolean | null | undefined
const cellText = (cell: Cell): string =>
  cell === null || cell === undefined || cell === "" ? "-" : escaped(String(cell))

const isNumeric = (cell: Cell): boolean =>
  typeof cell === "bigint" || typeof cell === "number" || /^[\d.]+%$/.test(String(cell))

/** A table with aligned columns; numbers and percentages are aligned to the right. Returns `empty` if there are no rows. */
export const table = (
  titles: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>,
  empty: string,
): string => {
  if (rows.length === 0) return empty
  const isRightAligned = titles.map((_, column) => rows.every((row) => isNumeric(row[column])))
  const lines = [titles, ...rows.map((row) => row.map(cellText))]
  const widths = titles.map((_, column) => lines.reduce((most, line) => Math.max(most, line[column]?.length ?? 0), 0))
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          isRightAligned[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n")
}

/** One object: a line for each field that has a value. */
export const details = (fields: ReadonlyArray<readonly [name: string, value: Cell]>): string => {
  const known = fields.filter(([, value]) => value !== null && value !== undefined)
  const width = known.reduce((most, [name]) => Math.max(most, name.length), 0)
  return known.map(([name, value]) => `${name.padEnd(width)}  ${cellText(value)}`).join("\n")
}
