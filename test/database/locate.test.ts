import * as Effect from "effect/Effect"
import { describe, expect, test } from "vitest"
import { locate, type ConnectOptions } from "../../src/database/locate.ts"

const where = async (options: ConnectOptions, env: Record<string, string> = {}) =>
  Effect.runPromise(Effect.scoped(locate(options, env)))
/** No folder can be made there, and the error names the one that was tried. */
const folder = (name: string) => `/dev/null/${name}`

describe("the database is", () => {
  test("the URL's before all", async () => {
    const env = { DATABASE_URL: "postgres://env/d", SAGA_IPAM_DATA: folder("env") }
    const found = await where({ url: "postgres://option/d", data: folder("option"), max: 3 }, env)
    expect(found).toEqual({ database: { url: "postgres://option/d", max: 3 }, embedded: false })
  })

  test("that of DATABASE_URL before any folder", async () => {
    const found = await where(
      { data: folder("option") },
      { DATABASE_URL: "postgres://env/d", SAGA_IPAM_DATA: folder("env") },
    )
    expect(found).toEqual({ database: { url: "postgres://env/d" }, embedded: false })
  })

  test("in the folder of the option before that of the environment, and an empty DATABASE_URL counts as none", async () => {
    const found = where({ data: folder("option") }, { DATABASE_URL: "", SAGA_IPAM_DATA: folder("env") })
    await expect(found).rejects.toMatchObject({
      _tag: "DatabaseMisconfigured",
      reason: expect.stringContaining(folder("option")),
    })
  })

  test("in the folder of the environment before the default one, where the embedded server is asked for", async () => {
    const found = where({ embedded: true }, { SAGA_IPAM_DATA: folder("env") })
    await expect(found).rejects.toMatchObject({
      _tag: "DatabaseMisconfigured",
      reason: expect.stringContaining(folder("env")),
    })
  })

  test.each([{}, { SAGA_IPAM_DATA: folder("env") }])(
    "none where nothing names one, which says what would: environment %j",
    async (env: Record<string, string>) => {
      const reason = /url.*DATABASE_URL.*data.*embedded: true/
      await expect(where({ embedded: false, max: 3 }, env)).rejects.toMatchObject({
        _tag: "DatabaseMisconfigured",
        reason: expect.stringMatching(reason),
      })
    },
  )

  test.each([-1, 86_401, Number.NaN])("not found with an idle time of %s seconds", async (idleSeconds) => {
    await expect(where({ data: folder("option"), idleSeconds })).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: "idleSeconds",
    })
  })
})
