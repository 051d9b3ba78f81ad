/** The demo on its own plan, 750 sagas of it, where `small.long.test.ts` plays a small one; and the same as JSON. */
import { expect, test } from "vitest"
import { databases, start } from "./program.ts"

test("the demo plays our own plan, says how it went, ends with 0 and leaves nothing", async () => {
  const { code, out, err } = await start([]).ended
  expect({ code, err }).toEqual({ code: 0, err: "" })
  for (const line of [
    /^imported +9 pools, 6 reservations, 15 allocations from .*demo\/plan$/m,
    /^ +3 entries have no place here: 3 container$/m,
    /^ +imported again: nothing new$/m,
    /^started +two workers; the sagas of one that is gone wait 4 s for the other, by default 10$/m,
    /^crashed +one of two workers, killed with \d+ sagas pending, and started again$/m,
    /^created +350 instances in 3 VRFs, three addresses each, 16 sagas at a time/m,
    /^unwound +50 sagas whose machine failed on purpose: nothing is left of them$/m,
    /^ +[1-9]\d* addresses are held in several VRFs at once/m,
    /^repeated +117 of the sagas: each got its first answer$/m,
    /^raced +20 keys, 8 callers each: one address a key$/m,
    /^deleted +175 instances, each twice; a late try of one of their steps: KeyReleased$/m,
    /^created +154 more: [1-9]\d* of their addresses had come free$/m,
    /^sagas +679 succeeded, 71 unwound, \d+ resumed after the crash or went on beside it$/m,
    /^addresses +\d+ held, ~\S+ free, 0 cooling$/m,
    /^exhausted +192\.0\.2\.0\/28 in VRF default, after its last 11 addresses$/m,
    /^reused +192\.0\.2\.\d+, released and taken again: generation \d+, then \d+$/m,
    /^red +10\.64\.0\.0\/22 +█+▒+·+ +\d+ held +16 reserved +\d+ free$/m,
    /^doctor +every invariant holds$/m,
  ]) {
    expect(out).toMatch(line)
  }
  expect(out).not.toContain("broken")
  expect(await databases()).toEqual([])
})

test("the demo with --json is one object", async () => {
  const { code, out, err } = await start(["demo", "--json"], "src/cli/main.ts").ended
  expect({ code, err, lines: out.split("\n").length }).toEqual({ code: 0, err: "", lines: 2 })
  const result: unknown = JSON.parse(out)
  expect(result).toMatchObject({ ok: true, findings: [], broken: [], steps: expect.any(Array) })
})
