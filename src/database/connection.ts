/**
 * One connection to the server: a client of postgres.js that is limited to a single connection, whose socket is ours.
 *
 * The driver's own pool is not used, for four reasons, each seen in its source and kept by a test. It pipelines, and when a
 * pipelined statement is cancelled the answers of those behind it reach the wrong callers. A statement cancelled while its
 * connection opens takes that connection out of the pool for good. A cancel request that fails rejects a promise nobody can
 * catch, which ends the process. And it can neither drop one connection nor say which is free to be cancelled upon.
 *
 * Nor are its lists of rows: after a statement that failed, or was cancelled, between its first row and its end, the driver
 * counts on from there, and puts as many holes before the rows of the next statement.
 */
import { connect as connectSocket, Socket } from "node:net"
import { checkServerIdentity as checkIdentity } from "node:tls"
import postgres from "postgres"
import type { DatabaseSettings, Endpoint } from "./settings.ts"

/** A parameter of a statement. Lists go as `arrayLiteral`; bigint, numeric, inet, uuid and times as text. */
export type Parameter = string | number | boolean | null

/** A row as the driver gives it: int8, numeric, inet, uuid and times as text, json parsed. */
export type Row = Readonly<Record<string, unknown>>

/** A statement that was handed to the server. */
export interface Running {
  readonly rows: Promise<ReadonlyArray<Row>>
  /** Asks the server to stop it; resolves when the request was delivered, false when it could not be. May be repeated. */
  readonly cancel: () => Promise<boolean>
}

export interface Connection {
  /** Parameters left out: one simple query, which may hold several statements. One call at a time. */
  readonly run: (text: string, parameters?: ReadonlyArray<Parameter>) => Running
  /** Says goodbye to the server, waiting at most a second. Nothing is left open after it. */
  readonly close: () => Promise<void>
  /** Cuts the connection at once; what runs on it is rejected. */
  readonly destroy: () => void
}

/** What the driver's types leave out of a query; held against its source by the exact version in package.json. */
interface DriverQuery {
  readonly active: boolean
  readonly state: unknown
  readonly canceller: ((query: unknown) => Promise<void>) | null
}

/** Opens nothing yet: the driver connects with the first statement, and anew with the next one after a loss. */
export const makeConnection = (settings: DatabaseSettings): Connection => {
  const sockets = openSockets(settings)
  const sql = postgres({
    ...driverOptions(settings),
    ssl:
      typeof settings.ssl === "object"
        ? { checkServerIdentity: sockets.checkServerIdentity, ...settings.ssl }
        : settings.ssl,
    socket: sockets.open,
  } as postgres.Options<Record<string, postgres.PostgresType>>)
  return {
    run: (text, parameters) => {
      const query =
        parameters === undefined
          ? sql.unsafe(text)
          : sql.unsafe(text, [...parameters], {
              prepare: settings.prepare,
              simple: false,
            } as postgres.UnsafeQueryOptions)
      const rows: Array<Row> = []
      const ended = query.forEach((row: Row) => rows.push(row))
      return { rows: ended.then(() => rows), cancel: () => requestCancel(query as unknown as DriverQuery) }
    },
    close: async () => {
      let timer: NodeJS.Timeout | undefined
      const bound = new Promise<void>((resolve) => (timer = setTimeout(resolve, 1000)))
      await Promise.race([sql.end(), bound])
      clearTimeout(timer)
      sockets.destroy()
    },
    destroy: sockets.destroy,
  }
}

/** The sockets of one connection and of its cancel requests. After `destroy` there are none, and every new one fails. */
const openSockets = (settings: DatabaseSettings) => {
  const sockets = new Set<Socket>()
  let closed = false
  let next = 0
  let host = ""

  const connectTo = (endpoint: Endpoint) =>
    new Promise<Socket>((resolve, reject) => {
      const socket = connectSocket(endpoint)
      sockets.add(socket)
      socket.once("close", () => {
        sockets.delete(socket)
        reject(new Error("the connection was closed while it was opened"))
      })
      socket.once("error", reject)
      socket.once("connect", () => {
        socket.off("error", reject)
        // The driver asks for the certificate of the name that it reads from here.
        resolve("host" in endpoint ? Object.assign(socket, { host: endpoint.host }) : socket)
      })
    })

  /** Never rejects: a driver that is given no socket waits for ever, one that is given a failing socket reports it. */
  const open = async (): Promise<Socket> => {
    let failure: unknown = new Error("the connection is closed")
    for (let tried = 0; tried < settings.endpoints.length && !closed; tried++) {
      const endpoint = settings.endpoints[next % settings.endpoints.length] ?? settings.endpoints[0]
      try {
        const socket = await connectTo(endpoint)
        host = "host" in endpoint ? endpoint.host : ""
        // The driver comes back for another socket when this server is not the kind that was asked for.
        next = settings.targetSession === undefined ? 0 : next + 1
        return socket
      } catch (error) {
        failure = error
        next++
      }
    }
    const broken = new Socket()
    setImmediate(() => broken.destroy(failure instanceof Error ? failure : new Error(String(failure))))
    return broken
  }

  const destroy = () => {
    closed = true
    for (const socket of sockets) socket.destroy()
  }
  /** The driver hands on no address, and Node would compare the certificate with `localhost` then. */
  const checkServerIdentity: typeof checkIdentity = (_, certificate) => checkIdentity(host, certificate)

  return { open, destroy, checkServerIdentity }
}

const requestCancel = async (query: DriverQuery): Promise<boolean> => {
  // Not sent yet: the caller of `cancel` tries again.
  if (!query.active || query.state === null || query.canceller === null) return false
  try {
    await query.canceller(query)
    return true
  } catch {
    return false
  }
}

const asText = { to: 1184, from: [1082, 1114, 1184], serialize: String, parse: (text: string) => text }

const driverOptions = (settings: DatabaseSettings) => ({
  user: settings.user,
  password: settings.password,
  database: settings.database,
  max: 1,
  connect_timeout: settings.timeoutMs / 1000,
  sslnegotiation: null,
  prepare: settings.prepare,
  ...(settings.targetSession === undefined ? {} : { target_session_attrs: settings.targetSession }),
  // Lists are sent as literals, so that the driver need not ask for the types at every connect.
  fetch_types: false,
  idle_timeout: 0,
  // Between the tries of the driver itself, which it makes only when a server hangs up during the handshake.
  backoff: () => 0.05,
  no_subscribe: true,
  types: { date: asText },
  onnotice: () => undefined,
  connection: {
    application_name: settings.applicationName,
    // These pgbouncer knows; times must read the same whatever the server's defaults are.
    DateStyle: "ISO",
    TimeZone: "UTC",
    ...(settings.serverOptions === undefined ? {} : { options: settings.serverOptions }),
    // These it refuses, so a connection that may go through it does without; deadlines are kept on this side anyway.
    ...(settings.prepare
      ? { statement_timeout: settings.timeoutMs, default_transaction_isolation: "read committed" }
      : {}),
  },
})

/** A list as PostgreSQL's text form of an array, `{"a","b",NULL}`. */
export const arrayLiteral = (values: ReadonlyArray<string | null>): string =>
  `{${values.map((value) => (value === null ? "NULL" : `"${value.replace(/["\\]/g, "\\$&")}"`)).join(",")}}`

/** The text with its parameters in it, as literals. */
export const inline = (text: string, parameters: ReadonlyArray<Parameter>): string =>
  text.replace(/\$(\d+)/g, (_, number: string) => {
    const parameter = parameters[Number(number) - 1] ?? null
    return parameter === null ? "null" : `E'${String(parameter).replace(/[\\']/g, "$&$&")}'`
  })

/** The SQLSTATE of an error that the server sent; nothing for what the driver or the network met with. */
export const sqlState = (error: unknown): string | undefined =>
  error instanceof postgres.PostgresError ? error.code : undefined
