/**
 * Several servers behind one `Database`: some VRFs are on servers of their own, and all others on one more. A call goes to the server
 * of its VRF and to no other, so that one that is down is noticed by its own VRFs alone. Who answers a call that names no VRF is what
 * its declaration says. Without `servers` nothing of this is in the way of a call.
 *
 * Knows no calls.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { CallContext } from "../contract/call.ts"
import { textOf, type Parameter, type Row } from "../contract/row.ts"
import { DEFAULT } from "../domain/identity.ts"
import { InvalidInput } from "../errors/errors.ts"
import { quoted } from "../errors/errorText.ts"
import { Database, type Server, type Statement } from "./Database.ts"
import type { Location } from "./locate.ts"

type Rows = ReadonlyArray<Row>

/** The connections to a database, or to the servers of its VRFs. Fails if the settings of one cannot be used; connects to none. */
export const databaseLayer = ({ database, servers }: Location): Layer.Layer<Database, InvalidInput> =>
  servers === undefined
    ? Database.layer(database)
    : Layer.effect(
        Database,
        Effect.gen(function* () {
          const open = (url: string | undefined) =>
            Effect.map(Layer.build(Database.layer({ ...database, url })), Context.get(Database))
          const rest = yield* open(database.url)
          // VRFs of one URL share a server.
          const byUrl = new Map([[database.url, rest]])
          const byVrf = new Map<string, Server>()
          for (const [vrf, url] of Object.entries(servers)) {
            const server =
              byUrl.get(url) ??
              naming(
                vrf,
                yield* Effect.mapError(open(url), ({ message }) => {
                  const field = `servers.${vrf}`
                  return new InvalidInput({ field, message: `${field}: ${message}` })
                }),
              )
            byUrl.set(url, server)
            byVrf.set(vrf, server)
          }
          return makeRouter(rest, byVrf)
        }),
      )

/** The server of a VRF; all servers where none is named. */
export const serversOf = (database: Server, vrf?: string): ReadonlyArray<Server> => {
  if (database.servers === undefined) return [database]
  return vrf === undefined ? database.servers.all : [database.servers.of(vrf)]
}

/** Does the same with each server at once, and to the end with each; then fails as the first that failed. */
export const onEach = <One, A, E, R>(
  servers: ReadonlyArray<One>,
  work: (server: One) => Effect.Effect<A, E, R>,
): Effect.Effect<ReadonlyArray<A>, E, R> =>
  Effect.flatMap(
    Effect.forEach(servers, (server) => Effect.exit(work(server)), { concurrency: "unbounded" }),
    (exits) => Effect.all(exits),
  )

/** The same server, whose errors name this VRF of it where the call names none, so that they tell which server it was. */
const naming = (vrf: string, server: Server): Server => {
  const named = (context: CallContext) => (context.vrf === undefined ? { ...context, vrf } : context)
  return {
    ...server,
    query: (statement, parameters, context) => server.query(statement, parameters, named(context)),
    queryAnySchema: (statement, parameters, context) => server.queryAnySchema(statement, parameters, named(context)),
  }
}

const makeRouter = (rest: Server, byVrf: ReadonlyMap<string, Server>): Server => {
  const all = [...new Set([rest, ...byVrf.values()])]
  const of = (vrf: string) => byVrf.get(vrf) ?? rest

  /** Sends a statement to its server, or to all of them. */
  const route = <E>(
    statement: Statement,
    parameters: ReadonlyArray<Parameter>,
    { otherVrfs = [], ...context }: CallContext,
    send: (server: Server, context: CallContext) => Effect.Effect<Rows, E>,
  ): Effect.Effect<Rows, E | InvalidInput> => {
    const { everywhere, parameters: names } = statement
    const { vrf = DEFAULT } = context
    if (context.vrf !== undefined || everywhere === undefined) {
      const elsewhere = otherVrfs.find((other) => of(other) !== of(vrf))
      return elsewhere === undefined ? send(of(vrf), context) : Effect.fail(onTwoServers(vrf, elsewhere))
    }
    const ask = (server: Server) => send(server, context)
    switch (everywhere.kind) {
      case "one":
        return firstThatHas(all, everywhere.has, ask)
      case "all":
      case "newest": {
        const sizeAt = names?.findIndex(([name]) => name === "page_size") ?? -1
        const size = sizeAt < 0 ? Number.POSITIVE_INFINITY : Number(parameters[sizeAt])
        const merge = everywhere.kind === "newest" ? newestFirst : inOrderOf(everywhere.by)
        return Effect.map(onEach(all, ask), (answers) => merge(answers.flat(), size))
      }
      case "apart":
        return Effect.die(new Error(`${context.call} is made on each server by itself`))
    }
  }

  const ofDefault = of(DEFAULT)
  return Database.of({
    query: (statement, parameters, context) =>
      route(statement, parameters, context, (server, about) => server.query(statement, parameters, about)),
    queryAnySchema: (statement, parameters, context) =>
      route(statement, parameters, context, (server, about) => server.queryAnySchema(statement, parameters, about)),
    script: ofDefault.script,
    schemaVersion: ofDefault.schemaVersion,
    checkSchema: Effect.asVoid(onEach(all, ({ checkSchema }) => checkSchema)),
    ping: Effect.asVoid(onEach(all, ({ ping }) => ping)),
    inTransactions: false,
    servers: { all, of },
  })
}

/** Why an operation cannot work on these two VRFs. */
export const onTwoServers = (vrf: string, other: string): InvalidInput =>
  new InvalidInput({
    field: "vrf",
    message: `vrf: VRF ${quoted(other)} is on another server than VRF ${quoted(vrf)}; all VRFs of an operation must be on one server`,
  })

/** The answer of the first server that has something. If none has, every server must have answered, and the answer is that of any. */
const firstThatHas = <E>(
  servers: ReadonlyArray<Server>,
  has: (rows: Rows) => boolean,
  ask: (server: Server) => Effect.Effect<Rows, E>,
): Effect.Effect<Rows, E> =>
  Effect.suspend(() => {
    const found = Deferred.makeUnsafe<Rows>()
    const all = onEach(servers, (server) =>
      Effect.tap(ask(server), (rows) => (has(rows) ? Deferred.succeed(found, rows) : Effect.void)),
    )
    const none = Effect.flatMap(Effect.exit(all), (exit) =>
      Deferred.isDoneUnsafe(found) ? Deferred.await(found) : Exit.map(exit, ([rows = []]) => rows),
    )
    return Effect.raceFirst(Deferred.await(found), none)
  })

/** By code points, as the database orders names. */
const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** The order among rows of one value is that in which their server answered them. */
const inOrderOf =
  (column: string | undefined) =>
  (rows: Rows, size: number): Rows => {
    const sorted = column === undefined ? rows : rows.toSorted((a, b) => compare(String(a[column]), String(b[column])))
    return sorted.slice(0, size)
  }

const newestFirst = (rows: Rows, size: number): Rows => {
  const sequenceOf = (row: Row | undefined) => BigInt((row && textOf(row, "sequence")) ?? 0)
  const sorted = rows.toSorted((a, b) => Number(sequenceOf(b) - sequenceOf(a)))
  const last = sequenceOf(sorted[size - 1])
  return sorted.filter((row, index) => index < size || sequenceOf(row) === last)
}
