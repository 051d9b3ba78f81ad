import * as Effect from "effect/Effect"
import { describe, expect, test } from "vitest"
import { locate, type ConnectOptions } from "../../src/database/locate.ts"

const where = async (options: ConnectOptions, env: Record<string, string> = {}) =>
  Effect.runPromise(Effect.scoped(locate(options, env)))
/** A folder that cannot be created, so that the error names it. */
const folder = (name: string) => `/dev/null/${name}`

describe("the database is that of", () => {
  test("the URL, before anything else", async () => {
    const env = { DATABASE_URL: "postgres://env/d", SAGA_IPAM_DATA: folder("env") }
    const found = await where({ url: "postgres://option/d", data: folder("option"), max: 3 }, env)
    expect(found).toEqual({ database: { url: "postgres://option/d", max: 3 }, embedded: false })
  })

  test("DATABASE_URL, before any folder", async () => {
    const found = await where(
      { data: folder("option") },
      { DATABASE_URL: "postgres://env/d", SAGA_IPAM_DATA: folder("env") },
    )
    expect(found).toEqual({ database: { url: "postgres://env/d" }, embedded: false })
  })

  test("the folder given as an option, before that of the environment; an empty DATABASE_URL does not count", async () => {
    const found = where({ data: folder("option") }, { DATABASE_URL: "", SAGA_IPAM_DATA: folder("env") })
    await expect(found).rejects.toMatchObject({
      _tag: "DatabaseMisconfigured",
      reason: expect.stringContaining(folder("option")),
    })
  })

  test("the folder of the environment, before the default one, if the embedded server is asked for", async () => {
    const found = where({ embedded: true }, { SAGA_IPAM_DATA: folder("env") })
    await expect(found).rejects.toMatchObject({
      _tag: "DatabaseMisconfigured",
      reason: expect.stringContaining(folder("env")),
    })
  })

  test.each([{}, { SAGA_IPAM_DATA: folder("env") }])(
    "no server if nothing names one, and the error says what would: environment %j",
    async (env: Record<string, string>) => {
      const reason = /url.*DATABASE_URL.*data.*embedded: true/
      await expect(where({ embedded: false, max: 3 }, env)).rejects.toMatchObject({
        _tag: "DatabaseMisconfigured",
        reason: expect.stringMatching(reason),
      })
    },
  )

  test.each([-1, 86_401, Number.NaN])("no server with an idle time of %s seconds", async (idleSeconds) => {
    await expect(where({ data: folder("option"), idleSeconds })).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: "idleSeconds",
    })
  })
})
