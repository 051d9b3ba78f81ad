/**
 * TLS, against a server that speaks just enough to ask for a password and refuse it: whoever gets to hear the refusal trusted
 * the connection.
 */
import * as Effect from "effect/Effect"
import { createServer, type AddressInfo, type Server, type Socket } from "node:net"
import { TLSSocket } from "node:tls"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Database, type DatabaseOptions } from "../../src/database/Database.ts"

/** Self-signed, for the name `localhost` alone, until 2126. Made for this test; it protects nothing. */
const key = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIGHRpjfoQjCAPPb/I/L1OJyV65MXY5FEkxiM9LKQlPkKoAoGCCqGSM49
AwEHoUQDQgAEWb9iYHVWJX+EyS70IkujtA/SHDCzv+CutQX6I8hmZGMCtFZ19754
JOYovztjQ6/41YJztlLLpWvubDUijTb9jw==
-----END EC PRIVATE KEY-----`
const cert = `-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUCTnSSYzidUVKd0ZnqARSVcc0JFMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMDIzMzczMVoYDzIxMjYxMDI3
MjMzNzMxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARZv2JgdVYlf4TJLvQiS6O0D9IcMLO/4K61BfojyGZkYwK0VnX3vngk
5ii/O2NDr/jVgnO2Usula+5sNSKNNv2Po2kwZzAdBgNVHQ4EFgQUyZI4H8QwrQSx
nPGt38oMbQTCCOAwHwYDVR0jBBgwFoAUyZI4H8QwrQSxnPGt38oMbQTCCOAwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIgdgRKqdnVJcInODlUrnj2lqTAvASh9bMBEj0iM8iODQoCIQDAcI/4a/Su
bqChayYcMZ8fLAcbHRNoyZZVxU3MjUF/ZQ==
-----END CERTIFICATE-----`

const refusePassword = (socket: Socket) => {
  const fields = `SFATAL\0VFATAL\0C28P01\0Mrefused\0\0`
  const head = Buffer.alloc(5)
  head.write("E")
  head.writeInt32BE(fields.length + 4, 1)
  socket.end(Buffer.concat([head, Buffer.from(fields)]))
}

/** Answers an SSLRequest (8 bytes) with S or N, and the start of a session with a refusal. */
const listen = async (encrypts: boolean): Promise<Server> => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined)
    socket.once("data", (first) => {
      if (first.length !== 8) return refusePassword(socket)
      socket.write(encrypts ? "S" : "N")
      const session = encrypts ? new TLSSocket(socket, { isServer: true, key, cert }) : socket
      session.on("error", () => undefined)
      session.once("data", () => refusePassword(session))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return server
}

let encrypting: Server
let plain: Server
beforeAll(async () => {
  encrypting = await listen(true)
  plain = await listen(false)
})
afterAll(() => {
  encrypting.close()
  plain.close()
})

const codeOf = async (server: Server, options: DatabaseOptions): Promise<unknown> => {
  const { port } = server.address() as AddressInfo
  const call = Effect.flatMap(Database, ({ queryAnySchema }) =>
    queryAnySchema({ text: "select 1", repeatable: false }, [], { call: "probe" }),
  )
  const layer = Database.layer({ port, user: "u", database: "d", timeoutSeconds: 2, ...options })
  const error: unknown = await Effect.runPromise(Effect.flip(Effect.provide(call, layer)))
  expect(error).toMatchObject({ _tag: "DatabaseMisconfigured" })
  return error instanceof Error && "code" in error ? error.code : undefined
}
const trusted = "28P01"

describe("a server that encrypts is trusted", () => {
  test("whatever its certificate says, when encryption alone is asked for", async () => {
    for (const ssl of ["prefer", "require"] as const)
      expect(await codeOf(encrypting, { host: "127.0.0.1", ssl })).toBe(trusted)
  })

  test("not when its certificate must be known and is not", async () => {
    expect(await codeOf(encrypting, { host: "localhost", ssl: true })).toBe("DEPTH_ZERO_SELF_SIGNED_CERT")
    expect(await codeOf(encrypting, { host: "localhost", ssl: "verify-ca" })).toBe("DEPTH_ZERO_SELF_SIGNED_CERT")
  })

  test("when its certificate is known and has its name", async () => {
    expect(await codeOf(encrypting, { host: "localhost", ssl: { ca: cert } })).toBe(trusted)
  })

  test("not when its certificate has another name than was connected to", async () => {
    expect(await codeOf(encrypting, { host: "127.0.0.1", ssl: { ca: cert } })).toBe("ERR_TLS_CERT_ALTNAME_INVALID")
  })

  test("whatever name its certificate has, when the check of the name is left out", async () => {
    const ssl = { ca: cert, checkServerIdentity: () => undefined }
    expect(await codeOf(encrypting, { host: "127.0.0.1", ssl })).toBe(trusted)
  })
})

describe("a server that does not encrypt", () => {
  test("is talked to when that is allowed", async () => {
    for (const ssl of [false, "prefer"] as const) expect(await codeOf(plain, { host: "127.0.0.1", ssl })).toBe(trusted)
  })

  test("is told nothing when encryption is asked for", async () => {
    expect(await codeOf(plain, { host: "127.0.0.1", ssl: "require" })).not.toBe(trusted)
    expect(await codeOf(plain, { host: "localhost", ssl: { ca: cert } })).not.toBe(trusted)
  })
})
