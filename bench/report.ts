/** The result of a benchmark as Markdown, for the terminal and for `results/results.md`. */

/** A figure with a bound that it should meet. */
export interface Goal {
  readonly name: string
  readonly figure: number
  readonly atMost?: number
  readonly atLeast?: number
}

/** The result of one benchmark. It is shown only after the doctor has found nothing. */
export interface Section {
  /** Paragraphs and tables. */
  readonly blocks: ReadonlyArray<string>
  readonly goals: ReadonlyArray<Goal>
  /** Pictures that a block refers to, by file name. */
  readonly files?: Readonly<Record<string, string>>
}

export const leftOut = (why: string): Section => ({ blocks: [`Left out: ${why}.`], goals: [] })

export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string | number>>): string => {
  const line = (cells: ReadonlyArray<string | number>) => `| ${cells.join(" | ")} |`
  return [line(head), line(head.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n")
}

export const goalTable = (goals: ReadonlyArray<Goal>): string =>
  table(
    ["goal", "measured", "to reach", ""],
    goals.map(({ name, figure, atMost, atLeast }) => [
      name,
      figure.toFixed(2),
      atMost === undefined ? `${atLeast} or more` : `${atMost} or less`,
      figure <= (atMost ?? Infinity) && figure >= (atLeast ?? -Infinity) ? "reached" : "missed",
    ]),
  )

/** A count with separators: `65,536`. */
export const grouped = (count: number): string => Math.round(count).toLocaleString("en-US")
/** A time in milliseconds, with fewer digits from 10 ms on. */
export const ms = (time: number): string => time.toFixed(time < 10 ? 3 : 1)
