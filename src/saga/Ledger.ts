/**
 * The book of operations as a flow writes it: begun, unwinding, ended, stuck. Every call may be repeated.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CallError } from "../allocator/Allocator.ts"
import { arrayLiteral } from "../database/connection.ts"
import { Database, type Row } from "../database/Database.ts"

export interface Target {
  readonly vrf: string
  readonly kind: string
  readonly id: string
}

export interface Beginning {
  readonly operationId: string
  readonly vrf: string
  readonly kind: string
  readonly payload: unknown
  readonly targets: ReadonlyArray<Target>
}

export type OperationState = "pending" | "unwinding" | "unwound" | "succeeded"

export interface OperationRecord {
  readonly operationId: string
  readonly vrf: string
  readonly kind: string
  readonly state: OperationState
  readonly stuckStep: string | null
  readonly stuckError: string | null
  readonly payload: unknown
  readonly result: unknown
  readonly error: unknown
}

export class Ledger extends Context.Service<
  Ledger,
  {
    readonly begin: (operation: Beginning) => Effect.Effect<OperationState, CallError>
    /** The state after the call. */
    readonly unwind: (operationId: string) => Effect.Effect<OperationState, CallError>
    /** The state after the call: another than asked for when the operation ended otherwise before. */
    readonly finish: (
      operationId: string,
      state: "succeeded" | "unwound",
      result: unknown,
      error: unknown,
    ) => Effect.Effect<OperationState, CallError>
    readonly markStuck: (operationId: string, step: string, error: string) => Effect.Effect<void, CallError>
    readonly clearStuck: (operationId: string) => Effect.Effect<void, CallError>
    readonly get: (operationId: string) => Effect.Effect<OperationRecord | null, CallError>
    /** The operations on the target that have not ended. */
    readonly pending: (target: Target) => Effect.Effect<ReadonlyArray<OperationRecord>, CallError>
  }
>()("saga-ipam/saga/Ledger") {
  static readonly layer: Layer.Layer<Ledger, never, Database> = Layer.effect(
    Ledger,
    Effect.gen(function* () {
      const { query } = yield* Database
      const call = (name: string, text: string, parameters: ReadonlyArray<string | null>) =>
        query({ text: `select * from ipam.${text}`, repeatable: true }, parameters, { call: name })
      const toRecord = (row: Row): OperationRecord => ({
        operationId: String(row["operation_id"]),
        vrf: String(row["vrf"]),
        kind: String(row["kind"]),
        state: String(row["state"]) as OperationState,
        stuckStep: (row["stuck_step"] as string | null) ?? null,
        stuckError: (row["stuck_error"] as string | null) ?? null,
        payload: row["payload"],
        result: row["result"],
        error: row["error"],
      })
      const get = (operationId: string) =>
        Effect.map(call("get_operation", "get_operation($1)", [operationId]), ([row]) =>
          row === undefined ? null : toRecord(row),
        )
      const stateAfter = (operationId: string) =>
        Effect.flatMap(get(operationId), (record) =>
          record === null ? Effect.die(new Error("the operation is gone")) : Effect.succeed(record.state),
        )
      return Ledger.of({
        begin: ({ operationId, vrf, kind, payload, targets }) =>
          call("begin_operation", "begin_operation($1, $2, $3, $4::text::jsonb, $5::text[], $6::text[], $7::text[])", [
            operationId,
            vrf,
            kind,
            JSON.stringify(payload),
            arrayLiteral(targets.map((target) => target.vrf)),
            arrayLiteral(targets.map((target) => target.kind)),
            arrayLiteral(targets.map((target) => target.id)),
          ]).pipe(Effect.andThen(stateAfter(operationId))),
        unwind: (operationId) =>
          Effect.andThen(call("unwind_operation", "unwind_operation($1)", [operationId]), stateAfter(operationId)),
        finish: (operationId, state, result, error) =>
          Effect.andThen(
            call("finish_operation", "finish_operation($1, $2, $3::text::jsonb, $4::text::jsonb)", [
              operationId,
              state,
              JSON.stringify(result),
              JSON.stringify(error),
            ]),
            stateAfter(operationId),
          ),
        markStuck: (operationId, step, error) =>
          Effect.asVoid(call("mark_stuck", "mark_stuck($1, $2, $3)", [operationId, step, error])),
        clearStuck: (operationId) => Effect.asVoid(call("clear_stuck", "clear_stuck($1)", [operationId])),
        get,
        pending: ({ vrf, kind, id }) =>
          Effect.map(call("pending_operations", "pending_operations($1, $2, $3)", [vrf, kind, id]), (rows) =>
            rows.map(toRecord),
          ),
      })
    }),
  )
}
