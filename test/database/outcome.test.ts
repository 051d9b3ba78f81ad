import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { beforeAll, describe, expect, test } from "vitest"
import { Database, type Statement } from "../../src/database/Database.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase("empty")
const context = { call: "probe", vrf: "blue", requestId: "r", slot: "s" }

beforeAll(async () => {
  await database().session().run(`
    create sequence tries;
    create function fail(state text) returns int language plpgsql as $$
    begin
      perform nextval('tries');
      raise exception 'some_field: told off' using errcode = state;
    end $$;
    create function tell() returns setof int language sql as 'select 1';
    revoke execute on function tell() from public;
  `)
})

const run = (statement: Statement, parameters: ReadonlyArray<string>, options = database().options()) =>
  Effect.runPromiseExit(
    Effect.flatMap(Database, ({ queryAnySchema }) => queryAnySchema(statement, parameters, context)).pipe(
      Effect.provide(Database.layer({ ...options, timeoutSeconds: 2 })),
    ),
  )
const failWith = (state: string, repeatable = true) => run({ text: "select fail($1)", repeatable }, [state])

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (Exit.isSuccess(exit)) throw new Error("it succeeded")
  const [reason] = exit.cause.reasons
  return reason?._tag === "Fail" ? reason.error : reason
}

const tries = async (work: () => Promise<unknown>): Promise<number> => {
  const session = database().session()
  await session.run("alter sequence tries restart")
  await work()
  const [row] = await session.rows("select last_value, is_called from tries")
  await session.end()
  return row?.["is_called"] === true ? Number(row["last_value"]) : 0
}

describe("an SQLSTATE", () => {
  test.each([
    ["22023", "InvalidInput"],
    ["22P02", "InvalidInput"],
    ["55P03", "Contended"],
    ["42501", "DatabaseUnavailable"],
    ["28000", "DatabaseUnavailable"],
    ["08006", "DatabaseUnavailable"],
    ["58030", "DatabaseUnavailable"],
  ])("%s becomes %s", async (state, tag) => {
    expect(errorOf(await failWith(state, false))).toMatchObject({ _tag: tag })
  })

  test.each([["40001"], ["40P01"]])("%s is repeated whole, and then Contended", async (state) => {
    let error: unknown
    const count = await tries(async () => {
      error = errorOf(await failWith(state, false))
    })
    expect(error).toMatchObject({ _tag: "Contended", call: "probe", vrf: "blue", requestId: "r", slot: "s" })
    expect(count).toBeGreaterThan(2)
  })

  test("that leaves the outcome open is repeated only with a key", async () => {
    expect(await tries(() => failWith("08006", false))).toBe(1)
    expect(await tries(() => failWith("08006", true))).toBeGreaterThan(2)
  })

  test("that no repetition can mend is not repeated", async () => {
    for (const state of ["22023", "55P03", "42501", "28000", "P0001"])
      expect(await tries(() => failWith(state))).toBe(1)
  })

  test("that nobody expects is a defect, which says what it was", async () => {
    expect(errorOf(await failWith("23505"))).toMatchObject({
      _tag: "Die",
      defect: { message: "probe: some_field: told off" },
    })
  })
})

test("a refused argument is named as the caller knows it", async () => {
  expect(errorOf(await failWith("22023"))).toMatchObject({ field: "someField", message: "some_field: told off" })
})

test("a missing grant is told as such", async () => {
  const session = database().session()
  const role = `${database().name}_stranger`
  await session.run(`create role ${role}`)
  const exit = await run({ text: "select tell()", repeatable: true }, [], {
    url: `${database().url()}&options=-c%20role%3D${role}`,
  })
  await session.run(`drop role ${role}`)
  expect(errorOf(exit)).toMatchObject({ _tag: "DatabaseUnavailable", code: "42501" })
  expect(String(errorOf(exit))).toMatch(/permission denied for function tell; grant ipam_allocator/)
})
