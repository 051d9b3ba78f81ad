/** The sources from which the reconciler learns which owners exist: a query, a file, a function. */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Database } from "../../src/database/Database.ts"
import { layer } from "../../src/layer.ts"
import { ownersByFile, ownersByQuery } from "../../src/services/ownerSources.ts"
import type { OwnerSource } from "../../src/services/owners.ts"
import { Reconciler } from "../../src/services/Reconciler.ts"
import { OwnersUnreadable } from "../../src/promise.ts"
import { allocateFor, database, held, immediately, ipam, vrf } from "./machines.ts"

const makeRuntime = () => ManagedRuntime.make(layer({ url: database().url("ipam_operator") }))
let runtime: ReturnType<typeof makeRuntime>

beforeAll(() => {
  runtime = makeRuntime()
})
afterAll(() => runtime.dispose())

describe("a source", () => {
  /** The outcome of the second of two runs, since the first only marks orphans. */
  const reconcile = (source: OwnerSource<unknown, Database>) =>
    runtime.runPromise(
      Reconciler.use((reconciler) =>
        Effect.andThen(reconciler.reconcile(source, immediately()), reconciler.reconcile(source, immediately())),
      ),
    )
  const byQuery = (text: string) => reconcile(ownersByQuery(text))

  test("may be a query, with or without a column for the VRF", async () => {
    for (const id of ["a", "b", "c"]) await allocateFor(id)
    const query = (rows: string) => `select kind, id, vrf from (values ${rows}) o (kind, id, vrf);`
    const done = await byQuery(
      query(`('machine', 'a', null), ('machine', 'b', '${vrf}'), ('machine', 'c', 'elsewhere')`),
    )
    expect(done.released.map((one) => one.owner?.id)).toEqual(["c"])
    await byQuery("select 'machine' as kind, id from (values ('a')) o (id)")
    expect(await held()).toEqual(["a"])
  })

  test.each([
    ["is not SQL", "selekt"],
    ["lacks a column", "select 1 as id"],
    ["fails half-way", "select 'machine' as kind, (1 / (10 - g))::text as id from generate_series(1, 20) g"],
  ])("releases nothing if it is a query that %s", async (_, text) => {
    await allocateFor("a")
    await expect(byQuery(text)).rejects.toBeInstanceOf(OwnersUnreadable)
    expect(await held()).toEqual(["a"])
  })

  test("that the database refuses fails with the reason of the database, and says that nothing more was released", async () => {
    await allocateFor("a")
    const refused = byQuery("select 'machine' as kind, rolname::text as id from pg_authid")
    await expect(refused).rejects.toThrow(
      "The source of owners cannot be relied on: permission denied for table pg_authid; nothing more was released",
    )
  })

  test("that fails makes the run fail even if no allocation is old enough to ask about", async () => {
    const young = (source: OwnerSource<unknown, Database>, dryRun: boolean) =>
      runtime.runPromise(
        Reconciler.use((reconciler) => reconciler.reconcile(source, { ...immediately(), graceSeconds: 3600, dryRun })),
      )
    await allocateFor("a")
    for (const dryRun of [true, false]) {
      await expect(young(ownersByQuery("selekt"), dryRun)).rejects.toBeInstanceOf(OwnersUnreadable)
      await expect(young(ownersByFile("/nonexistent"), dryRun)).rejects.toBeInstanceOf(OwnersUnreadable)
      expect(await young(ownersByQuery("select 'machine' as kind, 'a' as id"), dryRun)).toMatchObject({ orphans: [] })
    }
    expect(await held()).toEqual(["a"])
  })

  test("may be a file; a file that is truncated, malformed or missing releases nothing", async () => {
    for (const id of ["a", "b", "c"]) await allocateFor(id)
    const folder = await mkdtemp(join(tmpdir(), "saga-ipam-test-"))
    const file = join(folder, "owners.json")
    const whole = JSON.stringify([
      { kind: "machine", id: "a" },
      { kind: "machine", id: "b", vrf },
      { kind: "machine", id: "c", vrf: "elsewhere" },
    ])
    try {
      for (const text of [whole.slice(0, -1), "", "{}", '[{"kind":"machine"}]', '["a"]']) {
        await writeFile(file, text)
        await expect(reconcile(ownersByFile(file))).rejects.toBeInstanceOf(OwnersUnreadable)
      }
      await expect(reconcile(ownersByFile(join(folder, "none")))).rejects.toBeInstanceOf(OwnersUnreadable)
      expect(await held()).toEqual(["a", "b", "c"])
      await writeFile(file, whole)
      expect((await reconcile(ownersByFile(file))).released.map((one) => one.owner?.id)).toEqual(["c"])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test("that is still being read is interrupted together with the run", async () => {
    await allocateFor("a")
    let interrupted = false
    const abort = new AbortController()
    const run = ipam.reconcile(
      (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            interrupted = true
            reject(new Error("aborted"))
          })
          abort.abort(new Error("enough"))
        }),
      { ...immediately(), signal: abort.signal },
    )
    await expect(run).rejects.toThrow("enough")
    expect(interrupted).toBe(true)
    expect(await held()).toEqual(["a"])
  })
})
