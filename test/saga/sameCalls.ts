/** Calls on the allocator and on the ledger, whose answers must be the same whatever they are sent over. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Allocator } from "../../src/services/Allocator.ts"
import { Operations } from "../../src/services/Operations.ts"

const id = (digit: string) => `${digit.repeat(8)}-1111-4111-8111-111111111111`
/** The requests of the calls. */
export const requestIds = [..."1235d"].map(id)

const owner = { kind: "instance", id: 'i "1" \\, {}' }
const targets = [
  { kind: "instance", id: "i-1" },
  { vrf: "other", kind: "disk", id: "ü" },
]
const begin = { operationId: id("d"), kind: "k", payload: { deep: [1.5, null, "x"], big: 2 ** 40 }, targets }

/** What the calls come to, taken together. */
export const tags = [
  "answer",
  "UnknownPool",
  "PoolExhausted",
  "KeyReused",
  "KeyReleased",
  "AddressTaken",
  "AddressReserved",
  "AddressOutside",
  "InvalidInput",
  "NotFound",
  "OperationEnded",
]

export const script = Effect.gen(function* () {
  const a = yield* Allocator
  const o = yield* Operations
  const slots = [
    { slot: "a,b", pool: "v4" },
    { slot: '"quoted"', pool: "v6", address: "fd00::5:0:0:7" },
    { slot: "c", pool: "odd", address: "0:0:1::77" },
    { slot: "d", pool: "even" },
  ]
  const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
    a.allocate({ pool: "v4", requestId: id("1"), owner, ttlSeconds: 1000 }),
    a.allocate({ pool: "v4", requestId: id("1"), owner, ttlSeconds: 1000 }),
    a.allocate({ pool: "v4", requestId: id("1"), ttlSeconds: 1000 }),
    a.allocate({ pool: "v6", requestId: id("2"), ttlSeconds: 1000.25 }),
    a.allocateMany({ requestId: id("3"), slots, ttlSeconds: 30_000_000 }),
    a.allocateMany({ requestId: id("3"), slots, ttlSeconds: 30_000_000 }),
    a.allocateMany({ requestId: id("4"), slots: [...slots.slice(0, 1), { slot: "x", pool: "nowhere" }] }),
    a.allocate({ pool: "v6", requestId: id("5"), address: "fd00::5:0:0:7" }),
    a.allocate({ pool: "v6", requestId: id("5"), address: "fd01::1" }),
    a.allocate({ pool: "v4", requestId: id("5"), address: "fd00::9" }),
    a.allocate({ pool: "v4", requestId: id("5"), address: "10.0.0.0" }),
    a.allocate({ pool: "v4", requestId: id("5"), address: "10.0.0.0", allowReserved: true }),
    a.allocateMany({ requestId: id("6"), slots: ["1", "2", "3"].map((slot) => ({ slot, pool: "tiny" })) }),
    a.allocate({ pool: "4", requestId: "nonsense" }),
    a.confirm({ requestId: id("1") }),
    a.confirm({ requestId: id("9") }),
    a.confirmMany({ requestId: id("3"), slots: ["d", "c"] }),
    a.extend({ requestId: id("2"), ttlSeconds: 2000 }),
    a.extendMany({ requestId: id("3"), slots: ["a,b", "d"], ttlSeconds: 0.5 }),
    a.release({ requestId: id("1") }),
    a.release({ requestId: id("1") }),
    a.releaseMany({ requestId: id("3"), slots: ["d", "never"] }),
    a.releaseAll({ requestId: id("3") }),
    a.allocate({ pool: "v4", requestId: id("1"), owner, ttlSeconds: 1000 }),
    a.get({ requestId: id("1") }),
    a.get({ requestId: id("2") }),
    a.get({ requestId: id("8") }),
    a.list({ pool: "v6" }),
    a.list({ requestId: id("3") }),
    a.list({ owner }),
    a.list({ pool: "nowhere" }),
    a.who({ address: "10.0.0.0" }),
    a.reclaimExpired(),
    o.beginOperation(begin),
    o.beginOperation(begin),
    o.beginOperation({ ...begin, kind: "other" }),
    o.getOperation({ operationId: id("d") }),
    o.pendingOperations({ kind: "instance", id: "i-1" }),
    o.hasPendingOperation({ kind: "instance", id: "i-1" }),
    o.markStuck({ operationId: id("d"), step: "s", error: "e" }),
    o.clearStuck({ operationId: id("d") }),
    o.unwindOperation({ operationId: id("d") }),
    o.finishOperation({ operationId: id("d"), state: "succeeded" }),
    o.finishOperation({ operationId: id("d"), state: "unwound", error: { why: "é" } }),
    o.finishOperation({ operationId: id("e"), state: "unwound" }),
    a.allocate({ pool: "v4", requestId: id("d") }),
    o.listOperations({ kind: "instance", id: "i-1" }),
    o.latestOperation({ kind: "disk", id: "ü" }),
    o.prune(),
  ]
  return yield* Effect.forEach(calls, (call) => Effect.map(Effect.exit(call), readable))
})

/** An answer or a failure without what differs from run to run: the times. */
const readable = (exit: Exit.Exit<unknown, unknown>) => {
  if (Exit.isSuccess(exit)) return { tag: "answer", value: timeless(exit.value) }
  const [reason] = exit.cause.reasons
  if (reason?._tag !== "Fail") return { tag: "defect", value: String(exit.cause) }
  const error = reason.error as { readonly _tag: string; readonly message: string }
  return { tag: error._tag, value: timeless({ ...error, message: error.message }) }
}

const timeless = (value: unknown): unknown => {
  if (typeof value === "bigint") return `${value}n`
  if (typeof value === "string") return value.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
  if (Array.isArray(value)) return value.map(timeless)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, timeless(inner)]))
}
