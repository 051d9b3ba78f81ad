/** Where the reconciler learns which owners there are: a query, a file, a function. */
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
import { database, held, ipam, now, take, vrf } from "./machines.ts"

const makeRuntime = () => ManagedRuntime.make(layer({ url: database().url("ipam_operator") }))
let runtime: ReturnType<typeof makeRuntime>

beforeAll(() => {
  runtime = makeRuntime()
})
afterAll(() => runtime.dispose())

describe("a source", () => {
  /** Twice: the first run only marks. */
  const reconcile = (source: OwnerSource<unknown, Database>) =>
    runtime.runPromise(
      Reconciler.use((reconciler) =>
        Effect.andThen(reconciler.reconcile(source, now()), reconciler.reconcile(source, now())),
      ),
    )
  const byQuery = (text: string) => reconcile(ownersByQuery(text))

  test("may be a query, with or without a VRF", async () => {
    for (const id of ["a", "b", "c"]) await take(id)
    const query = (rows: string) => `select kind, id, vrf from (values ${rows}) o (kind, id, vrf);`
    const done = await byQuery(
      query(`('machine', 'a', null), ('machine', 'b', '${vrf}'), ('machine', 'c', 'elsewhere')`),
    )
    expect(done.released.map((one) => one.owner?.id)).toEqual(["c"])
    await byQuery("select 'machine' as kind, id from (values ('a')) o (id)")
    expect(await held()).toEqual(["a"])
  })

  test.each([
    ["is no SQL", "selekt"],
    ["lacks a column", "select 1 as id"],
    ["fails half-way", "select 'machine' as kind, (1 / (10 - g))::text as id from generate_series(1, 20) g"],
  ])("that is a query which %s releases nothing", async (_, text) => {
    await take("a")
    await expect(byQuery(text)).rejects.toBeInstanceOf(OwnersUnreadable)
    expect(await held()).toEqual(["a"])
  })

  test("that its database refuses is told with the reason, and not with what to do about another call", async () => {
    await take("a")
    const refused = byQuery("select 'machine' as kind, rolname::text as id from pg_authid")
    await expect(refused).rejects.toThrow(
      "The source of owners cannot be relied on: permission denied for table pg_authid; nothing more was released",
    )
  })

  test("that fails is told also while nothing is old enough to be asked about", async () => {
    const young = (source: OwnerSource<unknown, Database>, dryRun: boolean) =>
      runtime.runPromise(
        Reconciler.use((reconciler) => reconciler.reconcile(source, { ...now(), graceSeconds: 3600, dryRun })),
      )
    await take("a")
    for (const dryRun of [true, false]) {
      await expect(young(ownersByQuery("selekt"), dryRun)).rejects.toBeInstanceOf(OwnersUnreadable)
      await expect(young(ownersByFile("/nonexistent"), dryRun)).rejects.toBeInstanceOf(OwnersUnreadable)
      expect(await young(ownersByQuery("select 'machine' as kind, 'a' as id"), dryRun)).toMatchObject({ orphans: [] })
    }
    expect(await held()).toEqual(["a"])
  })

  test("may be a file; one that is cut short, malformed or not there releases nothing", async () => {
    for (const id of ["a", "b", "c"]) await take(id)
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

  test("that waits is interrupted with the run", async () => {
    await take("a")
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
      { ...now(), signal: abort.signal },
    )
    await expect(run).rejects.toThrow("enough")
    expect(interrupted).toBe(true)
    expect(await held()).toEqual(["a"])
  })
})
