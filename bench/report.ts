/** What a bench hands in, and how it reads: Markdown, in the terminal and in `results/results.md`. */

/** A figure that was meant to be reached. */
export interface Goal {
  readonly what: string
  readonly figure: number
  readonly atMost?: number
  readonly atLeast?: number
}

/** The outcome of one bench. Nothing of it is shown before the doctor has found the database in order. */
export interface Section {
  /** Paragraphs and tables. */
  readonly blocks: ReadonlyArray<string>
  readonly goals: ReadonlyArray<Goal>
  /** Pictures, by file name, that a block refers to. */
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
    goals.map(({ what, figure, atMost, atLeast }) => [
      what,
      figure.toFixed(2),
      atMost === undefined ? `${atLeast} or more` : `${atMost} or less`,
      figure <= (atMost ?? Infinity) && figure >= (atLeast ?? -Infinity) ? "reached" : "missed",
    ]),
  )

/** `65,536` */
export const grouped = (count: number): string => Math.round(count).toLocaleString("en-US")
/** Milliseconds, as a table shows them. */
export const ms = (time: number): string => time.toFixed(time < 10 ? 3 : 1)
