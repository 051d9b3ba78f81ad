/**
 * Draws the times of a pool that fills up, as SVG: p50 and p99 of an allocation against the fill, and of the refusal when it is full.
 * Pure.
 */
import type { Slice } from "./fillPool.ts"
import { middle, point, svg, text } from "./svg.ts"

const [width, height] = [760, 400]
const frame = { left: 64, right: 628, top: 56, bottom: 332 }
/** Where the calls to the full pool are drawn, beside the axis of the fill. */
const past = { left: 656, right: 736 }

const style = {
  light: `
  .p50, .p99 { fill: none; stroke-width: 2; stroke-linejoin: round }
  .p50 { stroke: #0969da } .p99 { stroke: #bc4c00; stroke-dasharray: 6 3 }
  .dot.p50, .dot.p99 { stroke: none } .p50.dot { fill: #0969da } .p99.dot { fill: #bc4c00 }
  .past { fill: #f6f8fa }`,
  dark: `
    .p50 { stroke: #58a6ff } .p99 { stroke: #f0883e }
    .p50.dot { fill: #58a6ff } .p99.dot { fill: #f0883e }
    .past { fill: #161b22 }`,
}

/** A round step for an axis: four to eight of them make the whole. */
const stepFor = (whole: number): number => {
  const rough = whole / 6
  const power = 10 ** Math.floor(Math.log10(rough))
  return ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power
}

/** The plot of the slices, in the order of their fill. The axis of times begins at 0 and is in milliseconds. */
export const fillPlot = (title: string, slices: ReadonlyArray<Slice>, refusal: Slice): string => {
  const highest = Math.max(...[...slices, refusal].map((slice) => slice.p99))
  const step = stepFor(highest)
  const top = Math.ceil((highest * 1.02) / step) * step
  const x = (percent: number) => frame.left + ((frame.right - frame.left) * percent) / 100
  const y = (time: number) => frame.bottom - ((frame.bottom - frame.top) * time) / top
  const line = (figure: "p50" | "p99") =>
    `<polyline class="${figure}" points="${slices.map((slice) => `${point(x((slice.from + slice.to) / 2))},${point(y(slice[figure]))}`).join(" ")}"/>`
  const pastMiddle = (past.left + past.right) / 2

  const levels = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step).flatMap((time) => [
    `<line class="grid" x1="${frame.left}" x2="${past.right}" y1="${point(y(time))}" y2="${point(y(time))}"/>`,
    text({ x: frame.left - 8, y: y(time) + 4 }, String(Number(time.toPrecision(3))), `text-anchor="end"`),
  ])
  const fills = [0, 20, 40, 60, 80, 100].flatMap((percent) => [
    `<line class="axis" x1="${point(x(percent))}" x2="${point(x(percent))}" y1="${frame.bottom}" y2="${frame.bottom + 5}"/>`,
    text({ x: x(percent), y: frame.bottom + 20 }, `${percent} %`, middle),
  ])
  const dot = (figure: "p50" | "p99") => [
    `<circle class="dot ${figure}" cx="${past.left + 16}" cy="${point(y(refusal[figure]))}" r="4"/>`,
    text({ x: past.left + 26, y: y(refusal[figure]) + 4 }, `${refusal[figure].toFixed(2)} ms`),
  ]
  const key = (figure: "p50" | "p99", left: number, words: string) => [
    `<line class="${figure}" x1="${left}" x2="${left + 28}" y1="38" y2="38"/>`,
    text({ x: left + 34, y: 42 }, words),
  ]
  const parts = [
    `<rect class="past" x="${past.left}" y="${frame.top}" width="${past.right - past.left}" height="${frame.bottom - frame.top}"/>`,
    text({ x: frame.left, y: 22 }, title, `class="title"`),
    ...key("p50", frame.left, "p50: half of the calls are faster"),
    ...key("p99", frame.left + 280, "p99: 99 of 100 calls are faster"),
    ...levels,
    ...fills,
    `<line class="axis" x1="${frame.left}" x2="${frame.right}" y1="${frame.bottom}" y2="${frame.bottom}"/>`,
    line("p99"),
    line("p50"),
    ...dot("p99"),
    ...dot("p50"),
    text({ x: pastMiddle, y: frame.bottom + 20 }, "refused", middle),
    text({ x: (frame.left + frame.right) / 2, y: frame.bottom + 46 }, "addresses of the pool that are held", middle),
    text({ x: pastMiddle, y: frame.bottom + 46 }, "pool is full", middle),
    text(
      { x: 0, y: 0 },
      "one call, ms",
      `transform="translate(20 ${(frame.top + frame.bottom) / 2}) rotate(-90)" ${middle}`,
    ),
  ]
  return svg({ title, width, height, style, parts })
}
