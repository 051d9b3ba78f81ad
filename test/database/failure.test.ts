import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { beforeAll, describe, expect, test } from "vitest"
import { Database, type Statement } from "../../src/database/Database.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase("empty")
const context = { call: "probe", vrf: "blue", requestId: "r", slot: "s" }

beforeAll(async () => {
  await database().session().run(`
    create sequence attempts;
    create function fail(state text) returns int language plpgsql as $$
    begin
      perform nextval('attempts');
      raise exception 'some_field: is wrong' using errcode = state;
    end $$;
      `)
})

const run = (statement: Statement, parameters: ReadonlyArray<string>, options = database().options()) =>
  Effect.runPromiseExit(
    Effect.flatMap(Database, ({ queryAnySchema }) => queryAnySchema(statement, parameters, context)).pipe(
      Effect.provide(Database.layer(options)),
    ),
  )
const failWith = (state: string, repeatable = true) => run({ text: "select fail($1)", repeatable }, [state])

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (Exit.isSuccess(exit)) throw new Error("it succeeded")
  const [reason] = exit.cause.reasons
  return reason?._tag === "Fail" ? reason.error : reason
}

const attempts = async (work: () => Promise<unknown>): Promise<number> => {
  const session = database().session()
  await session.run("alter sequence attempts restart")
  await work()
  const [row] = await session.rows("select last_value, is_called from attempts")
  await session.end()
  return row?.["is_called"] === true ? Number(row["last_value"]) : 0
}

describe("an SQLSTATE", () => {
  // Concurrent, because those that are retried take a few seconds each.
  test.concurrent.each([
    ["22023", "InvalidInput"],
    ["22P02", "InvalidInput"],
    ["55P03", "Contended"],
    ["42501", "NotPermitted"],
    ["28000", "DatabaseMisconfigured"],
    ["53100", "DiskFull"],
    ["53200", "DatabaseUnreachable"],
    ["53300", "DatabaseUnreachable"],
    ["57P03", "DatabaseUnreachable"],
    ["58030", "DatabaseUnreachable"],
    ["08006", "DatabaseUnavailable"],
    ["XX001", "Drifted"],
  ])("%s becomes %s", async (state, tag) => {
    expect(errorOf(await failWith(state, false))).toMatchObject({ _tag: tag })
  })

  test.each([["40001"], ["40P01"]])("%s is retried, and then becomes Contended", async (state) => {
    let error: unknown
    const count = await attempts(async () => {
      error = errorOf(await failWith(state, false))
    })
    expect(error).toMatchObject({ _tag: "Contended", call: "probe", vrf: "blue", requestId: "r", slot: "s" })
    expect(count).toBeGreaterThan(2)
  })

  test("that leaves the outcome unknown is retried only if the statement is idempotent", async () => {
    expect(await attempts(() => failWith("08006", false))).toBe(1)
    expect(await attempts(() => failWith("08006", true))).toBeGreaterThan(2)
  })

  test("that no retry can change is not retried", async () => {
    for (const state of ["22023", "55P03", "42501", "28000", "53100", "XX001", "P0001"])
      expect(await attempts(() => failWith(state))).toBe(1)
  })

  test("that is unexpected is a defect, with its message", async () => {
    expect(errorOf(await failWith("23505"))).toMatchObject({
      _tag: "Die",
      defect: { message: "probe: some_field: is wrong" },
    })
  })
})

test("a refused argument is named as the field of the request", async () => {
  expect(errorOf(await failWith("22023"))).toMatchObject({ field: "someField", message: "some_field: is wrong" })
})

describe("a role without the privilege to", () => {
  const migrated = useDatabase()
  /** The error of a call by a role that has only these grants. */
  const refused = async (grants: string, call: string, text: string) => {
    const session = migrated().session()
    const role = `${migrated().name}_stranger`
    await session.run(`create role ${role} role current_user; ${grants.replaceAll("ROLE", role)}`)
    const exit = await Effect.runPromiseExit(
      Effect.flatMap(Database, ({ query }) => query({ text, repeatable: true }, [], { call })).pipe(
        Effect.provide(Database.layer({ url: `${migrated().url()}&options=-c%20role%3D${role}` })),
      ),
    )
    await session.run(`drop owned by ${role}; drop role ${role}`)
    return errorOf(exit)
  }
  const get = "select ipam.get('default', gen_random_uuid(), 'default')"

  test("use the schema is told which role to grant", async () => {
    const error = await refused("", "allocate", get)
    expect(error).toMatchObject({ _tag: "NotPermitted", call: "allocate", role: "ipam_allocator", code: "42501" })
  })

  test("make the call is told which role to grant, and that role suffices", async () => {
    expect(await refused("grant ipam_reader to ROLE", "doctor", "select ipam.doctor()")).toMatchObject({
      role: "ipam_operator",
    })
    const error = await refused(
      "grant usage on schema ipam to ROLE; grant select on ipam.schema_version to ROLE",
      "get",
      get,
    )
    expect(error).toMatchObject({ role: "ipam_reader" })
    const session = migrated().session()
    await session.run(`set role ipam_reader; ${get}`)
    await session.end()
  })

  test("read a table of another schema is told no role", async () => {
    const own = "create table public.own (); grant ipam_operator to ROLE"
    const error = await refused(own, "owners", "select from public.own")
    expect(error).toMatchObject({ _tag: "NotPermitted", reason: "permission denied for table own" })
    expect(error).not.toMatchObject({ role: expect.anything() as unknown })
  })
})

test("a call that is refused after an attempt with an unknown outcome has an unknown outcome", async () => {
  const session = database().session()
  await session.run(`
    create sequence executions;
    create function first_lost() returns int language plpgsql as $$
    begin
      if nextval('executions') = 1 then raise exception 'gone' using errcode = '08006'; end if;
      raise exception 'full' using errcode = '53100';
    end $$`)
  const lost = { text: "select first_lost()", repeatable: true }
  expect(errorOf(await run(lost, []))).toMatchObject({ _tag: "DatabaseUnavailable", reason: "full" })
  expect(errorOf(await run(lost, []))).toMatchObject({ _tag: "DiskFull", reason: "full" })
})
