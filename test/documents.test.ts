/**
 * The documents are true: README.md, CONTRIBUTING.md, SECURITY.md and every page of docs/.
 *
 * Each page is followed from its top to its end, on a database of its own, as a reader would follow it:
 *
 * - `ts`: compiles, all blocks of a page in one folder under the name in their first line, and runs. `value // "text"` is checked.
 * - `sql`: the owner runs it. Comment lines directly after a statement are the rows that it gives, or `ERROR: ` and its message.
 *   A role that the page creates gets a name of its own, since roles belong to the whole server.
 * - `sh`: npm scripts are there; commands and their flags are there, and a command without a PLACEHOLDER runs and ends with 0, or
 *   with the `exit code` that its comment tells.
 * - `text`: a diagram or what a terminal shows.
 *
 * A block marked `not-run`, such as a worker that never ends, is compiled or looked up like the others, and nothing more.
 */
import { execFile } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { promisify } from "node:util"
import { describe, expect, onTestFinished, test } from "vitest"
import { calls } from "../src/contract/calls.ts"
import { errorFacts } from "../src/errors/errorFacts.ts"
import { connect } from "../src/promise.ts"
import { useCommand } from "./cli/command.ts"
import { createDatabase, type Session, type TestDatabase } from "./harness/database.ts"

const root = join(import.meta.dirname, "..")
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly files: ReadonlyArray<string>
  readonly scripts: Readonly<Record<string, string>>
}
const run = promisify(execFile)

interface Block {
  readonly language: string
  readonly isRun: boolean
  readonly text: string
  /** The line of the page on which it begins, from 1. */
  readonly line: number
}

interface Page {
  /** Relative to the root, such as `docs/sql.md`. */
  readonly path: string
  readonly text: string
  readonly blocks: ReadonlyArray<Block>
}

const readPage = (path: string): Page => {
  const text = readFileSync(join(root, path), "utf8")
  const blocks = [...text.matchAll(/^```(\w*)( not-run)?\n(.*?)^```$/gms)].map(
    ({ 1: language = "", 2: mark, 3: code = "", index }): Block => ({
      language,
      isRun: mark === undefined,
      text: code,
      line: text.slice(0, index).split("\n").length,
    }),
  )
  return { path, text, blocks }
}

const guides = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"))
const pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", ...guides.map((name) => `docs/${name}`)].map(readPage)
const pageOf = (path: string): Page => {
  const page = pages.find((one) => one.path === path)
  if (page === undefined) throw new Error(`there is no ${path}`)
  return page
}

let current: TestDatabase | undefined
const database = (): TestDatabase => {
  if (current === undefined) throw new Error("no page is being followed")
  return current
}
const { cli } = useCommand(database)

const useNewDatabase = async (): Promise<void> => {
  const made = await createDatabase()
  onTestFinished(made.drop)
  current = made
}

/** The programs of pages as files, a folder a page, from which the package finds itself. Answers the folder of a page. */
const writePrograms = async (of: ReadonlyArray<Page>): Promise<(page: Page) => string> => {
  const folder = await mkdtemp(join(root, "test", ".documents-"))
  onTestFinished(() => rm(folder, { recursive: true }))
  const folderOf = (page: Page) => join(folder, page.path.replaceAll(/\W/g, "-"))
  for (const page of of) {
    await mkdir(folderOf(page))
    for (const block of page.blocks.filter(({ language }) => language === "ts")) {
      await writeFile(join(folderOf(page), programName(block)), block.text)
    }
  }
  await writeFile(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: "../../tsconfig.json", include: ["*/*.ts"] }),
  )
  return folderOf
}
const programName = ({ text, line }: Block): string => /^\/\/ (\w+\.ts)\n/.exec(text)?.[1] ?? `line${line}.ts`

/** The words of a shell line without its comment, and the exit code that the comment tells. */
const readLine = (line: string) => {
  const [, command = "", comment = ""] = /^(.*?)(?:\s+# (.*))?$/.exec(line) ?? []
  const words = [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? "",
  )
  return { words, code: Number(/exit code (\d+)/.exec(comment)?.[1] ?? 0) }
}
const shellLines = ({ text }: Block) =>
  text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(readLine)

const runShell = async (block: Block): Promise<void> => {
  for (const { words, code } of shellLines(block)) {
    if (words[0] !== "saga-ipam" || words.some((word) => /^[A-Z_]{2,}$/.test(word))) continue
    const ended = await cli(...words.slice(1))
    expect({ words, ...ended }).toMatchObject({ words, code })
  }
}

/** Paragraphs, each the statements and what the last of them gives. */
const readStatements = (text: string) =>
  text
    .split(/\n\n+/)
    .map((paragraph) => paragraph.trimEnd().split("\n"))
    .map((lines) => {
      const end = lines.findLastIndex((line) => !line.startsWith("--"))
      return { code: lines.slice(0, end + 1).join("\n"), gives: lines.slice(end + 1).map((line) => line.slice(3)) }
    })
    .filter(({ code }) => code !== "")

const cell = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

const runStatements = async (session: Session, text: string): Promise<void> => {
  for (const { code, gives } of readStatements(text)) {
    const [first = ""] = gives
    if (first === "") await session.run(code)
    else if (first.startsWith("ERROR: ")) await expect(session.run(code)).rejects.toThrow(first.slice(7))
    else {
      const rows = await session.rows(code)
      expect({ code, gives: rows.map((row) => Object.values(row).map(cell).join(" | ")) }).toEqual({ code, gives })
    }
  }
}

/** A page's roles under names that no other database of the server has. */
const renameRoles = (page: Page): ((text: string) => string) => {
  const roles = [...page.text.matchAll(/^create role (\w+)/gm)].map(([, role]) => role ?? "")
  const renamed = new Map(roles.map((role) => [role, `${database().name}_${role}`]))
  onTestFinished(async () => {
    const owner = database().session()
    for (const role of renamed.values()) {
      const [made] = await owner.rows("select from pg_roles where rolname = $1", [role])
      if (made !== undefined) await owner.run(`drop owned by ${role}; drop role ${role}`)
    }
  })
  // Whoever is no superuser can act as a role, and drop what it owns, only as its member.
  return (text) =>
    text
      .replaceAll(/^create role \w+/gm, "$& role current_user")
      .replaceAll(/\w+/g, (word) => renamed.get(word) ?? word)
}

const runProgram = async (folder: string, block: Block): Promise<void> => {
  const claim = /^(\S+) \/\/ ("[^"]+").*$/gm
  const checked = block.text.replaceAll(claim, "if ($1 !== $2) throw new Error(`$1 is ${$1}`)")
  await writeFile(join(folder, programName(block)), checked)
  const env = { ...process.env, DATABASE_URL: database().url() }
  await run(process.execPath, ["--conditions=@saga-ipam/source", join(folder, programName(block))], { env })
}

describe.each(pages)("$path", (page) => {
  test("has code in no language that is not tried", () => {
    const fences = page.text.match(/^```/gm) ?? []
    expect(fences).toHaveLength(2 * page.blocks.length)
    expect(page.blocks.filter(({ language }) => !["ts", "sql", "sh", "text"].includes(language))).toEqual([])
  })

  test("names scripts, commands and flags that are there", async () => {
    await useNewDatabase()
    for (const { words } of page.blocks.filter(({ language }) => language === "sh").flatMap(shellLines)) {
      if (words[0] === "npm") {
        const script = words[1] === "run" ? words.find((word, index) => index > 1 && !word.startsWith("-")) : words[1]
        if (script !== "install" && script !== "exec") expect(manifest.scripts).toHaveProperty([script ?? ""])
        continue
      }
      expect({ words }).toMatchObject({ words: ["saga-ipam", ...words.slice(1)] })
      const verbs = words.slice(1).slice(0, verbCount(words.slice(1)))
      const { code, out } = await cli(...verbs, "--help")
      expect({ words, code }).toEqual({ words, code: 0 })
      for (const flag of words.filter((word) => word.startsWith("--"))) expect(out).toContain(flag)
    }
  })

  test("does what it says, from its top to its end", async () => {
    await useNewDatabase()
    const folderOf = await writePrograms([page])
    const owner = database().session()
    const withOwnRoles = renameRoles(page)
    for (const block of page.blocks.filter(({ isRun }) => isRun)) {
      if (block.language === "ts") await runProgram(folderOf(page), block)
      if (block.language === "sh") await runShell(block)
      if (block.language === "sql") await runStatements(owner, withOwnRoles(block.text))
    }
    expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
  })

  test("has links that lead to what the package has", () => {
    const links = [...page.text.matchAll(/\]\(([^)]+)\)/g)]
      .map(([, to]) => to ?? "")
      .filter((to) => !/^https?:/.test(to))
    const dead = links.filter((link) => {
      const [file = "", anchor] = link.split("#")
      const to = file === "" ? page.path : relative(root, join(root, dirname(page.path), file))
      const isShipped = manifest.files.some((shipped) => to === shipped || to.startsWith(`${shipped}/`))
      return (
        !existsSync(join(root, to)) ||
        !(isShipped || to === "README.md" || to === "LICENSE") ||
        (anchor !== undefined && !anchorsOf(readFileSync(join(root, to), "utf8")).includes(anchor))
      )
    })
    expect(dead).toEqual([])
  })
})

test.each(pages)("$path names files that are there", ({ text }) => {
  const named = [...text.matchAll(/`((?:src|sql|test|bench|scripts|examples|docs|demo)\/[\w./-]*)`/g)].map(
    ([, path = ""]) => path,
  )
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([])
})

/** How many of the words name the command: those before the first flag that consist of lower-case letters. */
const verbCount = (words: ReadonlyArray<string>): number => {
  const depth = ["pool", "db", "saga", "import"].includes(words[0] ?? "") ? 2 : 1
  return Math.min(depth, words.length)
}

/** The anchors that a renderer gives to headings. */
const anchorsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  )

test("the programs of all pages compile", async () => {
  expect(pages.flatMap(({ blocks }) => blocks).filter(({ language }) => language === "ts").length).toBeGreaterThan(3)
  const folderOf = await writePrograms(pages)
  const folder = dirname(folderOf(pageOf("README.md")))
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const { stdout } = await run(process.execPath, [tsc, "-p", folder]).catch(
    (error: { readonly stdout: string }) => error,
  )
  expect(stdout).toBe("")
})

test("the operator's table has every error, with the exit code of the command", () => {
  const rows = [...pageOf("docs/operations.md").text.matchAll(/^\| (\d) \| ((?:`\w+`(?:, )?)+) \|/gm)]
  const told = rows.flatMap(([, exit, names = ""]) => [...names.matchAll(/\w+/g)].map(([name]) => `${name} ${exit}`))
  const facts = Object.entries(errorFacts).map(([name, { exit }]) => `${name} ${exit}`)
  expect(told.toSorted()).toEqual(facts.toSorted())
})

test("the operator's table of findings names what the doctor looks for", () => {
  const section = /^### Findings\n(.*?)^#/ms.exec(pageOf("docs/operations.md").text)?.[1] ?? ""
  const named = [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, check]) => check ?? "")
  const doctor = ["doctor", "doctor_operations"]
    .map((name) => readFileSync(join(root, `sql/functions/upkeep/${name}.sql`), "utf8"))
    .join("\n")
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((check) => !doctor.includes(`'${check}'`))).toEqual([])
})

test("the page on SQL names every outcome of a call, and no other", () => {
  const section = /^## Outcomes\n(.*?)^## /ms.exec(pageOf("docs/sql.md").text)?.[1] ?? ""
  const named = [...section.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, names = ""]) =>
    names.replaceAll("`", "").split(", "),
  )
  const declared = Object.values(calls).flatMap((one) =>
    ("among" in one ? one.among.map(({ answer }) => answer) : [one.answer]).flatMap(({ outcomes }) =>
      Object.keys(outcomes),
    ),
  )
  // The gate answers a boolean.
  expect(new Set([...named, "true", "false"])).toEqual(new Set(declared))
})

test("the page on importing names the fields of a report", async () => {
  await useNewDatabase()
  const section = /^## The report\n(.*)/ms.exec(pageOf("docs/import.md").text)?.[1] ?? ""
  const named = [...section.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names = ""]) =>
    names.replaceAll("`", "").split(", "),
  )
  const { out } = await cli("import", "netbox", "demo/plan", "--dry-run", "--json")
  expect(named).toEqual(Object.keys(JSON.parse(out)))
})

test("the invariants are the same sentences to the engineer and to the tests", () => {
  const told = [...pageOf("docs/concepts.md").text.matchAll(/^\| (I\d+) \| (.*) \|$/gm)].map(([, number, is]) => [
    number,
    is,
  ])
  const held = readFileSync(join(root, "test/INVARIANTS.md"), "utf8")
  expect(told.length).toBeGreaterThan(10)
  expect([...held.matchAll(/^## (I\d+)\n\n(.*)$/gm)].map(([, number, is]) => [number, is])).toEqual(told)
})

test("the reference and the engineer's page name every call of a client, and no other", async () => {
  await useNewDatabase()
  const ipam = await connect({ url: database().url() })
  const declared = [...pageOf("docs/reference.md").text.matchAll(/^### (\w+)$/gm)].map(([, name]) => name)
  const others = /^\[The reference\].*?\n\n/ms.exec(pageOf("docs/concepts.md").text)?.[0] ?? ""
  const named = [...others.matchAll(/`(\w+)`/g)].map(([, name]) => name)
  await ipam.close()
  expect(new Set([...declared, ...named])).toEqual(new Set(Object.keys(ipam)))
})
