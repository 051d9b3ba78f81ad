/** The README is true: its programs compile, the first of them runs, its commands are there, its grants suffice, its links lead into the package. */
import { execFile } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect, onTestFinished, test } from "vitest"
import { connect } from "../src/promise.ts"
import { start, useCommand } from "./cli/command.ts"
import { useDatabase } from "./harness/database.ts"
import { freePort } from "./saga/world.ts"

const root = join(import.meta.dirname, "..")
const readme = readFileSync(join(root, "README.md"), "utf8")
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly files: ReadonlyArray<string>
  readonly scripts: Readonly<Record<string, string>>
}
const database = useDatabase()
const { begin, cli } = useCommand(database)
const run = promisify(execFile)

/** The code blocks of a language, in their order. */
const blocks = (language: string): ReadonlyArray<string> =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(([, text]) => text ?? "")

/** The programs as files, by the name in their first line, in a folder from which the package finds itself. */
const writePrograms = async (): Promise<string> => {
  const folder = await mkdtemp(join(root, "test", ".readme-"))
  onTestFinished(() => rm(folder, { recursive: true }))
  const programs = blocks("ts")
  for (const [index, text] of programs.entries()) {
    await writeFile(join(folder, /^\/\/ (\w+\.ts)\n/.exec(text)?.[1] ?? `program${index}.ts`), text)
  }
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ extends: "../../tsconfig.json", include: ["*.ts"] }))
  return folder
}

test("its programs compile", async () => {
  expect(blocks("ts").length).toBeGreaterThan(3)
  const folder = await writePrograms()
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const { stdout } = await run(process.execPath, [tsc, "-p", folder]).catch(
    (error: { readonly stdout: string }) => error,
  )
  expect(stdout).toBe("")
})

test("its first program does what its comments say", async () => {
  const folder = await writePrograms()
  const said = /^(\S+) \/\/ ("[^"]+").*$/gm
  const [first = ""] = blocks("ts")
  expect(first).toMatch(said)
  const checked = first.replaceAll(said, "if ($1 !== $2) throw new Error(`$1 is ${$1}`)")
  await writeFile(join(folder, "checked.ts"), checked)
  const env = { ...process.env, DATABASE_URL: database().url() }
  await run(process.execPath, ["--conditions=@saga-ipam/source", join(folder, "checked.ts")], { env })
  expect(await database().session().rows("select name, held::int from ipam.list_pools()")).toEqual([
    { name: "web", held: 0 },
  ])
})

test("names every call of a client, and no other", async () => {
  const ipam = await connect({ url: database().url() })
  const paragraph = /^The calls of `saga-ipam\/promise`.*?\n\n/ms.exec(readme)?.[0] ?? ""
  const named = [...paragraph.matchAll(/`(\w+)`/g)].map(([, name]) => name)
  await ipam.close()
  expect(new Set(named)).toEqual(new Set(Object.keys(ipam)))
})

test("its scripts, commands and flags are there", async () => {
  const lines = blocks("sh").flatMap((text) => text.trim().split("\n"))
  expect(lines.length).toBeGreaterThan(3)
  for (const line of lines) {
    const words = line.replace(/ #.*$/, "").split(/\s+/)
    if (words[0] === "npm") {
      expect(manifest.scripts).toHaveProperty([words[1] === "run" ? (words[2] ?? "") : (words[1] ?? "")])
      continue
    }
    expect(words[0]).toBe("saga-ipam")
    const verbs = words
      .slice(1)
      .filter(
        (word, index, all) => all.slice(0, index + 1).every((one) => /^[a-z-]+$/.test(one)) && !word.startsWith("-"),
      )
    const { code, out } = await cli(...verbs, "--help")
    expect({ line, code }).toEqual({ line, code: 0 })
    for (const flag of words.filter((word) => word.startsWith("--"))) expect(out).toContain(flag)
  }
})

test("its links lead to what the package has", () => {
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, to]) => to ?? "").filter((to) => !to.startsWith("http"))
  expect(links.length).toBeGreaterThan(2)
  const isShipped = (to: string) => manifest.files.some((file) => to === file || to.startsWith(`${file}/`))
  expect(links.filter((to) => !existsSync(join(root, to)) || !isShipped(to))).toEqual([])
})

test("its grants suffice for a worker of another role than the first one's", async () => {
  const listen = async () => ["--listen", `127.0.0.1:${await freePort()}`]
  const first = begin("worker", ...(await listen()))
  await first.said("running")
  first.child.kill("SIGTERM")
  await first.ended

  const owner = database().session()
  const role = `${database().name}_worker`
  const grants = blocks("sql").find((text) => text.includes("ipam_engine")) ?? ""
  expect(grants).toContain("to worker;")
  await owner.run(`create role ${role}; ${grants.replaceAll("to worker;", `to ${role};`)}`)
  onTestFinished(() => owner.run(`drop owned by ${role}; drop role ${role}`))
  for (const [name, range] of [
    ["v4", "10.1.0.0/24"],
    ["v6", "fd00::/64"],
    ["external", "192.0.2.0/28"],
  ] as const) {
    await owner.rows("select ipam.create_pool('default', $1, array[$2])", [name, range])
  }
  const as = ["--url", database().url().replace("?", `?options=-c%20role%3D${role}&`)]
  const second = start(["worker", ...(await listen()), ...as])
  onTestFinished(() => void second.child.kill("SIGKILL"))
  await second.said("running")
  const payload = JSON.stringify({
    request: "r-1",
    instance: "i-1",
    pools: { v4: "v4", v6: "v6", external: "external" },
  })
  expect(await start(["saga", "start", "InstanceCreate", payload, ...as]).ended).toMatchObject({ code: 0, err: "" })
  second.child.kill("SIGTERM")
  await second.ended
})
