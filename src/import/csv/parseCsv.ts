/**
 * Parses comma-separated values (RFC 4180): cells in double quotes may contain commas, line breaks and doubled quotes. Pure.
 */
import * as Result from "effect/Result"

/** One record; `line` is the number of the line on which it begins, from 1. */
export interface CsvRecord {
  readonly line: number
  readonly cells: ReadonlyArray<string>
}

/** The records of a text, or why it is malformed. Lines end with LF or CRLF; a byte order mark and empty lines are skipped. */
export const parseCsv = (text: string): Result.Result<ReadonlyArray<CsvRecord>, string> => {
  const records: Array<CsvRecord> = []
  let [at, line] = [text.startsWith("\uFEFF") ? 1 : 0, 1]
  while (at < text.length) {
    const start = line
    const cells: Array<string> = []
    for (;;) {
      let cell = ""
      if (text[at] === '"') {
        for (at++; ; at++) {
          const character = text[at]
          if (character === undefined) return Result.fail(`the quoted cell that begins on line ${start} is not closed`)
          if (character === '"' && text[++at] !== '"') break
          if (character === "\n") line++
          cell += character
        }
        if (at < text.length && !/[,\r\n]/.test(text[at] ?? ""))
          return Result.fail(`line ${line}: there is text after a closing quote`)
      } else {
        const end = /[,\n]/g
        end.lastIndex = at
        const next = end.exec(text)?.index ?? text.length
        cell = text.slice(at, next).replace(/\r$/, "")
        at = next
      }
      cells.push(cell)
      if (text[at] !== ",") break
      at++
    }
    if (text[at] === "\r") at++
    if (at < text.length && text[at] !== "\n") return Result.fail(`line ${line}: there is text after a closing quote`)
    at++
    line++
    if (cells.length > 1 || cells[0] !== "") records.push({ line: start, cells })
  }
  return Result.succeed(records)
}
