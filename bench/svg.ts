/**
 * What the plots have in common: a card with its own background, light or dark by the reader's preference, so that it is readable
 * on any page. Pure.
 */
export interface Plot {
  readonly title: string
  readonly width: number
  readonly height: number
  /** Rules of its own, for a light and for a dark page. */
  readonly style: { readonly light: string; readonly dark: string }
  readonly parts: ReadonlyArray<string>
}

export const svg = ({ title, width, height, style, parts }: Plot): string =>
  `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${title}">`,
    `<title>${title}</title>`,
    `<style>
  .card { fill: #ffffff; stroke: #d0d7de }
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #57606a }
  .title { font-size: 15px; font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d8dee4; stroke-width: 1 }
  .axis { stroke: #6e7781; stroke-width: 1 }${style.light}
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #30363d }
    text { fill: #9da7b3 } .title { fill: #e6edf3 }
    .grid { stroke: #262c36 } .axis { stroke: #8b949e }${style.dark}
  }
</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6"/>`,
    ...parts,
    "</svg>",
  ].join("\n")}\n`

/** A coordinate, with as many digits as can be seen. */
export const point = (number: number): string => number.toFixed(1)

export const text = (at: { readonly x: number; readonly y: number }, words: string, more = ""): string =>
  `<text x="${point(at.x)}" y="${point(at.y)}" ${more}>${words}</text>`

export const middle = `text-anchor="middle"`
