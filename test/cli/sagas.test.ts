/** `saga-ipam saga start`: its answers and its exit codes. */
import { describe, expect, test } from "vitest"
import { pools } from "../saga/world.ts"
import { create, operation, start, useFlows } from "./flows.ts"

const { here, startWorker, ended, reached, answer, refusal } = useFlows()

describe("without a worker", () => {
  test("a detached start answers at once that the saga is waiting, and a worker executes it later", async () => {
    const waiting = await answer(...start, create("early"), "--detach")
    expect(waiting).toEqual({ operationId: expect.any(String), state: "waiting" })
    const { operationId } = waiting as { readonly operationId: string }
    expect(await refusal("saga", "status", operationId)).toMatchObject({ code: 3, error: "NotFound" })
    expect(await answer("saga", "list")).toEqual([])
    await startWorker()
    await reached(operationId, "state = 'succeeded'")
    expect(await answer("saga", "status", operationId)).toMatchObject(operation({ operationId, state: "succeeded" }))
  })
})

describe("a saga that is started", () => {
  test("is executed by a worker, and a second start returns the same answer", async () => {
    const first = await answer(...start, create("quick"))
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
    expect(await answer(...start, create("quick"))).toEqual(first)
    const other = create("quick", { instance: "other" })
    expect(await refusal(...start, other)).toMatchObject({ code: 5, error: "KeyReused" })
  })

  test("and unwinds ends with the exit code of its error, and a second start returns the same answer", async () => {
    const failures = [
      { request: "nowhere", fields: { pools: { ...pools, v6: "nowhere" } }, code: 3, _tag: "UnknownPool" },
      { request: "full", fields: { pools: { ...pools, external: "one" } }, code: 4, _tag: "PoolExhausted" },
      { request: "broken", fields: { temper: "fail" }, code: 5, _tag: "DeviceRefused" },
      { request: "hanging", fields: { temper: "hang" }, code: 5, _tag: "DeviceUnavailable" },
      { request: "again", fields: { instance: "quick" }, code: 5, _tag: "InstanceExists" },
    ]
    await here().session.rows("select from ipam.allocate('default', 'one', gen_random_uuid())")
    const all = () => Promise.all(failures.map(({ request, fields }) => ended(...start, create(request, fields))))
    const first = await all()
    expect(first).toMatchObject(
      failures.map(({ code, _tag }) => operation({ code, state: "unwound", result: null, error: { _tag } })),
    )
    expect(await all()).toEqual(first)
    expect(await answer("list", "--pool", "v4")).toHaveLength(2)
  })

  test("with an invalid payload is refused, with the name of the field", async () => {
    const cases = [
      ["InstanceCreate", "{request: r}", "payload"],
      ["InstanceMove", create("r"), "flow"],
      ["InstanceCreate", '{"request":"r"}', "instance"],
      ["InstanceCreate", create("r", { pools: { v4: "v4" } }), "pools.v6"],
      ["InstanceCreate", create("r", { temper: "mild" }), "temper"],
      ["InstanceCreate", create("r", { ttl: 3 }), "ttl"],
      ["InstanceCreate", "null", ""],
    ] as const
    expect(await Promise.all(cases.map(([flow, payload]) => refusal("saga", "start", flow, payload)))).toMatchObject(
      cases.map(([, , field]) => ({ code: 2, error: "InvalidInput", field })),
    )
  })
})
