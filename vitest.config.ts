/** How the tests run: against the sources of this clone, on one PostgreSQL server for the whole run. */
import { defineConfig } from "vitest/config"

export default defineConfig({
  // `resolve.conditions` has no effect on what runs in Node; without this, `saga-ipam` would resolve to a build.
  ssr: { resolve: { conditions: ["@saga-ipam/source", "module", "node", "development|production"] } },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/harness/server.ts", "test/harness/template.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
})
