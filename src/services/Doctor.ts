/**
 * Checks every invariant of the schema that SQL can check, and repairs what no person needs to decide.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { doctorCalls, type DoctorCalls } from "../contract/upkeepCalls.ts"
import { Database, type CallError, type Server } from "../database/Database.ts"
import { onEach, serversOf } from "../database/servers.ts"
import type { Finding, Repair } from "../errors/errors.ts"
import { methodsOf, type Methods } from "./methods.ts"

/** A pool as a finding names it: by its id where it has no name any more. */
export type FoundPool = typeof doctorCalls.repairPool.request.Type

export class Doctor extends Context.Service<
  Doctor,
  Methods<DoctorCalls> & {
    /**
     * Repairs each pool that the doctor names; answers what it did. A pool that calls in flight kept busy is left as it is: the
     * doctor names it again, as it names all that a person must decide.
     */
    readonly repair: () => Effect.Effect<ReadonlyArray<typeof Repair.Type>, CallError>
  }
>()("saga-ipam/services/Doctor") {
  static readonly layer: Layer.Layer<Doctor, never, Database> = Layer.effect(
    Doctor,
    Effect.gen(function* () {
      const database = yield* Database
      const repairThere = Effect.fnUntraced(function* (server: Server) {
        const methods = methodsOf(server.query, "Doctor", doctorCalls)
        const done: Array<typeof Repair.Type> = []
        for (const pool of poolsOf(yield* methods.doctor())) {
          done.push(...(yield* Effect.catchTag(methods.repairPool(pool), "Contended", () => Effect.succeed([]))))
        }
        return done
      })
      const repair = Effect.fn("Doctor.repair")(() =>
        Effect.map(onEach(serversOf(database), repairThere), (done) => done.flat()),
      )
      return Doctor.of({ ...methodsOf(database.query, "Doctor", doctorCalls), repair })
    }),
  )
}

/** The pools that findings name, each once. */
export const poolsOf = (findings: ReadonlyArray<typeof Finding.Type>): ReadonlyArray<FoundPool> => {
  const pools = new Map<string, FoundPool>()
  for (const { vrf, pool } of findings) {
    if (vrf !== null && pool !== null) pools.set(JSON.stringify([vrf, pool]), { vrf, pool })
  }
  return [...pools.values()]
}
