/**
 * Draws the rates of the comparison, as SVG: a row for each algorithm, a column for each number of clients, and in it a dot for each fill
 * of the pool, on a logarithmic axis. Pure.
 */
import { isOurs } from "./algorithm.ts"
import { middle, point, svg, text } from "../svg.ts"

export interface Plotted {
  readonly fill: string
  readonly callers: number
  readonly name: string
  /** Allocations per second. */
  readonly rate: number
}

const [width, rowHeight] = [760, 30]
const frame = { left: 222, right: 740, top: 92 }
const gap = 22

const style = {
  light: `
  .ours { font-weight: 600; fill: #1f2328 } .small { font-size: 11px }
  .fill0 { fill: #0969da } .fill1 { fill: #1a7f37 } .fill2 { fill: #bc4c00 } .fill3 { fill: #cf222e } .fill4 { fill: #8250df }`,
  dark: `
    .ours { fill: #e6edf3 }
    .fill0 { fill: #58a6ff } .fill1 { fill: #3fb950 } .fill2 { fill: #f0883e } .fill3 { fill: #ff7b72 } .fill4 { fill: #bc8cff }`,
}

export const peersPlot = (title: string, cells: ReadonlyArray<Plotted>): string => {
  const distinct = <A>(of: (cell: Plotted) => A): ReadonlyArray<A> => [...new Set(cells.map(of))]
  const [names, callers, fills] = [
    distinct(({ name }) => name),
    distinct((cell) => cell.callers),
    distinct(({ fill }) => fill),
  ]
  const bottom = frame.top + names.length * rowHeight
  const top = Math.ceil(Math.log10(Math.max(...cells.map(({ rate }) => rate))))
  const columnWidth = (frame.right - frame.left - gap * (callers.length - 1)) / callers.length
  const left = (column: number) => frame.left + column * (columnWidth + gap)
  // A rate below 1 stands at the left edge.
  const x = (column: number, rate: number) => left(column) + (columnWidth * Math.max(0, Math.log10(rate))) / top
  const y = (name: string) => frame.top + (names.indexOf(name) + 0.5) * rowHeight

  const key = fills.flatMap((fill, index) => {
    const at = 24 + index * 140
    return [
      `<circle class="fill${index}" cx="${at}" cy="42" r="5"/>`,
      text({ x: at + 10, y: 46 }, fill.replace(" %", " % held")),
    ]
  })
  const columns = callers.flatMap((count, column) => [
    text({ x: left(column) + columnWidth / 2, y: 78 }, count === 1 ? "1 client" : `${count} clients`, middle),
    ...Array.from({ length: top + 1 }, (_, power) => power).flatMap((power) => {
      const at = point(x(column, 10 ** power))
      const rate = power < 3 ? String(10 ** power) : `${10 ** (power - 3)}k`
      return [
        `<line class="grid" x1="${at}" x2="${at}" y1="${frame.top}" y2="${bottom}"/>`,
        text({ x: Number(at), y: bottom + 18 }, rate, `class="small" ${middle}`),
      ]
    }),
  ])
  const rows = names.map((name) =>
    text({ x: frame.left - 14, y: y(name) + 4 }, name, `text-anchor="end"${isOurs(name) ? ` class="ours"` : ""}`),
  )
  const dots = cells.map(
    ({ fill, callers: count, name, rate }) =>
      `<circle class="fill${fills.indexOf(fill)}" cx="${point(x(callers.indexOf(count), rate))}" cy="${point(y(name))}" r="5" fill-opacity="0.8"/>`,
  )
  const height = bottom + 34
  const parts = [text({ x: 18, y: 22 }, title, `class="title"`), ...key, ...columns, ...rows, ...dots]
  return svg({ title, width, height, style, parts })
}
