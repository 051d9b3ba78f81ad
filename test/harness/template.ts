/**
 * Global set-up, after `server.ts`: creates a migrated template database that each test file clones, and at the end drops every
 * database of the test run.
 */
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import type { TestProject } from "vitest/node"
import { Database } from "../../src/database/Database.ts"
import { migrate } from "../../src/database/migrate.ts"
import { dropDatabase, openSession, optionsOf, type TestServer } from "./database.ts"

/** Sessions of tests act in each of the roles. A user who may create roles, but is no superuser, must be a member for that. */
const joinRoles = `
do $join$
declare
  v_role text;
begin
  foreach v_role in array array['ipam_allocator', 'ipam_operator', 'ipam_reader'] loop
    if not pg_has_role(v_role, 'member') then
      execute format('grant %I to current_user', v_role);
    end if;
  end loop;
end
$join$`

export default async function setup(project: TestProject) {
  const server: TestServer = project.getProvidedContext().server
  const template = `ipam_test_${randomBytes(5).toString("hex")}`
  const admin = openSession(optionsOf(server, server.database))
  await admin.run(`create database ${template}`)
  await Effect.runPromise(migrate().pipe(Effect.provide(Database.layer(optionsOf(server, template)))))
  await admin.run(joinRoles)
  // A database with connections cannot be cloned.
  await admin.run(`alter database ${template} allow_connections false`)
  const [user] = await admin.rows("select rolsuper as super from pg_roles where rolname = current_user")
  project.provide("isSuperuser", user?.["super"] === true)
  project.provide("template", template)
  return async () => {
    const left = await admin.rows("select datname from pg_database where datname like $1", [`${template}%`])
    for (const { datname } of left) await dropDatabase(admin, String(datname))
    await admin.end()
  }
}

declare module "vitest" {
  export interface ProvidedContext {
    template: string
    /** Whether the user of the server may do everything, as on managed servers nobody may. */
    isSuperuser: boolean
  }
}
