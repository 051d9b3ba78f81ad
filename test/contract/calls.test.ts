/** The declarations of the calls against the database that serves them, and against the table of errors. */
import { readFile } from "node:fs/promises"
import { beforeAll, describe, expect, test } from "vitest"
import { referencePage } from "../../scripts/referencePage.ts"
import { calls, everySent } from "../../src/contract/calls.ts"
import { camelCase } from "../../src/contract/row.ts"
import { errorFacts } from "../../src/errors/errorFacts.ts"
import { useDatabase, type Session } from "../harness/database.ts"

const database = useDatabase()
let owner: Session
beforeAll(() => {
  owner = database().session()
})

/** By the name of the SQL function; two calls of one function are declared alike but for what they send. */
const bySqlName = new Map(everySent.map((sent) => [sent.sqlName, sent]))

describe.each([...bySqlName.values()])("ipam.$sqlName", ({ sqlName, text, asText, parameters, answer, role }) => {
  test("takes the parameters and answers the columns that are declared", async () => {
    const columns = Object.entries(answer.columns)
    const types = parameters.map(([, type]) => (type === "jsonb" ? "text" : type))
    expect(await owner.describe(text)).toEqual({ parameters: types, columns })
    expect(await owner.describe(asText)).toEqual({
      parameters: types,
      columns: columns.map(([name]) => [name, "text"]),
    })
  })

  test("names only parameters that the function has, and all without a default", async () => {
    const rows = await owner.rows(
      `select p.proargnames[1:p.pronargs] as names, p.pronargs - p.pronargdefaults as needed
      from pg_proc p where p.oid = $1::text::regproc`,
      [`ipam.${sqlName}`],
    )
    const [{ names, needed } = {}] = rows
    const all = (Array.isArray(names) ? names : String(names).replaceAll(/[{}]/g, "").split(",")).map(String)
    const named = parameters.map(([name]) => name)
    expect(all.filter((name) => name !== "")).toEqual(expect.arrayContaining(named))
    expect(named).toEqual(expect.arrayContaining(all.slice(0, Number(needed)).filter((name) => name !== "")))
  })

  test(`may be called by ${role} and by those who may more`, async () => {
    const roles = ["reader", "allocator", "operator"]
    const rows = await owner.rows(
      `select r.rolname as name from unnest($1::text[]) r (rolname)
      where has_function_privilege(r.rolname, $2::text::regproc, 'execute')`,
      [`{${roles.map((name) => `ipam_${name}`).join(",")}}`, `ipam.${sqlName}`],
    )
    expect(rows.map((row) => row["name"])).toEqual(roles.slice(roles.indexOf(role)).map((name) => `ipam_${name}`))
  })
})

test("every function that a role may call is declared", async () => {
  const rows = await owner.rows(
    `select p.proname as name from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = 'ipam'::regnamespace and l.lanname in ('sql', 'plpgsql')
      and has_function_privilege('ipam_operator', p.oid, 'execute')`,
  )
  const granted = rows.map((row) => String(row["name"]))
  expect(granted.toSorted()).toEqual([...bySqlName.keys()].toSorted())
})

test("a method has the name of its SQL function, or one of these", () => {
  const otherwise = Object.entries(calls).flatMap(([name, one]) =>
    "sqlName" in one && camelCase(one.sqlName) !== name ? [`${name} calls ${one.sqlName}`] : [],
  )
  expect(otherwise).toEqual([
    "drain calls set_draining",
    "undrain calls set_draining",
    "identify calls identity_vrfs",
    "repairPool calls repair",
  ])
})

test("the table of errors has the error of every outcome, those of the database, and no other", () => {
  const refusals = everySent.flatMap(({ answer }) => answer.errors.map(({ identifier }) => identifier))
  const ofTheDatabase = [
    "InvalidInput",
    "Contended",
    "DatabaseUnavailable",
    "DatabaseUnreachable",
    "DiskFull",
    "NotPermitted",
    "DatabaseMisconfigured",
    "Drifted",
    "SchemaTooOld",
    "SchemaTooNew",
  ]
  const ofTheReconciler = ["OwnersUnreadable", "TooManyOrphans"]
  expect(new Set([...refusals, ...ofTheDatabase, ...ofTheReconciler])).toEqual(new Set(Object.keys(errorFacts)))
})

test("docs/reference.md is fresh: after a change of the declarations, run `npm run reference`", async () => {
  const page = new URL("../../docs/reference.md", import.meta.url)
  expect(await readFile(page, "utf8")).toBe(referencePage())
})
