/** What an operator meets at night: what cannot be reached, read, written or found, said as it is, with the exit code that goes with it. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import { useDatabase } from "../harness/database.ts"
import { start, useCommand } from "./command.ts"

const database = useDatabase()
const { cli, answer } = useCommand(database)

const newFolder = async (mode: number): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "ipam-operator-"))
  await chmod(folder, mode)
  onTestFinished(() => rm(folder, { recursive: true }))
  return folder
}
/** The error of a command that runs on a folder. */
const onFolder = async (folder: string): Promise<Record<string, unknown>> => {
  const { code, out, err } = await start(["pool", "list", "--json", "--data", folder]).ended
  expect(out).toBe("")
  return { ...(JSON.parse(err) as object), code }
}
const misconfigured = { code: 8, error: "DatabaseMisconfigured" }

describe("a database that cannot be used", () => {
  test("since nobody listens: nothing was sent, exit code 6", async () => {
    const { code, err } = await start(["pool", "list", "--url", "postgres://127.0.0.1:1/none"]).ended
    expect(code).toBe(6)
    expect(err).toMatch(/^saga-ipam: DatabaseUnreachable: .*ECONNREFUSED.*; nothing was written/)
  })

  test("since its name or role is unknown: exit code 8", async () => {
    const url = database().url()
    for (const place of [url.replace(database().name, "no_such_database"), url.replace(/\/\/[^@]+@/, "//nobody@")]) {
      const { code, err } = await start(["pool", "list", "--url", place, "--json"]).ended
      expect({ ...(JSON.parse(err) as object), code }).toMatchObject(misconfigured)
    }
  })

  test.runIf(process.getuid?.() === 0)("since the server's user cannot enter its folder: exit code 8", async () => {
    expect(await onFolder(join(await newFolder(0o700), "data"))).toMatchObject(misconfigured)
  })

  test("since its folder is a file: exit code 8", async () => {
    const file = join(await newFolder(0o755), "file")
    await writeFile(file, "")
    expect(await onFolder(file)).toMatchObject(misconfigured)
  })

  test.runIf(process.platform === "linux")("since no folder can be made there: exit code 8", async () => {
    expect(await onFolder("/proc/data")).toMatchObject(misconfigured)
  })

  test("since the role may not: exit code 8, and the role that may", async () => {
    const { code, err } = await start(["pool", "list", "--url", database().url("ipam_reader")]).ended
    expect({ code, err }).toEqual({ code: 0, err: "" })
    const words = [
      "pool",
      "create",
      "web",
      "--range",
      "10.0.0.0/24",
      "--json",
      "--url",
      database().url("ipam_allocator"),
    ]
    const refused = await start(words).ended
    expect({ ...(JSON.parse(refused.err) as object), code: refused.code }).toMatchObject({
      code: 8,
      error: "NotPermitted",
      role: "ipam_operator",
    })
  })
})

test("tables that contradict each other are no bug: exit code 7, and the doctor is named", async () => {
  await answer("pool", "create", "drifted", "--range", "10.9.0.0/30")
  const session = database().session()
  await session.run(
    "create or replace function ipam.lacks_counter(vrf text, pool_id bigint) returns void language plpgsql as $$ begin raise exception using errcode = 'data_corrupted', message = 'broken'; end $$",
  )
  await session.run("delete from ipam.pool_counter")
  const { code, err } = await cli("allocate", "--pool", "drifted", "--request", crypto.randomUUID())
  expect(code).toBe(7)
  expect(err).toMatch(/^saga-ipam: Drifted: .*run `saga-ipam doctor`\n$/)
})
