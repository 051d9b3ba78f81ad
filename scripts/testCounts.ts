/**
 * The vitest reporter of `npm test`: writes how many tests passed, failed and were skipped, which failed, and why which were skipped, to
 * the file that SAGA_IPAM_TEST_COUNTS names.
 *
 * A file or a group that fails outside its tests, e.g. in a hook or an import, counts as one failed test.
 */
import { writeFileSync } from "node:fs"
import type { TestError } from "vitest"
import type { Reporter, TestModule } from "vitest/node"

export interface TestCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** A line for each that failed: its file, its names, and how its first error begins. */
  readonly failures: ReadonlyArray<string>
  /** A line for each that was skipped with a reason: its file, its names, and the reason. */
  readonly reasons: ReadonlyArray<string>
}

export default class implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const file = process.env["SAGA_IPAM_TEST_COUNTS"]
    if (file === undefined) return
    const count = { passed: 0, failed: 0, skipped: 0, pending: 0 }
    const failures: Array<string> = []
    const reasons: Array<string> = []
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const result = test.result()
        count[result.state]++
        const name = `${module.relativeModuleId} > ${test.fullName}`
        if (result.state === "failed") failures.push(describe(name, result.errors))
        if (result.state === "skipped" && result.note !== undefined) reasons.push(`${name}: ${result.note}`)
      }
      for (const group of [module, ...module.children.allSuites()]) {
        if (group.errors().length === 0) continue
        count.failed++
        failures.push(describe(module.relativeModuleId, group.errors()))
      }
    }
    const counts: TestCounts = {
      passed: count.passed,
      failed: count.failed,
      skipped: count.skipped + count.pending,
      failures,
      reasons,
    }
    writeFileSync(file, JSON.stringify(counts))
  }
}

const describe = (name: string, errors: ReadonlyArray<TestError>): string => {
  const line = (errors[0]?.message ?? "").split("\n", 1)[0] ?? ""
  return `${name}: ${line.slice(0, 300)}`
}
