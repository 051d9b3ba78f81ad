/**
 * Checks every invariant of the schema that SQL can check, and repairs what no person needs to decide.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Finding, Repair } from "../errors/errors.ts"
import { Database } from "../database/Database.ts"
import type { CallError } from "./Allocator.ts"
import { toFinding, toRepair } from "./rows.ts"
import * as statements from "./allocatorStatements.ts"

type Findings = ReadonlyArray<typeof Finding.Type>
type Repairs = ReadonlyArray<typeof Repair.Type>

/** A pool as a finding names it: by its id where it has no name any more. */
export interface FoundPool {
  readonly vrf: string
  readonly pool: string
}

export class Doctor extends Context.Service<
  Doctor,
  {
    /** What is inconsistent, of all pools in one snapshot; nothing when all is well. Changes nothing, and may take minutes. */
    readonly doctor: Effect.Effect<Findings, CallError>
    /** Repairs one pool, beside any traffic; answers what it did. `Contended`: calls in flight were in its way, and it did nothing. */
    readonly repairPool: (pool: FoundPool) => Effect.Effect<Repairs, CallError>
    /**
     * Repairs each pool that the doctor names; answers what it did. A pool that calls in flight kept busy is left as it is: the
     * doctor names it again, as it names all that a person must decide.
     */
    readonly repair: Effect.Effect<Repairs, CallError>
  }
>()("saga-ipam/services/Doctor") {
  static readonly layer: Layer.Layer<Doctor, never, Database> = Layer.effect(
    Doctor,
    Effect.gen(function* () {
      const { query } = yield* Database
      const doctor = query(statements.doctor, [], { call: "doctor" }).pipe(
        Effect.map((rows) => rows.map(toFinding)),
        Effect.withSpan("Doctor.doctor"),
      )
      const repairPool = ({ vrf, pool }: FoundPool) =>
        query(statements.repair, [vrf, pool], { call: "repair", vrf, pool }).pipe(
          Effect.map((rows) => rows.map((row) => toRepair(row, vrf, pool))),
          Effect.withSpan("Doctor.repairPool"),
        )
      const repair = Effect.gen(function* () {
        const done: Array<typeof Repair.Type> = []
        for (const pool of poolsOf(yield* doctor)) {
          done.push(...(yield* Effect.catchTag(repairPool(pool), "Contended", () => Effect.succeed([]))))
        }
        return done
      }).pipe(Effect.withSpan("Doctor.repair"))
      return Doctor.of({ doctor, repairPool, repair })
    }),
  )
}

/** The pools that findings name, each once. */
export const poolsOf = (findings: Findings): ReadonlyArray<FoundPool> => {
  const pools = new Map<string, FoundPool>()
  for (const { vrf, pool } of findings) {
    if (vrf !== null && pool !== null) pools.set(JSON.stringify([vrf, pool]), { vrf, pool })
  }
  return [...pools.values()]
}
