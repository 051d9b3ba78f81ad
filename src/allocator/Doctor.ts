/**
 * Checks every invariant of the schema that SQL can check, and mends what can be mended.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Finding } from "../domain/errors.ts"
import { Database } from "../database/Database.ts"
import type { CallError } from "./Allocator.ts"
import { toFinding } from "./rows.ts"
import * as statements from "./statements.ts"

type Findings = Effect.Effect<ReadonlyArray<typeof Finding.Type>, CallError>

export class Doctor extends Context.Service<
  Doctor,
  {
    /** What is off; nothing when all is well. Changes nothing. */
    readonly doctor: Findings
    /** Rebuilds what is derived, the counters and the free extents, from ranges, reservations and allocations. Answers what it mended. */
    readonly repair: Findings
  }
>()("saga-ipam/allocator/Doctor") {
  static readonly layer: Layer.Layer<Doctor, never, Database> = Layer.effect(
    Doctor,
    Effect.gen(function* () {
      const { query } = yield* Database
      const run = (call: "doctor" | "repair") =>
        query(statements[call], [], { call }).pipe(
          Effect.map((rows) => rows.map(toFinding)),
          Effect.withSpan(`Doctor.${call}`),
        )
      return Doctor.of({ doctor: run("doctor"), repair: run("repair") })
    }),
  )
}
