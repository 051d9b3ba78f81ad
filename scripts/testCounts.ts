/**
 * The vitest reporter of `npm test`: writes how many tests passed, failed and were skipped to the file that SAGA_IPAM_TEST_COUNTS names.
 *
 * A file or a group that fails outside its tests, e.g. in a hook or an import, counts as one failed test.
 */
import { writeFileSync } from "node:fs"
import type { Reporter, TestModule, TestSuite } from "vitest/node"

export interface TestCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export default class implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const file = process.env["SAGA_IPAM_TEST_COUNTS"]
    if (file === undefined) return
    const count = { passed: 0, failed: 0, skipped: 0, pending: 0 }
    for (const module of modules) {
      for (const test of module.children.allTests()) count[test.result().state]++
      for (const group of [module, ...module.children.allSuites()]) count.failed += hasOwnErrors(group) ? 1 : 0
    }
    const counts: TestCounts = { passed: count.passed, failed: count.failed, skipped: count.skipped + count.pending }
    writeFileSync(file, JSON.stringify(counts))
  }
}

const hasOwnErrors = (group: TestModule | TestSuite): boolean => group.errors().length > 0
