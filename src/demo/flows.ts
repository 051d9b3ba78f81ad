/** Starts the sagas of a demo, which workers in other processes execute. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { layer } from "../layer.ts"
import { Operations } from "../services/Operations.ts"
import { starterLayer } from "../saga/engine.ts"
import { startFakeDatacenter } from "../saga/reference/fakeDatacenter.ts"
import { InstanceCreate } from "../saga/reference/InstanceCreate.ts"
import { InstanceDelete } from "../saga/reference/InstanceDelete.ts"
import { startWorkers, TAKEOVER_SECONDS } from "./workers.ts"

export type Creation = Parameters<typeof InstanceCreate.execute>[0]
export type Removal = Parameters<typeof InstanceDelete.execute>[0]

/** How a saga ended. The operation id is the request id of all its addresses. */
export interface Ended {
  readonly operationId: string
  readonly succeeded: boolean
}

export interface Flows {
  /** Creates an instance and waits until the saga has ended; the same request again returns the same answer. */
  readonly create: (asked: Creation) => Promise<Ended>
  /** Deletes an instance. */
  readonly remove: (asked: Removal) => Promise<Ended>
  /** How many sagas have begun and not ended. */
  readonly underWay: () => Promise<number>
  /** Kills one of the two workers and starts it again. */
  readonly crash: () => Promise<void>
  readonly close: () => Promise<void>
}

/** Starts fake devices and two workers on the database. If one cannot start, rejects and leaves nothing. The signal ends every wait. */
export const openFlows = async (url: string, signal: AbortSignal): Promise<Flows> => {
  const devices = await startFakeDatacenter()
  const workers = await startWorkers(url, devices.url).catch(async (error: unknown) => {
    await devices.close()
    throw error
  })
  const runtime = ManagedRuntime.make(
    Layer.merge(starterLayer({ url, takeoverSeconds: TAKEOVER_SECONDS }), layer({ url, max: 4 })),
  )
  return {
    create: (asked) =>
      runtime.runPromise(
        Effect.gen(function* () {
          const { operationId } = yield* InstanceCreate.ids(asked)
          const exit = yield* Effect.exit(InstanceCreate.execute(asked))
          return { operationId, succeeded: Exit.isSuccess(exit) }
        }),
        { signal },
      ),
    remove: (asked) =>
      runtime.runPromise(
        Effect.gen(function* () {
          const { operationId } = yield* InstanceDelete.ids(asked)
          const exit = yield* Effect.exit(InstanceDelete.execute(asked))
          return { operationId, succeeded: Exit.isSuccess(exit) }
        }),
        { signal },
      ),
    underWay: () =>
      runtime.runPromise(
        Effect.gen(function* () {
          const { listOperationsByState: list } = yield* Operations
          const [pending, unwinding] = yield* Effect.all([list({ state: "pending" }), list({ state: "unwinding" })])
          return pending.length + unwinding.length
        }),
      ),
    crash: workers.crash,
    close: async () => {
      await runtime.dispose()
      await workers.close()
      await devices.close()
    },
  }
}
