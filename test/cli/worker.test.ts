/** `saga-ipam worker`: its start, its end, its health, and what it refuses. What it executes is tested in test/saga. */
import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { useCommand } from "./command.ts"
import { create, sagas, useFlows } from "./sagaWorker.ts"

const { database, here, hold, startWorker, begin, detached, reached, refusal, answer } = useFlows()
const asAllocator = useCommand(database, "ipam_allocator")

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "saga-ipam-worker-"))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A module of the user; what it imports is resolved from this clone. */
const moduleOf = async (name: string, text: string): Promise<string> => {
  const file = join(folder, name)
  await writeFile(
    file,
    text.replaceAll(/from "([\w/-]+)"/g, (_, to: string) => `from "${import.meta.resolve(to)}"`),
  )
  return file
}

describe("a worker", () => {
  test.each(["SIGINT", "SIGTERM"] as const)("ends on %s, and leaves no connection", async (signal) => {
    const one = begin("worker", sagas)
    await one.said("running")
    one.child.kill(signal)
    expect(await one.ended).toEqual({
      code: 130,
      out: "",
      err: `saga-ipam worker: running the sagas of ${sagas}; Ctrl-C ends it, and its sagas continue with another worker\n`,
    })
    await here().session.until(
      `select where not exists (select from pg_stat_activity
         where datname = current_database() and application_name like 'saga-ipam%')`,
    )
  })

  test("reports as JSON that it is running, and in a file that it is healthy", async () => {
    const health = join(folder, "health")
    const one = begin("worker", sagas, "--json", "--health-file", health)
    await new Promise((told) => one.child.stdout?.once("data", told))
    expect(await readFile(health, "utf8")).toMatch(/^\d{4}-\d\d-\d\dT\S+Z\n$/)
    one.child.kill("SIGTERM")
    const { out, err } = await one.ended
    expect({ out, err }).toEqual({ out: `${JSON.stringify({ event: "running", files: [sagas] })}\n`, err: "" })
    await expect(access(health)).rejects.toThrow("ENOENT")
  })

  test("that is told to end lets its sagas end within its grace", async () => {
    const held = hold("before PUT machines finishing")
    const one = await startWorker("--grace", "600")
    const operationId = await detached(create("finishing"))
    await held.reached
    one.child.kill("SIGTERM")
    held.open()
    expect((await one.ended).code).toBe(130)
    expect(await answer("saga", "status", operationId)).toMatchObject({ state: "succeeded" })
  })

  test("hands back what does not end within its grace, and another one continues it at once", async () => {
    const held = hold("after PUT machines handed-back")
    const one = await startWorker("--grace", "0", "--takeover", "3600")
    const operationId = await detached(create("handed-back"))
    await held.reached
    expect(await answer("saga", "status", operationId)).toMatchObject({
      saga: { phase: "running", worker: expect.stringMatching(/ \d+$/), leaseUntil: expect.any(String) },
    })
    one.child.kill("SIGTERM")
    held.open()
    expect((await one.ended).code).toBe(130)
    const other = await startWorker()
    await reached(operationId, "state = 'succeeded'")
    other.child.kill("SIGTERM")
    expect((await other.ended).code).toBe(130)
  })

  test("needs the role ipam_allocator, with which it does not reclaim, and says so", async () => {
    const worker = asAllocator.beginWith({ DATACENTER_URL: here().datacenter.url }, "worker", sagas)
    await worker.said("WARN The role of this worker may not reclaim")
    await reached(await detached(create("allocated")), "state = 'succeeded'")
    worker.child.kill("SIGTERM")
    expect((await worker.ended).code).toBe(130)
  })

  test("executes sagas of Effect as layers, whose resources are there until its last saga has ended", async () => {
    const file = await moduleOf(
      "layers.mjs",
      `import * as Effect from "effect/Effect"
       import * as Layer from "effect/Layer"
       import * as Schema from "effect/Schema"
       import { Saga, step } from "saga-ipam/saga"
       export const Note = Saga.make("Note", {
         payload: { id: Schema.String }, idempotencyKey: ({ id }) => id, targets: ({ id }) => [{ kind: "note", id }],
         success: Schema.String,
       })
       const resource = Effect.acquireRelease(
         Effect.sync(() => ({ isOpen: true })),
         (opened) => Effect.sync(() => { opened.isOpen = false }),
       )
       export const live = Layer.unwrap(Effect.map(resource, (opened) => Note.toLayer(({ id }) => step("note", {
         do: Effect.callback((resume) => {
           const answer = () => resume(Effect.succeed(opened.isOpen ? "open" : "closed"))
           if (id === "now") return answer()
           process.once("SIGTERM", () => setTimeout(answer, 100))
           console.error("the last saga runs")
         }),
         success: Schema.String,
       }))))`,
    )
    const note = (id: unknown) => ["saga", "start", "Note", JSON.stringify({ id }), "--file", file]
    const worker = begin("worker", file)
    await worker.said("running")
    expect(await answer(...note("now"))).toMatchObject({ state: "succeeded", result: "open" })
    expect(await refusal(...note(1))).toMatchObject({ code: 2, error: "InvalidInput", field: "id" })
    await answer(...note("at the end"), "--detach")
    await worker.said("the last saga runs")
    worker.child.kill("SIGTERM")
    expect((await worker.ended).code).toBe(130)
    expect(await answer(...note("at the end"), "--detach")).toMatchObject({ state: "succeeded", result: "open" })
  })

  test("refuses modules that it cannot load or serve, and says why", async () => {
    const layer = `import * as Context from "effect/Context"
      import * as Effect from "effect/Effect"
      import * as Layer from "effect/Layer"`
    const cases = [
      [join(folder, "nowhere.ts"), "does not exist"],
      [await moduleOf("empty.ts", "export const one: number = 1"), "exports no saga"],
      [await moduleOf("wrong.ts", "export const one: = 1"), "cannot be loaded"],
      [
        await moduleOf(
          "needs.mjs",
          `${layer}; export const live = Layer.effectDiscard(Context.Service("Absent").use(() => Effect.void))`,
        ),
        "Absent",
      ],
      [
        await moduleOf(
          "copy.mjs",
          `const Layer = await import(${JSON.stringify(`${import.meta.resolve("effect/Layer")}?another`)})
           export const live = Layer.empty`,
        ),
        "uses another copy of effect",
      ],
    ] as const
    const refused = await Promise.all(cases.map(([file]) => refusal("worker", file)))
    expect(refused).toMatchObject(
      cases.map(([, why]) => ({
        code: 2,
        error: "InvalidInput",
        field: "file",
        message: expect.stringContaining(why),
      })),
    )
  })

  test("refuses to run without a module, and numbers out of their bounds", async () => {
    expect(await refusal("worker")).toMatchObject({ code: 2, error: "InvalidInput" })
    const cases = [
      ...["0.9", "-1", "3601", "soon"].map((text) => ["takeover", text] as const),
      ...["-1", "1e9"].map((text) => ["grace", text] as const),
      ["concurrency", "0"] as const,
      ["health-file", join(folder, "nowhere/health")] as const,
    ]
    const refused = await Promise.all(cases.map(([field, text]) => refusal("worker", sagas, `--${field}=${text}`)))
    expect(refused).toMatchObject(cases.map(([field]) => ({ code: 2, error: "InvalidInput", field })))
  })
})
