/**
 * TLS, against a fake server that refuses every password: a client that receives the refusal has trusted the connection.
 */
import * as Effect from "effect/Effect"
import { createServer, type AddressInfo, type Server } from "node:net"
import { TLSSocket } from "node:tls"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Database, type DatabaseOptions } from "../../src/database/Database.ts"
import { refusePassword } from "./refusingServer.ts"

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

/** Answers an SSLRequest (8 bytes) with S or N, and a startup message with a refusal. */
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
  test("with any certificate, if only encryption is required", async () => {
    for (const ssl of ["prefer", "require"] as const)
      expect(await codeOf(encrypting, { host: "127.0.0.1", ssl })).toBe(trusted)
  })

  test("only with a known certificate, if the certificate is checked", async () => {
    expect(await codeOf(encrypting, { host: "localhost", ssl: true })).toBe("DEPTH_ZERO_SELF_SIGNED_CERT")
    expect(await codeOf(encrypting, { host: "localhost", ssl: "verify-ca" })).toBe("DEPTH_ZERO_SELF_SIGNED_CERT")
  })

  test("with a known certificate for its host name", async () => {
    expect(await codeOf(encrypting, { host: "localhost", ssl: { ca: cert } })).toBe(trusted)
  })

  test("not with a certificate for another host name", async () => {
    expect(await codeOf(encrypting, { host: "127.0.0.1", ssl: { ca: cert } })).toBe("ERR_TLS_CERT_ALTNAME_INVALID")
  })

  test("with a certificate for any host name, if the name is not checked", async () => {
    const ssl = { ca: cert, checkServerIdentity: () => undefined }
    expect(await codeOf(encrypting, { host: "127.0.0.1", ssl })).toBe(trusted)
  })
})

describe("a server that does not encrypt", () => {
  test("is used if that is allowed", async () => {
    for (const ssl of [false, "prefer"] as const) expect(await codeOf(plain, { host: "127.0.0.1", ssl })).toBe(trusted)
  })

  test("is sent nothing if encryption is required", async () => {
    expect(await codeOf(plain, { host: "127.0.0.1", ssl: "require" })).not.toBe(trusted)
    expect(await codeOf(plain, { host: "localhost", ssl: { ca: cert } })).not.toBe(trusted)
  })
})
