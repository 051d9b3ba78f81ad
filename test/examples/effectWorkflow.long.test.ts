/**
 * The example on Effect's own workflows. What it adds: the undos are a compensation of the engine, and the example has another copy of Effect
 * than the library.
 */
import { beforeAll, test } from "vitest"
import { startProgram } from "../harness/programs.ts"
import { expectSurvivesCrashes, install, watch } from "./crashes.ts"

beforeAll(() => install("effect-workflow"))

test("killed at any point, an instance is created or undone, and nothing leaks", () =>
  expectSurvivesCrashes(({ databaseUrl, datacenterUrl }) => ({
    start: async (requests) => {
      const env = { DATABASE_URL: databaseUrl(), DATACENTER_URL: datacenterUrl }
      return [watch(startProgram("examples/effect-workflow/main.ts", requests, env))]
    },
  })))
