/**
 * How the tests run: against the sources of this clone, on one PostgreSQL server for the whole run.
 *
 * A file `*.long.test.ts` runs in mode `long` only (`npm run test:long`), all others in any other mode.
 */
import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

const long = "test/**/*.long.test.ts"

export default defineConfig(({ mode }) => ({
  // `resolve.conditions` has no effect on what runs in Node; without this, `saga-ipam` would resolve to a build.
  ssr: { resolve: { conditions: ["@saga-ipam/source", "module", "node", "development|production"] } },
  test: {
    include: [mode === "long" ? long : "test/**/*.test.ts"],
    exclude: mode === "long" ? [] : [long],
    globalSetup: ["test/harness/server.ts", "test/harness/template.ts"],
    pool: "forks",
    // One more than there are cores: a test waits for its server about as often as it works.
    maxWorkers: Math.min(8, availableParallelism() + 1),
    // Against what hangs for ever: a machine with other work may take ten times as long as an idle one.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 120_000,
  },
}))
