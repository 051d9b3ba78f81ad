/** The command where VRFs have servers of their own. */
import { expect, test } from "vitest"
import { SCHEMA_VERSION } from "../../src/database/schemaVersion.ts"
import { connect } from "../../src/promise.ts"
import { useDatabase } from "../harness/database.ts"
import { start } from "./command.ts"

const main = useDatabase("empty")
const blue = useDatabase("empty")

const environment = () => ({
  DATABASE_URL: main().url(),
  SAGA_IPAM_SERVERS: JSON.stringify({ blue: blue().url() }),
})
const run = async (words: ReadonlyArray<string>, env: Readonly<Record<string, string>> = environment()) => {
  const { code, out, err } = await start([...words, "--json"], env).ended
  return { code, answer: JSON.parse(out === "" ? err : out) as unknown }
}

test("migrates all servers, and acts on that of the VRF, named by flags or by the environment", async () => {
  const flags = ["--url", main().url(), "--server", `blue=${blue().url()}`]
  expect(await run(["migrate", ...flags], {})).toMatchObject({ code: 0, answer: { version: SCHEMA_VERSION } })
  const create = (vrf: string) => ["pool", "create", "web", "--range", "10.0.0.0/24", "--vrf", vrf]
  expect(await run(create("default"))).toMatchObject({ code: 0 })
  expect(await run([...create("blue"), ...flags], {})).toMatchObject({ code: 0, answer: { vrf: "blue" } })
  expect(await run(["pool", "list"])).toMatchObject({ answer: [{ vrf: "blue" }, { vrf: "default" }] })
  const pools = "select vrf::text as vrf from ipam.pool"
  expect(await main().session().rows(pools)).toEqual([{ vrf: "default" }])
  expect(await blue().session().rows(pools)).toEqual([{ vrf: "blue" }])
})

test("lists the operations of all servers, as many as asked for", async () => {
  const ipam = await connect({ url: main().url(), servers: { blue: blue().url() } })
  for (const vrf of ["default", "blue", "default", "blue"]) {
    await ipam.cancelOperation({ operationId: crypto.randomUUID(), vrf })
  }
  await ipam.close()
  expect((await run(["saga", "list"])).answer).toHaveLength(4)
  expect((await run(["saga", "list", "--limit", "3"])).answer).toHaveLength(3)
})

test("ignores the servers of the environment exactly where it ignores DATABASE_URL", async () => {
  const told = await run(["pool", "list", "--url", main().url()])
  expect(told.answer).toMatchObject([{ vrf: "default" }])
  // DATABASE_URL takes precedence over --data.
  const withData = await run(["pool", "list", "--data", "/nowhere"])
  expect(withData.answer).toMatchObject([{ vrf: "blue" }, { vrf: "default" }])
})

test.each([
  [["--url", "postgres://h/a", "--server", "blue"], "--server: must be VRF=URL, each VRF once"],
  [["--url", "postgres://h/a", "--server", "blue=x", "--server", "blue=y"], "--server: must be VRF=URL, each VRF once"],
  [
    ["--server", "blue=postgres://me:sesame@h/a"],
    "--server: the server of all other VRFs is missing; name it by url or DATABASE_URL",
  ],
])("refuses %j", async (words, message) => {
  const { code, answer } = await run(["pool", "list", ...words], {})
  expect({ code, answer }).toMatchObject({ code: 2, answer: { error: "InvalidInput", field: "server", message } })
})

test("refuses what in the environment is no list of servers", async () => {
  const { answer } = await run(["pool", "list"], { ...environment(), SAGA_IPAM_SERVERS: "blue" })
  expect(answer).toMatchObject({ field: "SAGA_IPAM_SERVERS", error: "InvalidInput" })
})
