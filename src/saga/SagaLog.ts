/**
 * The saga log as a worker uses it: the calls of `contract/sagaCalls.ts`, of which those under a claim fail with `LeaseLost` once another
 * one has the saga.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Sent } from "../contract/call.ts"
import { sagaCalls, type Claim, type Settled, type Writing } from "../contract/sagaCalls.ts"
import type { CallError, Server } from "../database/Database.ts"
import { sender } from "../services/methods.ts"

/** The lease was lost: another worker has the saga, or it has ended. Whoever learns of it stops, and touches nothing. */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", {}) {}

/** The log on a server. `serves`: whether a VRF is there, where an operation of this log may work on it. */
export const makeSagaLog = ({ query }: Server, serves: (vrf: string) => boolean = () => true) => {
  const send = sender(query)

  const underLease = <A>(call: Effect.Effect<A | null, CallError>): Effect.Effect<A, CallError | LeaseLost> =>
    Effect.flatMap(call, (answer) => (answer === null ? Effect.fail(new LeaseLost()) : Effect.succeed(answer)))

  /** A write under a claim, which also records what has settled. */
  const writing =
    <Request extends Writing, A>(sent: Sent<Request, A | null, never>) =>
    (
      { operationId, vrf, epoch }: Claim,
      settled: ReadonlyArray<Settled>,
      rest: Omit<Request, keyof Claim | "settled">,
    ) =>
      underLease<A>(send(sent, { operationId, vrf, epoch, settled, ...rest } as unknown as Request))

  const advance = writing(sagaCalls.advanceSaga)

  return {
    start: (request: Parameters<typeof sagaCalls.startSaga.values>[0]) => send(sagaCalls.startSaga, request),
    claim: (request: Parameters<typeof sagaCalls.claimSagas.values>[0]) => send(sagaCalls.claimSagas, request),
    keys: (operationId: string) => send(sagaCalls.sagaKeys, { operationId }),
    renew: (request: Parameters<typeof sagaCalls.renewLease.values>[0]) => send(sagaCalls.renewLease, request),
    retire: (workerId: string) => send(sagaCalls.retireWorker, { workerId }),
    report: ({ operationId, vrf, epoch }: Claim, name: string, error: string) =>
      underLease(send(sagaCalls.reportAttempt, { operationId, vrf, epoch, name, error })),
    advance: (claim: Claim, settled: ReadonlyArray<Settled>, next: Parameters<typeof advance>[2] = {}) =>
      advance(claim, settled, next),
    refuse: writing(sagaCalls.refuseStep),
    unwind: writing(sagaCalls.unwindSaga),
    park: writing(sagaCalls.parkSaga),
    finish: writing(sagaCalls.finishSaga),
    serves,
  }
}

export type SagaLog = ReturnType<typeof makeSagaLog>

/** What a saga has allocated, as its replay reads it. */
export type SagaKeys = Effect.Success<ReturnType<SagaLog["keys"]>>
