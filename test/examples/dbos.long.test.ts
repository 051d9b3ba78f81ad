/**
 * The example on DBOS. What it adds: the engine is a library that keeps its records in the same database, and recovers them when the next
 * process launches it.
 */
import { beforeAll, test } from "vitest"
import { startProgram } from "../harness/programs.ts"
import { expectSurvivesCrashes, install, watch } from "./crashes.ts"

beforeAll(() => install("dbos"))

test("killed at any point, an instance is created or undone, and nothing leaks", () =>
  expectSurvivesCrashes(({ databaseUrl, datacenterUrl }) => ({
    start: async (requests) => {
      const env = { DATABASE_URL: databaseUrl(), DATACENTER_URL: datacenterUrl }
      return [watch(startProgram("examples/dbos/main.ts", requests, env))]
    },
  })))
