/** Servers of several users of the machine, root among them, which take their time to start: who may use which, and as whom they run. */
import { spawnSync } from "node:child_process"
import { chownSync, mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { present } from "../../src/embedded/presence.ts"
import { removeServer, serverStatus, startServer, stopServer } from "../../src/embedded/server.ts"
import { until } from "../harness/until.ts"
import {
  asRoot,
  newFolder,
  onLinux,
  othersCanRead,
  plainUids,
  processesNaming,
  query,
  runProgram,
  uidOf,
} from "./harness.ts"

const [plainUid = 1, otherUid = 2] = plainUids
/** Nobody of this machine. */
const unknownUid = 12_345

/** Whether the user can get to the file. */
const reaches = (uid: number, file: string): boolean =>
  spawnSync("/bin/sh", ["-c", 'test -e "$1"', "sh", file], { uid, gid: uid }).status === 0

describe.runIf(asRoot && onLinux)("as root", () => {
  it("the server runs as a lesser user, root connects, and other users do not get to the socket", async () => {
    const folder = newFolder()
    mkdirSync(join(folder, "open to all"), { recursive: true })
    const server = await startServer(folder, { durable: false })
    expect(uidOf(server.pid)).toBe(65_534)
    expect(await query(server, "select current_user as name")).toEqual({ name: "ipam" })
    expect(reaches(plainUid, server.host)).toBe(true)
    expect(reaches(plainUid, join(server.host, ".s.PGSQL.5432"))).toBe(false)
  })

  it("folders in between are made so that the server's user gets through, whatever the umask", async () => {
    const parent = newFolder()
    const folder = join(parent, "a", "b")
    const umask = process.umask(0o077)
    try {
      expect((await startServer(folder, { durable: false })).how).toBe("started")
    } finally {
      process.umask(umask)
      await removeServer(folder)
      rmSync(parent, { recursive: true })
    }
  })

  it("an empty folder of root's, as mktemp makes it, is given to the server's user", async () => {
    const folder = newFolder()
    mkdirSync(folder, { mode: 0o700 })
    expect((await startServer(folder, { durable: false })).how).toBe("started")
  })

  it("a folder that the server's user cannot enter is refused by name", async () => {
    const parent = newFolder()
    mkdirSync(parent, { mode: 0o700 })
    onTestFinished(() => rmSync(parent, { recursive: true }))
    await expect(startServer(join(parent, "data"), { durable: false })).rejects.toMatchObject({
      reason: "folder-unusable",
      message: expect.stringContaining("cannot enter"),
    })
  })
})

describe.runIf(asRoot && onLinux && othersCanRead(plainUid))("as a plain user", () => {
  const folderOf = (uid: number): string => {
    const folder = newFolder()
    mkdirSync(folder)
    chownSync(folder, uid, uid)
    return folder
  }

  it("the server is the user's own, and root adopts it, stops it and starts it as that user", async () => {
    const folder = folderOf(plainUid)
    const first = await runProgram(["start", folder, '{"durable":false}'], plainUid).printed
    expect(first).toMatchObject({ how: "started", folder })
    expect(uidOf(first.pid)).toBe(plainUid)
    expect(await startServer(folder)).toMatchObject({ how: "adopted", pid: first.pid })
    expect(await stopServer(folder)).toBe("stopped")
    const second = await startServer(folder, { durable: false })
    expect(uidOf(second.pid)).toBe(plainUid)
    expect(await runProgram(["start", folder], plainUid).printed).toMatchObject({ how: "adopted", pid: second.pid })
  })

  it.each([
    ["root", undefined, plainUid],
    ["the user", plainUid, undefined],
  ])(
    "the server is shared with root, and stops with the last of them, also when %s dies first",
    async (_, uid, other) => {
      const folder = folderOf(plainUid)
      const use = ["use", folder, '{"durable":false}']
      const first = runProgram(use, uid)
      const { pid } = await first.printed
      const second = runProgram(use, other)
      const server = await second.printed
      expect(server.pid).toBe(pid)
      first.child.kill("SIGKILL")
      await until("the first has left", async () => (await present(server.host, ["user", "stop"])).length === 1)
      expect(await query(server, "select 1 as one")).toEqual({ one: 1 })
      second.child.kill("SIGTERM")
      await until("no process is left", () => processesNaming(folder).length === 0)
      expect(readdirSync(server.host)).toEqual([])
    },
  )

  it("the server of another user is refused, running or not", async () => {
    const folder = folderOf(plainUid)
    await startServer(folder, { durable: false })
    const refusal = {
      _tag: "EmbeddedServerFailed",
      reason: "folder-unusable",
      message: expect.stringContaining("another user"),
    }
    expect(await runProgram(["start", folder], otherUid).printed).toMatchObject(refusal)
    expect(await runProgram(["use", folder], otherUid).printed).toMatchObject(refusal)
    await stopServer(folder)
    expect(await runProgram(["start", folder], otherUid).printed).toMatchObject({
      ...refusal,
      message: expect.any(String),
    })
    expect(await serverStatus(folder)).toEqual({ state: "stopped", folder })
  })

  it("a user without an entry in the password file is told what initdb wants", async () => {
    expect(await runProgram(["start", folderOf(unknownUid)], unknownUid).printed).toMatchObject({
      reason: "not-permitted",
      message: expect.stringContaining("/etc/passwd"),
    })
  })
})
