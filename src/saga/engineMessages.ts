/**
 * Where the engine keeps its messages, made to outlast an outage of the database.
 *
 * By itself the engine gives up an answer that it could not write for a second. Whoever waits for the answer of an activity that
 * this worker may not record any more, as it lost the flow, waits on, and a flow that nobody waits for is then put aside for ever.
 * And a look for messages claims in one statement those it finds: if its answer is lost with a connection, or who claimed them was
 * a worker that hung and does not have their flows any more, the engine looks at them again only ten minutes later.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { type MalformedMessage, PersistenceError } from "effect/cluster/ClusterError"
import { MessageStorage } from "effect/cluster/MessageStorage"
import type { Snowflake } from "effect/cluster/Snowflake"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import { ShardingConfig } from "effect/cluster/ShardingConfig"
import { SqlClient } from "effect/sql/SqlClient"
import { SqlError } from "effect/sql/SqlError"

type Failed = PersistenceError | MalformedMessage

/** What another try cannot mend, or must not: an answer of somebody else is there already. */
const final = new Set(["UniqueViolation", "ConstraintError", "AuthorizationError", "SqlSyntaxError"])

const mayMend = (error: Failed): boolean =>
  error instanceof PersistenceError && !(error.cause instanceof SqlError && final.has(error.cause.reason._tag))

const pauses = Schedule.min([Schedule.exponential("50 millis", 2), Schedule.spaced("2 seconds")]).pipe(
  Schedule.jittered,
)

/** After how many milliseconds a message that was given up can be read again: some turns of the event loop. */
const RESET_MS = 100

/**
 * Repeats what the flows wait for until the database has it. What asks again by itself anyway is left as it is. Claims are
 * forgotten after a look that failed, and every `claimSeconds`.
 */
export const insistent = <E, R>(
  messages: Layer.Layer<MessageStorage, E, R>,
  claimSeconds: number,
): Layer.Layer<MessageStorage, E, R | RunnerStorage | ShardingConfig | SqlClient> =>
  Layer.effect(
    MessageStorage,
    Effect.gen(function* () {
      const storage = yield* MessageStorage
      const runners = yield* RunnerStorage
      const { runnerAddress } = yield* ShardingConfig
      // Only who has an address looks for messages.
      const address = Option.getOrElse(runnerAddress, () => RunnerAddress.make("", 0))
      const { transactionService } = yield* SqlClient
      /** A transaction that is broken stays so: it is repeated as a whole, by who began it. */
      const insist = <A, E extends Failed>(first: Effect.Effect<A, E>, again = first): Effect.Effect<A, E> =>
        Effect.contextWith((context: Context.Context<never>) =>
          Context.getOrUndefined(context, transactionService) !== undefined
            ? first
            : Effect.catch(first, (error) =>
                mayMend(error)
                  ? Effect.delay(Effect.retry(again, { while: mayMend, schedule: pauses }), "50 millis")
                  : Effect.fail(error),
              ),
        )
      let forgottenAt = -Infinity
      const activities = new Set<Snowflake>()
      /** Activities that nobody waits for since they were given up here. */
      const givenUp = new Set<Snowflake>()
      const own: MessageStorage["Service"] = MessageStorage.of({
        ...storage,
        registerReplyHandler: (message) =>
          Effect.suspend(() => {
            const { tag, requestId } = message.envelope
            if (tag !== "activity") return storage.registerReplyHandler(message)
            activities.add(requestId)
            givenUp.delete(requestId)
            return Effect.ensuring(
              storage.registerReplyHandler(message),
              Effect.sync(() => activities.delete(requestId)),
            )
          }),
        // The flow is left to the worker that has it next, which may be this one.
        unregisterReplyHandler: (requestId, options) =>
          Effect.suspend(() => {
            if (!activities.has(requestId)) return storage.unregisterReplyHandler(requestId, options)
            givenUp.add(requestId)
            return storage.unregisterReplyHandler(requestId, { interrupt: true })
          }),
        // What is read here is answered through the storage that it is read from. What is under way is passed over when it is
        // read again.
        unprocessedMessages: (shards, options) =>
          Effect.clockWith((clock) => {
            const now = clock.currentTimeMillisUnsafe()
            const isDue = now - forgottenAt >= claimSeconds * 1000
            // A worker that stood still may have lost them: then the claims are another's.
            const forget = runners.refresh(address, shards).pipe(
              Effect.flatMap(storage.resetShards),
              Effect.tap(() => Effect.sync(() => (forgottenAt = now))),
            )
            return (isDue ? forget : Effect.void).pipe(
              Effect.andThen(storage.unprocessedMessages.call(own, shards, options)),
              Effect.onError(() => Effect.sync(() => (forgottenAt = -Infinity))),
            )
          }),
        saveRequest: (envelope) => insist(storage.saveRequest(envelope)),
        // Who waited is interrupted then, and hands that on to the activity: stored, it would interrupt the one of the next run,
        // and the flow would turn back as if somebody had cancelled it.
        saveEnvelope: (message) =>
          Effect.suspend(() => {
            const { _tag, requestId } = message.envelope
            return _tag === "Interrupt" && givenUp.delete(requestId)
              ? Effect.void
              : insist(storage.saveEnvelope(message))
          }),
        saveReply: (reply) => {
          const save = storage.saveReply(reply)
          // A first try may have been committed, although nobody heard of it.
          const clear = storage.clearReplies(reply.reply.requestId, { expectedReplyId: reply.reply.id })
          const again = Effect.catchDefect(storage.withTransaction(Effect.andThen(clear, save)), (cause) =>
            Effect.fail(new PersistenceError({ cause })),
          )
          return insist(save, again)
        },
        clearReplies: (requestId, options) => insist(storage.clearReplies(requestId, options)),
        repliesFor: (requests) => insist(storage.repliesFor(requests)),
        repliesForUnfiltered: (requestIds) => insist(storage.repliesForUnfiltered(requestIds)),
        requestIdForPrimaryKey: (key) => insist(storage.requestIdForPrimaryKey(key)),
        // The engine puts an activity back before it has let go of it: read in between, it would be taken for under way for ever.
        // The next look forgets all claims where that fails. A copy, since the engine empties its list once this has answered.
        resetRequests: (requestIds) =>
          Effect.delay(storage.resetRequests([...requestIds]), RESET_MS).pipe(
            Effect.onError(() => Effect.sync(() => (forgottenAt = -Infinity))),
            Effect.ignore,
            Effect.forkDetach,
            Effect.asVoid,
          ),
        unprocessedMessagesById: (messageIds) => insist(storage.unprocessedMessagesById.call(own, messageIds)),
      })
      return own
    }),
  ).pipe(Layer.provide(messages))
