/**
 * The engine that runs flows: Effect's cluster workflow engine with its messages in the same database, in the schema
 * `ipam_engine`.
 *
 * A worker registers flows and listens on a socket, where other workers and starters tell it that there is something to do. A
 * starter only writes and waits. Whoever can connect to the socket can make a worker run any of its flows: it has no password, so
 * it is for a trusted network, or for this machine alone, as by default.
 */
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as ClusterWorkflowEngine from "effect/cluster/ClusterWorkflowEngine"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as SqlMessageStorage from "effect/cluster/SqlMessageStorage"
import * as SqlRunnerStorage from "effect/cluster/SqlRunnerStorage"
import * as Digest from "effect/crypto/Digest"
import type { SqlClient } from "effect/sql/SqlClient"
import { SqlError } from "effect/sql/SqlError"
import type { WorkflowEngine } from "effect/workflow/WorkflowEngine"
import type { DatabaseError } from "../contract/sqlState.ts"
import { InvalidInput } from "../errors/errors.ts"
import type { ConnectOptions } from "../database/locate.ts"
import { sqlLayer, unavailable } from "./engineDatabase.ts"
import { movable } from "./engineFlows.ts"
import { regaining } from "./engineLocks.ts"
import { insistent } from "./engineMessages.ts"
import { PREFIX } from "./engineTables.ts"

export interface EngineOptions extends ConnectOptions {
  /**
   * How long the flows of a worker that hangs, or that vanished with its machine, wait until another one takes them over, in
   * seconds; at least 3, the same for all workers of a database. Default 20. Those of a worker that only died go on at once
   * where it is started again, and within some seconds at others. A worker waits a third of that for a database that is away;
   * after a longer outage it gives its flows up, and whoever has them next, which may be the same worker, goes on with them.
   */
  readonly takeoverSeconds?: number | undefined
}

export interface WorkerOptions extends EngineOptions {
  /** Where other workers and starters reach this one. A port must be free; a worker that is started again at its old one goes on at once. */
  readonly listen: { readonly host: string; readonly port: number }
}

type Config = Partial<ShardingConfig.ShardingConfig["Service"]>

/**
 * The engine of a worker. All workers of a database need all flows that are started in it: one without a flow leaves it lying until
 * another worker takes over its part.
 *
 * `SqlClient` is the engine's own connection, for activities in its transaction.
 */
export const workerLayer = (options: WorkerOptions): Layer.Layer<WorkflowEngine | SqlClient, DatabaseError> => {
  const { listen, takeoverSeconds, ...connect } = options
  const { host, port } = listen
  const shardingConfig = { ...timesOf(takeoverSeconds), runnerAddress: Option.some(RunnerAddress.make(host, port)) }
  const taken = new InvalidInput({ field: "listen", message: `listen: ${host}:${port} cannot be listened on` })
  return apart(
    movable(ClusterWorkflowEngine.layer).pipe(
      Layer.provideMerge(NodeClusterSocket.layer({ storage: "byo", shardingConfig })),
      Layer.provide(storage(shardingConfig, takeoverSeconds)),
      Layer.provideMerge(sqlLayer(connect)),
      Layer.catchTag("SocketServerError", () => Layer.effectContext(Effect.fail(taken))),
      Layer.catchTag("ConfigError", (error) => Layer.effectContext(Effect.die(error))),
    ),
  )
}

/** The engine of a program that starts flows and waits for them, and runs none itself. */
export const starterLayer = (options: EngineOptions = {}): Layer.Layer<WorkflowEngine | SqlClient, DatabaseError> => {
  const { takeoverSeconds, ...connect } = options
  const shardingConfig = timesOf(takeoverSeconds)
  return apart(
    ClusterWorkflowEngine.layer.pipe(
      Layer.provideMerge(knowingRunners(NodeClusterSocket.layer({ storage: "byo", clientOnly: true, shardingConfig }))),
      Layer.provide(storage(shardingConfig, takeoverSeconds)),
      Layer.provideMerge(sqlLayer(connect)),
      Layer.catchTag("ConfigError", (error) => Layer.effectContext(Effect.die(error))),
    ),
  )
}

/**
 * One engine for whoever is given this layer, and another than any other layer's in the program: a layer shares what it is made of.
 * Where the database does not let the engine in, the engine calls that a defect.
 */
const apart = <A, E, R>(engine: Layer.Layer<A, E, R>): Layer.Layer<A, E | DatabaseError, R> =>
  Layer.suspend(() => Layer.fresh(engine)).pipe(
    Layer.catchCause((cause) => {
      const error = Cause.squash(cause)
      const failed: Effect.Effect<never, E | DatabaseError> =
        error instanceof SqlError ? Effect.fail(unavailable(error)) : Effect.failCause(cause)
      return Layer.effectContext(failed)
    }),
  )

/** As `EngineOptions` says. */
const TAKEOVER_SECONDS = 20

/** Where the engine keeps its messages, who its workers are, and which of them has what. */
export const storage = (shardingConfig: Config, takeoverSeconds = TAKEOVER_SECONDS) =>
  insistent(SqlMessageStorage.layerWith({ prefix: PREFIX }), takeoverSeconds).pipe(
    Layer.provideMerge(regaining(Layer.orDie(SqlRunnerStorage.layerWith({ prefix: PREFIX })), takeoverSeconds)),
    Layer.provide(ShardingConfig.layerFromEnv(shardingConfig)),
    Layer.provide(Digest.layerWebCrypto),
  )

/**
 * Ready only once the workers are known: what a starter sends before that is found by the workers when they next look, up to a
 * second later.
 */
const knowingRunners = <A, E, R>(cluster: Layer.Layer<A, E, R>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const runners = yield* RunnerStorage
      const read = yield* Deferred.make<void>()
      const getRunners = Effect.ensuring(runners.getRunners, Deferred.succeed(read, undefined))
      const known = Deferred.await(read).pipe(Effect.andThen(Effect.sleep(5)), Effect.timeoutOption("2 seconds"))
      return Layer.effectDiscard(known).pipe(
        Layer.provideMerge(cluster),
        Layer.provide(Layer.succeed(RunnerStorage, RunnerStorage.of({ ...runners, getRunners }))),
      )
    }),
  )

/**
 * Into how many parts the flows are divided among workers. Every look for messages names all parts that a worker has, so the
 * engine's default of 300 costs; fixed once released, since what is stored carries its part.
 */
const SHARDS = 32

const timesOf = (takeoverSeconds = TAKEOVER_SECONDS): Config => ({
  shardLockExpiration: Duration.seconds(takeoverSeconds),
  shardLockRefreshInterval: Duration.seconds(takeoverSeconds / 3),
  runnerHealthCheckInterval: Duration.seconds(Math.min(5, takeoverSeconds / 2)),
  refreshAssignmentsInterval: Duration.seconds(1),
  // What a starter could not announce, since it did not know of the worker yet, is found by looking.
  entityMessagePollInterval: Duration.seconds(1),
  entityTerminationTimeout: Duration.seconds(5),
  // A flow that this worker does not have is another's. The engine would end it after a minute, for good, as a defect.
  entityRegistrationTimeout: Duration.infinity,
  simulateRemoteSerialization: false,
  shardsPerGroup: SHARDS,
})
