import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { findBinaries } from "../../src/embedded/binaries.ts"
import { installedPackage, makeLinks, packageName } from "../../src/embedded/platformPackage.ts"
import { startServer, stopServer } from "../../src/embedded/server.ts"
import { serverUser } from "../../src/embedded/user.ts"
import { asRoot, newFolder, onLinux, othersCanRead, plainUids, query, runProgram } from "./harness.ts"

const installed = installedPackage()
const debian = "/usr/lib/postgresql/15/bin"
const [plainUid = 1] = plainUids
const user = serverUser([])

describe("where the programs come from", () => {
  it("an empty machine is told of the package, of the programs and of DATABASE_URL", async () => {
    await expect(findBinaries(user, { packageFolder: "/nowhere", systemFolders: [] })).rejects.toMatchObject({
      reason: "no-binaries",
      message: expect.stringMatching(new RegExp(`${packageName}.*initdb and postgres.*DATABASE_URL`)),
    })
  })

  it.runIf(existsSync(debian))("without the package those of the system are taken, the newest first", async () => {
    const folder = newFolder()
    const found = await findBinaries(user, { packageFolder: "/nowhere" })
    const newest = Math.max(...readdirSync("/usr/lib/postgresql").map(Number))
    expect(found.major).toBeGreaterThanOrEqual(newest)
    const server = await startServer(folder, { packageFolder: "/nowhere", durable: false })
    const { n } =
      (await query(server, "select current_setting('server_version_num')::int / 10000 as n, upper('é') as e")) ?? {}
    expect(n).toBe(found.major)
  })

  it.runIf(existsSync(debian) && installed !== undefined)(
    "data of an older version is served by that version, or refused",
    async () => {
      const folder = newFolder()
      await startServer(folder, { binaries: debian, durable: false })
      await stopServer(folder)
      await expect(startServer(folder, { systemFolders: [] })).rejects.toMatchObject({
        reason: "wrong-version",
        message: expect.stringContaining("written by PostgreSQL 15"),
      })
      const server = await startServer(folder)
      expect(await query(server, "select current_setting('server_version_num')::int / 10000 as n")).toEqual({ n: 15 })
    },
  )

  it("programs that are made for another C library are named as that", async () => {
    const folder = newFolder()
    mkdirSync(folder)
    for (const name of ["initdb", "postgres"]) writeFileSync(join(folder, name), "#!/no/such/loader\n", { mode: 0o755 })
    await expect(findBinaries(user, { packageFolder: "/nowhere", systemFolders: [folder] })).rejects.toMatchObject({
      message: expect.stringContaining("musl"),
    })
    for (const name of ["initdb", "postgres"]) rmSync(join(folder, name))
  })
})

describe.runIf(installed !== undefined && onLinux)("the package as npm may leave it", () => {
  let place = ""
  let copied = ""
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), "ipam-package-"))
    chmodSync(place, 0o755)
    copied = join(place, "package")
    cpSync(installed ?? "", copied, { recursive: true, verbatimSymlinks: true })
  })
  afterAll(() => rmSync(place, { recursive: true, force: true }))

  const removeLinks = (): ReadonlyArray<string> => {
    const list = JSON.parse(readFileSync(join(copied, "native", "pg-symlinks.json"), "utf8")) as Array<{
      target: string
    }>
    const links = list.map(({ target }) => join(copied, target))
    for (const link of links) rmSync(link, { force: true })
    return links
  }

  it("gets its links made when no install script ran", async () => {
    const links = removeLinks()
    const server = await startServer(newFolder(), { packageFolder: copied, systemFolders: [], durable: false })
    expect(await query(server, "select 1 as one")).toEqual({ one: 1 })
    expect(links.filter((link) => !lstatSync(link).isSymbolicLink())).toEqual([])
  })

  it.runIf(asRoot && othersCanRead(plainUid))(
    "is copied, once and with its links, for a user who may not write to it",
    async () => {
      removeLinks()
      const cache = join(place, "cache-of-user")
      mkdirSync(cache)
      chownSync(cache, plainUid, plainUid)
      const options = JSON.stringify({ packageFolder: copied, systemFolders: [], cache, durable: false })
      const folders = [newFolder(), newFolder()]
      for (const folder of folders) {
        mkdirSync(folder)
        chownSync(folder, plainUid, plainUid)
      }
      const printed = await Promise.all(
        folders.map((folder) => runProgram(["start", folder, options], plainUid).printed),
      )
      expect(printed.map(({ how }) => how)).toEqual(["started", "started"])
      expect(readdirSync(cache)).toHaveLength(1)
      expect(makeLinks(join(cache, readdirSync(cache)[0] ?? ""))).toBe(true)
    },
  )

  it.runIf(asRoot)("is copied, once, when the server's user cannot read node_modules", async () => {
    chmodSync(place, 0o700)
    const cache = mkdtempSync(join(tmpdir(), "ipam-cache-"))
    try {
      const options = { packageFolder: copied, systemFolders: [], cache, durable: false }
      const first = newFolder()
      const server = await startServer(first, options)
      const [copy = ""] = readdirSync(cache)
      const inode = lstatSync(join(cache, copy)).ino
      expect(await query(server, "select 1 as one")).toEqual({ one: 1 })
      expect(lstatSync(join(cache, copy, "native", "lib", "libpq.so.5")).isSymbolicLink()).toBe(true)
      await startServer(newFolder(), options)
      expect(readdirSync(cache)).toEqual([copy])
      expect(lstatSync(join(cache, copy)).ino).toBe(inode)
    } finally {
      chmodSync(place, 0o755)
      rmSync(cache, { recursive: true, force: true })
    }
  })

  it.runIf(asRoot)("is not run from a cache that others can write to", async () => {
    chmodSync(place, 0o700)
    const cache = mkdtempSync(join(tmpdir(), "ipam-cache-"))
    try {
      chmodSync(cache, 0o777)
      await expect(findBinaries(user, { packageFolder: copied, systemFolders: [], cache })).rejects.toMatchObject({
        reason: "no-binaries",
        message: expect.stringContaining("written by other users"),
      })
    } finally {
      chmodSync(place, 0o755)
      rmSync(cache, { recursive: true, force: true })
    }
  })
})
