/** The tables, the plot and the goals of the comparison. Pure. */
import { median, quantile, ratioOf } from "../measure.ts"
import { grouped, ms, table, type Goal, type Section } from "../report.ts"
import { isOurs } from "./algorithm.ts"
import type { Wrong } from "./cell.ts"
import { peersPlot } from "./peersPlot.ts"
import { cases } from "./races.ts"

export interface Cell {
  readonly fill: string
  readonly clients: number
  /** The algorithm. */
  readonly name: string
  /** Allocations per second in each round. */
  readonly rates: ReadonlyArray<number>
  /** Of single calls of all rounds, in milliseconds. */
  readonly times: ReadonlyArray<number>
}

export interface Contender {
  readonly name: string
  readonly hasKey: boolean
  /** Counted in all cells. */
  readonly wrong: Wrong
  /** Whether the answer was right in each of `cases`; empty if it was not tried. */
  readonly raced: Array<boolean>
}

/** The library must be many times as fast as these in a pool of which 99 % are held. */
const slowWhenFull = ["LEFT JOIN on all addresses", "self-join on ip + 1"]
const FULL = "99 %"

const distinct = <A>(all: ReadonlyArray<A>): ReadonlyArray<A> => [...new Set(all)]

export const reportOn = (
  cells: ReadonlyArray<Cell>,
  contenders: ReadonlyArray<Contender>,
  isShort: boolean,
): Section => {
  const fills = distinct(cells.map(({ fill }) => fill))
  const clients = distinct(cells.map((cell) => cell.clients))
  const names = contenders.map(({ name }) => name)
  const cellOf = (fill: string, callers: number, name: string): Cell => {
    const cell = cells.find((one) => one.fill === fill && one.clients === callers && one.name === name)
    if (cell === undefined) throw new Error(`${name} was not measured with ${callers} clients at ${fill}`)
    return cell
  }
  const best = (fill: string, callers: number): Cell =>
    names
      .filter((name) => !isOurs(name))
      .map((name) => cellOf(fill, callers, name))
      .reduce((a, b) => (median(b.rates) > median(a.rates) ? b : a))
  const toBest = (fill: string, callers: number, name: string): number =>
    ratioOf(cellOf(fill, callers, name).rates, best(fill, callers).rates)

  const figures = fills.map((fill) =>
    table(
      [
        `held: ${fill}`,
        ...clients.flatMap((callers) => [`${callers} client${callers > 1 ? "s" : ""} /s`, "p50 ms", "p99 ms"]),
      ],
      names.map((name) => [
        name,
        ...clients.flatMap((callers) => {
          const { rates, times } = cellOf(fill, callers, name)
          return [grouped(median(rates)), ms(median(times)), ms(quantile(times, 0.99))]
        }),
      ]),
    ),
  )
  const ratios = table(
    ["held", "clients", "the best of the others", ...names.filter(isOurs).map((name) => `${name}, to it`)],
    fills.flatMap((fill) =>
      clients.map((callers) => [
        fill,
        callers,
        best(fill, callers).name,
        ...names.filter(isOurs).map((name) => toBest(fill, callers, name).toFixed(2)),
      ]),
    ),
  )
  const wrong = table(
    ["wrong answers", "has a key", "double", "false exhaustion", "lost replay", ...cases.map(({ name }) => name)],
    contenders.map((one) => [
      one.name,
      one.hasKey ? "yes" : "no",
      ...[one.wrong.double, one.wrong.exhausted, one.wrong.lost].map(grouped),
      ...cases.map((_, number) => (one.raced[number] === undefined ? "" : one.raced[number] ? "right" : "wrong")),
    ]),
  )
  const goals: Array<Goal> = [
    ...names.filter(isOurs).map((name) => ({
      name: `cells in which ${name} is at or above the best of the others`,
      figure: fills.flatMap((fill) => clients.filter((callers) => toBest(fill, callers, name) >= 1)).length,
      atLeast: fills.length * clients.length,
    })),
    ...(fills.includes(FULL) ? slowWhenFull : []).flatMap((slow) =>
      clients.map((callers) => ({
        name: `saga-ipam, library to ${slow}, ${FULL} held, ${callers} client${callers > 1 ? "s" : ""}`,
        figure: ratioOf(cellOf(FULL, callers, "saga-ipam, library").rates, cellOf(FULL, callers, slow).rates),
        atLeast: 150,
      })),
    ),
  ]
  const plotted = cells.map(({ fill, clients: callers, name, rates }) => ({ fill, callers, name, rate: median(rates) }))
  return {
    blocks: [
      ...(isShort ? [] : ["![allocations per second of every algorithm](peers.svg)"]),
      wrong,
      ratios,
      ...figures,
    ],
    goals,
    files: { "peers.svg": peersPlot("Allocations per second, from a /16", plotted) },
  }
}
