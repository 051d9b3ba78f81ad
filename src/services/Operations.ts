/**
 * The ledger of operations: which saga works on what, which state it is in, and how it ended.
 *
 * An operation begins with everything that it works on, in one write, and ends with its state and its result or error, in one
 * write. What has ended never changes. Every call may be made again; what each takes, sends and answers is declared in
 * `operationCalls`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { decodeInput } from "../contract/input.ts"
import type { Operation } from "../contract/operation.ts"
import { operationCalls, targetVrf, type OperationCalls } from "../contract/operationCalls.ts"
import {
  ListOperationsRequest,
  type PendingRequest,
  type PruneRequest,
  TargetRequest,
} from "../contract/operationRequests.ts"
import { Database, type CallError } from "../database/Database.ts"
import type { AmbiguousIdentity, InvalidInput } from "../errors/errors.ts"
import { method } from "./metrics.ts"
import { methodsOf, sender, type Methods } from "./methods.ts"
import { makePruning, type Pruned } from "./pruning.ts"

export class Operations extends Context.Service<
  Operations,
  Omit<Methods<OperationCalls>, "hasPendingOperation" | "latestOperation" | "listOperations"> & {
    /** Whether any operation on the target has not ended; `true` if that cannot be read. Without a vrf, on a target of that kind and id in any VRF. */
    readonly hasPendingOperation: (request: typeof PendingRequest.Encoded) => Effect.Effect<boolean, InvalidInput>
    /** The operation that began last; for display only, since an older one may still be pending. Without a vrf, the target must be known in at most one VRF. */
    readonly latestOperation: (
      request: typeof TargetRequest.Encoded,
    ) => Effect.Effect<Operation | null, AmbiguousIdentity | CallError>
    /** One page of the operations on a target, newest first. Without a vrf, the target must be known in at most one VRF. */
    readonly listOperations: (
      request: typeof ListOperationsRequest.Encoded,
    ) => Effect.Effect<ReadonlyArray<Operation>, AmbiguousIdentity | CallError>
    /** Forgets what ended longer ago than the horizon; see `Pruned`. */
    readonly prune: (request?: typeof PruneRequest.Encoded) => Effect.Effect<Pruned, CallError>
  }
>()("saga-ipam/services/Operations") {
  static readonly layer: Layer.Layer<Operations, never, Database> = Layer.effect(
    Operations,
    Effect.suspend(() => make),
  )
}

const decodeTarget = decodeInput(TargetRequest)
const decodeHistory = decodeInput(ListOperationsRequest)

const make = Effect.gen(function* () {
  const database = yield* Database
  const { query } = database
  const send = sender(query)
  const { hasPendingOperation, latestOperation, listOperations } = operationCalls

  const homeOf = (target: typeof TargetRequest.Type) =>
    target.vrf === undefined ? send(targetVrf, target) : Effect.succeed(target.vrf)

  return Operations.of({
    ...methodsOf(query, "Operations", operationCalls),

    hasPendingOperation: method(
      "Operations.hasPendingOperation",
      Effect.fnUntraced(function* (input: typeof PendingRequest.Encoded) {
        const request = yield* Effect.fromResult(hasPendingOperation.decode(input))
        return yield* Effect.catchCause(send(hasPendingOperation, request), (cause) =>
          Effect.as(
            Effect.logWarning("The target counts as pending, since its operations cannot be read", cause),
            true,
          ),
        )
      }),
    ),
    latestOperation: method(
      "Operations.latestOperation",
      Effect.fnUntraced(function* (input: typeof TargetRequest.Encoded) {
        const target = yield* decodeTarget(input)
        const vrf = yield* homeOf(target)
        return vrf === null ? null : yield* send(latestOperation, { ...target, vrf })
      }),
    ),
    listOperations: method(
      "Operations.listOperations",
      Effect.fnUntraced(function* (input: typeof ListOperationsRequest.Encoded) {
        const request = yield* decodeHistory(input)
        const vrf = yield* homeOf(request)
        return vrf === null ? [] : yield* send(listOperations, { ...request, vrf })
      }),
    ),
    ...makePruning(database),
  })
})
