/** Starts the sagas of a demo, which workers in other processes execute. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type { Database } from "../database/Database.ts"
import { layer } from "../layer.ts"
import { Operations } from "../services/Operations.ts"
import { InstanceCreate, InstanceDelete } from "./sagas.ts"
import { startWorkers } from "./workers.ts"

export type Creation = Parameters<typeof InstanceCreate.execute>[0]
type Removal = Parameters<typeof InstanceDelete.execute>[0]

/** How a saga ended. The operation id is the request id of all its addresses. */
export interface Ended {
  readonly operationId: string
  readonly succeeded: boolean
}

export interface ControlPlane {
  /** Creates an instance and waits until the saga has ended; the same request again returns the same answer. */
  readonly create: (asked: Creation) => Promise<Ended>
  /** Deletes an instance. */
  readonly remove: (asked: Removal) => Promise<Ended>
  /** How many sagas have begun and not ended. */
  readonly pending: () => Promise<number>
  /** Kills one of the two workers and starts it again. */
  readonly crash: () => Promise<void>
  readonly close: () => Promise<void>
}

/** Starts two workers on the database. If one cannot start, rejects and leaves nothing. The signal ends every wait. */
export const openControlPlane = async (url: string, signal: AbortSignal): Promise<ControlPlane> => {
  const workers = await startWorkers(url)
  const runtime = ManagedRuntime.make(layer({ url, max: 4 }))
  const execute = async (
    operationId: string,
    saga: ReturnType<typeof InstanceCreate.execute | typeof InstanceDelete.execute>,
  ): Promise<Ended> => {
    const exit = await runtime.runPromise(Effect.exit<unknown, unknown, Operations | Database>(saga), { signal })
    return { operationId, succeeded: Exit.isSuccess(exit) }
  }
  return {
    create: (asked) => execute(InstanceCreate.operationIdFor(asked), InstanceCreate.execute(asked)),
    remove: (asked) => execute(InstanceDelete.operationIdFor(asked), InstanceDelete.execute(asked)),
    pending: () =>
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
    },
  }
}
