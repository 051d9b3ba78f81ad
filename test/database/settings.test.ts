import * as Result from "effect/Result"
import { describe, expect, test } from "vitest"
import { resolveSettings, type DatabaseOptions } from "../../src/database/settings.ts"

const resolve = (options: DatabaseOptions, env: Record<string, string> = {}) =>
  Result.getOrThrow(resolveSettings(options, { PGUSER: "me", ...env }))
const problem = (options: DatabaseOptions) => {
  const resolved = resolveSettings(options, { PGUSER: "me" })
  return Result.isFailure(resolved) ? resolved.failure : "no problem"
}

describe("a database URL", () => {
  test("is split into its parts, percent-decoded", () => {
    expect(
      resolve({ url: "postgresql://u%40x:p%2Fw%3A@db.example:6432/n%20m?sslmode=require&application_name=app" }),
    ).toMatchObject({
      endpoints: [{ host: "db.example", port: 6432 }],
      user: "u@x",
      password: "p/w:",
      database: "n m",
      ssl: "require",
      applicationName: "app",
    })
  })

  test("may have several hosts, each with its port or the common one", () => {
    expect(resolve({ url: "postgres://a:1111,[::1],c/d?port=2222&target_session_attrs=primary" })).toMatchObject({
      endpoints: [
        { host: "a", port: 1111 },
        { host: "::1", port: 2222 },
        { host: "c", port: 2222 },
      ],
      targetSession: "primary",
    })
  })

  test("may name the folder of a unix socket, which is used without TLS", () => {
    const { endpoints, ssl } = resolve({ url: "postgres://u@/d?host=/run/pg&port=5433&sslmode=require" })
    expect(endpoints).toEqual([{ path: "/run/pg/.s.PGSQL.5433" }])
    expect(ssl).toBe(false)
  })

  test("may have a password with an at sign", () => {
    expect(resolve({ url: "postgres://u:p@ss@h/d" })).toMatchObject({
      password: "p@ss",
      endpoints: [{ host: "h", port: 5432 }],
    })
  })

  test("takes missing parts from the variables of libpq, then from defaults", () => {
    expect(
      resolve({ url: "postgres://h/d" }, { PGUSER: "pguser", PGPASSWORD: "pgpass", PGPORT: "5555" }),
    ).toMatchObject({
      endpoints: [{ host: "h", port: 5555 }],
      user: "pguser",
      password: "pgpass",
      max: 10,
      prepare: true,
      timeoutMs: 30_000,
      applicationName: "saga-ipam",
      ssl: "prefer",
    })
  })

  test("with pgbouncer=true prepares no statements", () => {
    expect(resolve({ url: "postgres://h/d?pgbouncer=true" }).prepare).toBe(false)
  })
})

describe("options that cannot be used", () => {
  const secret = "s3cr3t"
  test.each<[string, DatabaseOptions, RegExp]>([
    ["another scheme", { url: `mysql://u:${secret}@h/d` }, /must have the form postgres:/],
    [
      "a slash in the password",
      { url: `postgres://u:12/${secret}@h/d` },
      /must have the form postgres:|host of the database is missing/,
    ],
    ["a broken percent sign", { url: `postgres://u:${secret}%zz@h/d` }, /percent sign/],
    ["an invalid port", { url: `postgres://u:${secret}@h:99999/d` }, /port/],
    ["an unknown parameter", { url: `postgres://u:${secret}@h/d?sslmod=require` }, /unknown parameter: sslmod$/],
    ["an unknown sslmode", { url: `postgres://u:${secret}@h/d?sslmode=yes` }, /sslmode must be one of/],
    ["an invalid certificate", { url: `postgres://u:${secret}@h/d`, ssl: { ca: "x", cert: "broken" } }, /TLS settings/],
    [
      "a missing certificate file",
      { url: `postgres://u:${secret}@h/d?sslmode=verify-full&sslrootcert=/nowhere` },
      /nowhere/,
    ],
    ["no connections", { url: `postgres://u:${secret}@h/d`, max: 0 }, /max must be/],
    ["half a connection", { url: `postgres://u:${secret}@h/d`, max: 1.5 }, /max must be/],
    ["a timeout of zero", { url: `postgres://u:${secret}@h/d`, timeoutSeconds: 0 }, /timeoutSeconds must be/],
    [
      "a timeout that is not a number",
      { url: `postgres://u:${secret}@h/d`, timeoutSeconds: Number.NaN },
      /timeoutSeconds must be/,
    ],
  ])("are refused without quoting the password: %s", (_, options, sentence) => {
    expect(problem(options)).toMatch(sentence)
    expect(problem(options)).not.toContain(secret)
  })
})
