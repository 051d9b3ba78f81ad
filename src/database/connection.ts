/**
 * One connection to the server: a postgres.js client limited to a single connection, over a socket that this module opens.
 *
 * The driver's own pool is not used, for four reasons, each visible in its source and held by a test. It pipelines, and if a
 * pipelined statement is cancelled, the answers of those behind it reach the wrong callers. A statement cancelled while its
 * connection opens removes that connection from the pool for good. A cancel request that fails rejects a promise that nobody can
 * catch, which ends the process. And it can neither drop one connection nor tell on which one a statement runs.
 *
 * Its arrays of rows are not used either: if a statement fails or is cancelled after its first row, the driver does not reset its
 * row count, and the rows of the next statement begin with as many holes.
 */
import { connect as connectSocket, Socket } from "node:net"
import { checkServerIdentity as checkIdentity } from "node:tls"
import postgres from "postgres"
import type { Parameter, Row } from "../contract/row.ts"
import type { DatabaseSettings, Endpoint } from "./settings.ts"

/** A statement that was handed to the driver. */
export interface Running {
  readonly rows: Promise<ReadonlyArray<Row>>
  /** Asks the server to cancel it. Resolves to whether the request was delivered; may be called again. */
  readonly cancel: () => Promise<boolean>
}

export interface Connection {
  /** Runs a statement; one call at a time. Without `parameters` it is a simple query, which may hold several statements. */
  readonly run: (text: string, parameters?: ReadonlyArray<Parameter>) => Running
  /** Closes the connection, waiting at most a second for the server. Leaves nothing open. */
  readonly close: () => Promise<void>
  /** Cuts the connection at once; a statement that runs on it is rejected. */
  readonly destroy: () => void
}

/** Members of a query that the driver's types leave out. The exact version of the driver in package.json keeps them valid. */
interface DriverQuery {
  readonly active: boolean
  readonly state: unknown
  readonly canceller: ((query: unknown) => Promise<void>) | null
}

/** Opens nothing yet: the driver connects at the first statement, and again at the next one after the connection was lost. */
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
      const completed = query.forEach((row: Row) => rows.push(row))
      return { rows: completed.then(() => rows), cancel: () => requestCancel(query as unknown as DriverQuery) }
    },
    close: async () => {
      let timer: NodeJS.Timeout | undefined
      const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, 1000)))
      await Promise.race([sql.end(), timeout])
      clearTimeout(timer)
      sockets.destroy()
    },
    destroy: sockets.destroy,
  }
}

/** The sockets of one connection and of its cancel requests. `destroy` closes them all, and new ones fail from then on. */
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
        reject(new Error("the connection was closed while it was being opened"))
      })
      socket.once("error", reject)
      socket.once("connect", () => {
        socket.off("error", reject)
        // The driver reads from `host` for which name it requests the certificate.
        resolve("host" in endpoint ? Object.assign(socket, { host: endpoint.host }) : socket)
      })
    })

  /** Never rejects: without a socket the driver would wait for ever, while it reports the error of a socket that fails. */
  const open = async (): Promise<Socket> => {
    let failure: unknown = new Error("the connection is closed")
    for (let tried = 0; tried < settings.endpoints.length && !closed; tried++) {
      const endpoint = settings.endpoints[next % settings.endpoints.length] ?? settings.endpoints[0]
      try {
        const socket = await connectTo(endpoint)
        host = "host" in endpoint ? endpoint.host : ""
        // If this server is not of the session type asked for, the driver opens another socket.
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
  /** The driver passes no host name on, and Node would compare the certificate with `localhost`. */
  const checkServerIdentity: typeof checkIdentity = (_, certificate) => checkIdentity(host, certificate)

  return { open, destroy, checkServerIdentity }
}

const requestCancel = async (query: DriverQuery): Promise<boolean> => {
  // The statement has not been sent yet; the caller may try again.
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
  // Arrays are sent as literals, so that the driver need not fetch the array types on every connection.
  fetch_types: false,
  idle_timeout: 0,
  // The pause, in seconds, before the driver connects again, which it does only if a server hangs up during the handshake.
  backoff: () => 0.05,
  no_subscribe: true,
  types: { date: asText },
  onnotice: () => undefined,
  connection: {
    application_name: settings.applicationName,
    // Times must read the same whatever the server's defaults are. pgbouncer accepts these two parameters.
    DateStyle: "ISO",
    TimeZone: "UTC",
    ...(settings.serverOptions === undefined ? {} : { options: settings.serverOptions }),
    // pgbouncer refuses these, so a connection that may go through it does without. The pool keeps deadlines in any case.
    ...(settings.prepare
      ? { statement_timeout: settings.timeoutMs, default_transaction_isolation: "read committed" }
      : {}),
  },
})

/** The statement with its parameters as literals in the text. */
export const inline = (text: string, parameters: ReadonlyArray<Parameter>): string =>
  text.replace(/\$(\d+)/g, (_, number: string) => {
    const parameter = parameters[Number(number) - 1] ?? null
    return parameter === null ? "null" : `E'${String(parameter).replace(/[\\']/g, "$&$&")}'`
  })

/** The SQLSTATE of an error that the server sent; `undefined` for errors of the driver and the network. */
export const sqlState = (error: unknown): string | undefined =>
  error instanceof postgres.PostgresError ? error.code : undefined
