/** The rules of the sources as a whole: which part may know which, and what none may do. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, relative } from "node:path"
import { expect, test } from "vitest"

const root = join(import.meta.dirname, "..")
const src = join(root, "src")
/** Data flows one way: a part may import from itself and from those before it. `index` says what of them is public. */
const parts =
  "errors domain contract sql embedded database services layer saga import promise index http dashboard demo cli".split(
    " ",
  )

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => ({ path, text: readFileSync(join(src, path), "utf8") }))
const code = files.map(({ path, text }) => ({ path, text: text.replaceAll(/\/\*[^]*?\*\/|\/\/.*$/gm, "") }))
const partOf = (path: string): string => path.replace(/[/.].*$/, "")
const importsOf = (text: string) =>
  [...text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*"([^"]+)"/g)].map(([, to]) => to ?? "")
/** Where the pattern stands, such as `promise.ts`; of all sources, or of those that `within` lets through. */
const found = (pattern: RegExp, within: (path: string) => boolean = () => true) =>
  code.filter(({ path, text }) => within(path) && pattern.test(text)).map(({ path }) => path)

test("every source belongs to a part, and there are some", () => {
  expect(files.filter(({ path }) => !parts.includes(partOf(path)))).toEqual([])
  expect(new Set(files.map(({ path }) => partOf(path)))).toContain("database")
})

test("a part imports only from itself and from those before it", () => {
  const against = code.flatMap(({ path, text }) =>
    importsOf(text)
      .filter((to) => to.startsWith("."))
      .map((to) => relative(src, join(src, path, "..", to)))
      .filter((to) => parts.indexOf(partOf(to)) > parts.indexOf(partOf(path)) || to.startsWith(".."))
      .map((to) => `${path} imports ${to}`),
  )
  expect(against).toEqual([])
})

test("errors, domain and contract are pure, and only database/ and embedded/ know the driver", () => {
  expect(
    found(/from "(node:|postgres|@effect\/)/, (path) => ["errors", "domain", "contract"].includes(partOf(path))),
  ).toEqual([])
  expect(found(/from "postgres"/, (path) => !["database", "embedded"].includes(partOf(path)))).toEqual([])
})

test("the embedded server stands on its own: it imports nothing of the other parts", () => {
  const others = code
    .filter(({ path }) => partOf(path) === "embedded")
    .flatMap(({ text }) => importsOf(text))
    .filter((to) => to.startsWith("../"))
  expect(others).toEqual([])
})

test("index.ts only passes on", () => {
  const index = code.find(({ path }) => path === "index.ts")?.text ?? "nothing"
  expect(index.replaceAll(/export (type )?(\*|\{[^}]*\}) from "[^"]+";?/g, "").trim()).toBe("")
})

test("no source holds a connection of the driver over several statements, reads the machine's clock or gives up on types", () => {
  expect(found(/\.(begin|reserve)\(/, (path) => partOf(path) === "database")).toEqual([])
  expect(found(/\bDate\.now\b/)).toEqual([])
  expect(found(/[:<|&,([]\s*any\b|\bas any\b|@ts-(ignore|nocheck|expect-error)/)).toEqual([])
})

test("the tests run on the Node that package.json names", () => {
  const manifest: unknown = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  expect(manifest).toMatchObject({ devDependencies: { node: process.versions.node } })
})

test("the list of invariants names tests that are there", () => {
  const list = readFileSync(join(root, "test/INVARIANTS.md"), "utf8")
  const named = [...list.matchAll(/\]\(([^)]+)\)/g)].map(([, file]) => file ?? "")
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((file) => !existsSync(join(root, "test", file)))).toEqual([])
})
