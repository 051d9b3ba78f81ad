/** `saga-ipam saga start`: its answers and its exit codes. */
import { describe, expect, test } from "vitest"
import { create, operation, sagas, starting, useFlows } from "./sagaWorker.ts"

const { here, startWorker, ended, cli, reached, answer, refusal } = useFlows()

describe("without a worker", () => {
  test("a detached start answers at once, the saga is queued, and a worker executes it later", async () => {
    const begun = await answer(...starting(create("early")), "--detach")
    expect(begun).toMatchObject(operation({ outcome: "begun", state: "pending" }))
    const { operationId } = begun as { readonly operationId: string }
    const queued = { operationId, state: "pending", saga: { phase: "queued", worker: null, version: 1, steps: [] } }
    expect(await answer("saga", "status", operationId)).toMatchObject(queued)
    expect(await answer("saga", "list")).toMatchObject([queued])
    expect((await cli("saga", "list")).out).toMatch(/ SAGA\n.* queued: no worker has claimed it\n$/)
    expect((await cli("saga", "status", operationId)).out).toMatch(
      /\nsaga +queued: no worker has claimed it\nversion +1\n[^]*\nNo steps yet\.\n$/,
    )
    await startWorker()
    await reached(operationId, "state = 'succeeded'")
    const done = await answer("saga", "status", operationId)
    expect(done).toMatchObject({ state: "succeeded", saga: { phase: "ended" } })
    const steps = (done as { readonly saga: { readonly steps: ReadonlyArray<object> } }).saga.steps
    expect(steps).toMatchObject(
      ["record", "connect", "boot"].map((name) => ({
        name,
        state: "done",
        attempts: 0,
        begunAt: expect.any(String),
        settledAt: expect.any(String),
      })),
    )
    expect((await cli("saga", "status", operationId)).out).toMatch(/\nrecord +done +\S+Z +\S+Z +- +0 +- +-\n/)
  })
})

describe("a saga that is started", () => {
  test("is executed by a worker, and a second start returns the same answer", async () => {
    const first = await answer(...starting(create("quick")))
    const addresses = [expect.stringMatching(/^10\.0\.0\./), expect.any(String), expect.any(String)]
    expect(first).toMatchObject(
      operation({
        state: "succeeded",
        targets: [{ vrf: "default", kind: "instance", id: "quick" }],
        result: { instance: "quick", addresses },
        error: null,
        stuck: null,
      }),
    )
    expect(await answer(...starting(create("quick")))).toEqual(first)
    const other = create("quick", { v4: "one" })
    expect(await refusal(...starting(other))).toMatchObject({ code: 5, error: "KeyReused" })
  })

  test("and unwinds ends with the exit code of its error, and a second start returns the same answer", async () => {
    const failures = [
      { request: "nowhere", fields: { v6: "nowhere" }, code: 3, _tag: "UnknownPool" },
      { request: "full", fields: { external: "one" }, code: 4, _tag: "PoolExhausted" },
      { request: "broken", fields: {}, code: 5, _tag: "SagaFailed" },
    ]
    await here().session.rows("select from ipam.allocate('default', 'one', gen_random_uuid())")
    const all = () => Promise.all(failures.map(({ request, fields }) => ended(...starting(create(request, fields)))))
    const first = await all()
    expect(first).toMatchObject(
      failures.map(({ code, _tag }) => operation({ code, state: "unwound", result: null, error: { _tag } })),
    )
    expect(await all()).toEqual(first)
    expect(await answer("list", "--owner", "instance/broken")).toEqual([])
    expect([...here().datacenter.present().values()]).not.toContain("broken")
  })

  test("with an invalid payload is refused, with the name of the field", async () => {
    const cases = [
      ["InstanceCreate", "{request: r}", "payload"],
      ["InstanceMove", create("r"), "name"],
      ["InstanceCreate", '{"request":"r"}', "payload.instance"],
      ["InstanceCreate", create("r", { v4: 4 }), "payload.pools.v4"],
      ["InstanceCreate", "null", "payload"],
    ] as const
    expect(
      await Promise.all(cases.map(([name, payload]) => refusal("saga", "start", name, payload, "--file", sagas))),
    ).toMatchObject(cases.map(([, , field]) => ({ code: 2, error: "InvalidInput", field })))
  })
})
