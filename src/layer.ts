/**
 * The allocator's services on one database, located, connected and checked: what a program of Effect provides once.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Allocator } from "./services/Allocator.ts"
import { Doctor } from "./services/Doctor.ts"
import { Pools } from "./services/Pools.ts"
import { type CallError, Database } from "./database/Database.ts"
import { locate, type ConnectOptions, type Location } from "./database/locate.ts"
import { migrate } from "./database/migrate.ts"
import { databaseLayer } from "./database/servers.ts"
import { Operations } from "./services/Operations.ts"
import { Reconciler } from "./services/Reconciler.ts"

/**
 * `Allocator`, `Pools`, `Doctor`, `Operations` and `Reconciler` over one pool of connections, with its `Database`. Fails at once
 * when the database does not answer or its schema does not fit, or none is named; of several `servers` each is checked by its first
 * call. The embedded server, where it is asked for, is started and migrated, and stopped with the last program that uses it; any
 * other is left as it is.
 */
export const layer = (
  options: ConnectOptions = {},
): Layer.Layer<Allocator | Pools | Doctor | Operations | Reconciler | Database, CallError> => {
  const database = Layer.unwrap(
    Effect.map(locate(options), (location) =>
      // Of several servers each is checked by its first call, so that the others serve while one is down.
      location.servers === undefined
        ? Layer.provideMerge(prepare(location), databaseLayer(location))
        : databaseLayer(location),
    ),
  )
  const services = Layer.mergeAll(Allocator.layer, Pools.layer, Doctor.layer, Operations.layer, Reconciler.layer)
  // Else a program with two databases, or with `sqlAllocatorLayer`, would get for both what it builds first.
  return Layer.fresh(services).pipe(Layer.provideMerge(database))
}

const prepare = ({ embedded }: Location) =>
  Layer.effectDiscard(embedded ? Effect.andThen(migrate({ onlyIfNeeded: true }), checkSchema) : checkSchema)

const checkSchema = Effect.flatMap(Database, (database) => database.checkSchema)
