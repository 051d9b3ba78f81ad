/**
 * Global set-up, after `server.ts`: creates a migrated template database that each test file clones, and at the end drops every
 * database of the test run.
 */
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import type { TestProject } from "vitest/node"
import { Database } from "../../src/database/Database.ts"
import { migrate } from "../../src/database/migrate.ts"
import { openSession, optionsOf, type TestServer } from "./database.ts"

export default async function setup(project: TestProject) {
  const server: TestServer = project.getProvidedContext().server
  const template = `ipam_test_${randomBytes(5).toString("hex")}`
  const admin = openSession(optionsOf(server, server.database))
  await admin.run(`create database ${template}`)
  await Effect.runPromise(migrate().pipe(Effect.provide(Database.layer(optionsOf(server, template)))))
  // A database with connections cannot be cloned.
  await admin.run(`alter database ${template} allow_connections false`)
  project.provide("template", template)
  return async () => {
    const left = await admin.rows("select datname from pg_database where datname like $1", [`${template}%`])
    for (const { datname } of left) await admin.run(`drop database ${String(datname)} with (force)`)
    await admin.end()
  }
}

declare module "vitest" {
  export interface ProvidedContext {
    template: string
  }
}
