/**
 * Global set-up: the PostgreSQL server of the test run, provided to the tests as `inject("server")`.
 *
 * It is the server that DATABASE_URL names, else a temporary one that does not flush to disk, from the programs in the folder
 * SAGA_IPAM_TEST_BINARIES if that is set.
 */
import * as Result from "effect/Result"
import { basename, dirname } from "node:path"
import type { TestProject } from "vitest/node"
import { startTemporaryServer } from "../../src/embedded/temporary.ts"
import { resolveSettings } from "../../src/database/settings.ts"
import type { TestServer } from "./database.ts"

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const url = process.env["DATABASE_URL"] ?? ""
  if (url !== "") {
    project.provide("server", serverOf(url))
    return () => Promise.resolve()
  }
  const { host, port, user, database, stop } = await startTemporaryServer("ipam-test-", {
    durable: false,
    settings: { max_connections: "300" },
    binaries: process.env["SAGA_IPAM_TEST_BINARIES"] || undefined,
  })
  project.provide("server", { host, port, user, database })
  return stop
}

const serverOf = (url: string): TestServer => {
  const { endpoints, user, password, database } = Result.getOrThrow(resolveSettings({ url }))
  const [endpoint] = endpoints
  const address =
    "path" in endpoint
      ? { host: dirname(endpoint.path), port: Number(/\d+$/.exec(basename(endpoint.path))?.[0]) }
      : endpoint
  return { ...address, user, database, ...(password === "" ? {} : { password }) }
}

declare module "vitest" {
  export interface ProvidedContext {
    server: TestServer
  }
}
