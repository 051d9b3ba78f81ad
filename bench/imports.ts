/** An import of 50,000 addresses from NetBox files, and the same import again. */
import * as Effect from "effect/Effect"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { importFolder } from "../src/import/netbox/importFolder.ts"
import type { ImportReport } from "../src/import/report.ts"
import { layer } from "../src/layer.ts"
import { assert, type Bench } from "./database.ts"
import { grouped, table, type Section } from "./report.ts"

/** The prefixes to import, and how many addresses of each. */
const plans = [
  { name: "one /16", prefixes: ["10.0.0.0/16"], perPrefix: 50_000 },
  { name: "200 of a /24", prefixes: Array.from({ length: 200 }, (_, at) => `10.0.${at}.0/24`), perPrefix: 250 },
] as const

/** The addresses of an export, scattered over the prefix, the same in each run. One in fifty is reserved. */
const addressesOf = (prefix: string, count: number, from: number) => {
  const [head = ""] = prefix.split("/")
  const [, , third = 0] = head.split(".").map(Number)
  const size = prefix.endsWith("/16") ? 65_536 : 256
  // The step and the size have no common factor, so no address occurs twice.
  const step = prefix.endsWith("/16") ? 40_503 : 167
  return Array.from({ length: count }, (_, at) => {
    const host = 1 + ((at * step) % (size - 2))
    const id = from + at + 1
    return {
      id,
      address: `10.0.${third + Math.floor(host / 256)}.${host % 256}/${prefix.split("/")[1]}`,
      vrf: null,
      status: { value: id % 50 === 0 ? "dhcp" : "active" },
      assigned_object_type: "dcim.interface",
      assigned_object_id: id,
    }
  })
}

const GOAL_SECONDS = 15

export const imports = async (bench: Bench): Promise<Section> => {
  const rows: Array<ReadonlyArray<string | number>> = []
  let slowest = 0
  for (const [number, { name, prefixes, perPrefix }] of plans.entries()) {
    const count = bench.short ? Math.min(perPrefix, 20) : perPrefix
    const folder = await mkdtemp(join(tmpdir(), "ipam-bench-"))
    try {
      const parts = prefixes.map((prefix, at) => ({ prefix, from: at * perPrefix }))
      const addresses = parts.flatMap(({ prefix, from }) => addressesOf(prefix, count, from))
      const pools = parts.map(({ prefix, from }) => ({
        id: from + 1,
        prefix,
        vrf: { id: number + 1 },
        status: "active",
      }))
      const inVrf = addresses.map((address) => ({ ...address, vrf: { id: number + 1 } }))
      await Promise.all([
        writeFile(join(folder, "vrfs.json"), JSON.stringify([{ id: number + 1, name, rd: null }])),
        writeFile(join(folder, "prefixes.json"), JSON.stringify(pools)),
        writeFile(join(folder, "ip-addresses.json"), JSON.stringify(inVrf)),
      ])
      const timed = async (): Promise<readonly [number, ImportReport]> => {
        const start = performance.now()
        const read = importFolder(folder, { source: name })
        const report = await Effect.runPromise(Effect.provide(read, layer({ url: bench.url, max: 4 })))
        assert(report.complete, `${name}: ${report.unprotected.length} addresses are not protected`)
        return [(performance.now() - start) / 1000, report]
      }
      const [first, { made }] = await timed()
      const done = made.allocations.length + made.reservations.length
      assert(done === addresses.length, `${name}: ${done} of ${addresses.length} addresses were imported`)
      const [again, { existing }] = await timed()
      assert(
        existing.allocations.length === made.allocations.length,
        `${name}: the second import found other allocations`,
      )
      rows.push([name, grouped(addresses.length), first.toFixed(1), again.toFixed(1)])
      slowest = Math.max(slowest, first, again)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  return {
    blocks: [table(["pools", "addresses", "first import, s", "second import, s"], rows)],
    goals: bench.short ? [] : [{ name: "50,000 addresses imported, seconds", figure: slowest, atMost: GOAL_SECONDS }],
  }
}
