/**
 * Connection settings: a URL or its parts, validated, with every default filled in.
 *
 * Errors are sentences that never repeat the URL, because it may contain a password. Reads the environment (the `PG*` variables of
 * libpq) and certificate files; opens no connection.
 */
import * as Result from "effect/Result"
import { readFileSync } from "node:fs"
import { userInfo } from "node:os"
import { createSecureContext, type ConnectionOptions } from "node:tls"

/**
 * `verify` checks the certificate and the host name in it, `verify-ca` only the certificate; `require` encrypts without checking;
 * `prefer` encrypts if the server can; `disable` never encrypts.
 */
export type SslMode = "disable" | "prefer" | "require" | "verify-ca" | "verify"

/** Options of a connection; each has a default. */
export interface DatabaseOptions {
  /** `postgres://user:password@host:5432/database?sslmode=verify-full`; several hosts are separated by commas. */
  readonly url?: string | undefined
  /** A host name, an address, or the absolute path of the folder that holds the server's unix socket. */
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly database?: string | undefined
  /** `true` is `verify`. Default: what the URL's `sslmode` says, else `prefer`; never used on a unix socket. */
  readonly ssl?: boolean | SslMode | ConnectionOptions | undefined
  /** The largest number of connections, 1 to 1000. Default 10. */
  readonly max?: number | undefined
  /** `false` for a pooler in transaction mode, such as pgbouncer: no prepared statements, no startup parameters. Default `true`. */
  readonly prepare?: boolean | undefined
  /** Whether concurrent allocates, releases and confirms travel together in one statement. Default `true`. */
  readonly batch?: boolean | undefined
  /** How long one call may take in all, with its retries: more than 0, at most 86400 seconds. Default 30. */
  readonly timeoutSeconds?: number | undefined
  /** The name shown in `pg_stat_activity`. Default `saga-ipam`. */
  readonly applicationName?: string | undefined
}

/** Where a server listens: a unix socket, or a TCP port. */
export type Endpoint = { readonly path: string } | { readonly host: string; readonly port: number }

/** Options with every default filled in. Contains the password: must never be printed, nor be part of an error. */
export interface DatabaseSettings {
  readonly endpoints: readonly [Endpoint, ...Array<Endpoint>]
  readonly user: string
  readonly password: string
  readonly database: string
  readonly ssl: false | "prefer" | "require" | ConnectionOptions
  readonly targetSession: string | undefined
  readonly serverOptions: string | undefined
  readonly max: number
  readonly prepare: boolean
  readonly batch: boolean
  readonly timeoutMs: number
  readonly applicationName: string
}

const sslModes: Readonly<Record<string, SslMode>> = {
  disable: "disable",
  allow: "prefer",
  prefer: "prefer",
  require: "require",
  "verify-ca": "verify-ca",
  "verify-full": "verify",
}
const sessionTargets = ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]
/** URL parameters that libpq or other clients know, and that have no meaning here. */
const ignoredParameters = new Set([
  "connect_timeout",
  "channel_binding",
  "gssencmode",
  "sslcompression",
  "schema",
  "connection_limit",
])
const knownParameters = new Set([
  "sslmode",
  "sslrootcert",
  "sslcert",
  "sslkey",
  "host",
  "port",
  "user",
  "password",
  "dbname",
  "application_name",
  "target_session_attrs",
  "options",
  "pgbouncer",
])

/** Completes options, with `env` for what they leave out. Fails with one sentence without secrets. */
export const resolveSettings = (
  options: DatabaseOptions,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Result.Result<DatabaseSettings, string> => {
  const parsed = options.url === undefined ? Result.succeed(emptyUrl) : parseUrl(options.url)
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
  const { hosts, user, password, database, query } = parsed.success

  const unknown = [...query.keys()].find((key) => !knownParameters.has(key) && !ignoredParameters.has(key))
  if (unknown !== undefined) return Result.fail(`the URL has an unknown parameter: ${unknown}`)

  const endpoints = resolveEndpoints(
    options.host ?? query.get("host") ?? (hosts === "" ? (env["PGHOST"] ?? "localhost") : hosts),
    String(options.port ?? query.get("port") ?? /:(\d+)$/.exec(hosts)?.[1] ?? env["PGPORT"] ?? 5432),
  )
  if (Result.isFailure(endpoints)) return Result.fail(endpoints.failure)

  const max = options.max ?? 10
  if (!Number.isInteger(max) || max < 1 || max > 1000) return Result.fail("max must be a whole number from 1 to 1000")
  const timeoutSeconds = options.timeoutSeconds ?? 30
  if (!(timeoutSeconds > 0 && timeoutSeconds <= 86_400)) {
    return Result.fail("timeoutSeconds must be more than 0 and at most 86400")
  }
  const target = query.get("target_session_attrs") ?? "any"
  if (!sessionTargets.includes(target)) {
    return Result.fail(`target_session_attrs must be one of ${sessionTargets.join(", ")}`)
  }
  const ssl = resolveSsl(options.ssl, query)
  if (Result.isFailure(ssl)) return Result.fail(ssl.failure)

  const name = options.user ?? query.get("user") ?? (user || env["PGUSER"] || userInfo().username)
  return Result.succeed({
    endpoints: endpoints.success,
    user: name,
    password: options.password ?? query.get("password") ?? (password || env["PGPASSWORD"] || ""),
    database: options.database ?? query.get("dbname") ?? (database || env["PGDATABASE"] || name),
    ssl: endpoints.success.some((endpoint) => "path" in endpoint) ? false : ssl.success,
    targetSession: target === "any" ? undefined : target,
    serverOptions: query.get("options") ?? env["PGOPTIONS"],
    max,
    prepare: options.prepare ?? query.get("pgbouncer") !== "true",
    batch: options.batch ?? true,
    timeoutMs: Math.ceil(timeoutSeconds * 1000),
    applicationName: options.applicationName ?? query.get("application_name") ?? env["PGAPPNAME"] ?? "saga-ipam",
  })
}

interface UrlParts {
  readonly hosts: string
  readonly user: string
  readonly password: string
  readonly database: string
  readonly query: URLSearchParams
}
const emptyUrl: UrlParts = { hosts: "", user: "", password: "", database: "", query: new URLSearchParams() }

/** Not by `URL`, which accepts no list of hosts and repeats its input, password included, in its errors. */
const parseUrl = (url: string): Result.Result<UrlParts, string> => {
  const match = /^postgres(?:ql)?:\/\/(?:([^/?#]*)@)?([^@/?#]*)(?:\/([^?#/@]*))?(?:\?([^#]*))?$/.exec(url.trim())
  if (match === null) {
    return Result.fail(
      "the database URL must have the form postgres://user:password@host:port/database, with special characters percent-encoded",
    )
  }
  const [, credentials = "", hosts = "", database = "", query = ""] = match
  const colon = credentials.indexOf(":")
  const parts = [
    hosts,
    colon < 0 ? credentials : credentials.slice(0, colon),
    colon < 0 ? "" : credentials.slice(colon + 1),
    database,
  ].map(percentDecoded)
  const [host, user, password, name] = parts
  return host === undefined || user === undefined || password === undefined || name === undefined
    ? Result.fail("the database URL has a percent sign that does not begin an encoded UTF-8 character")
    : Result.succeed({ hosts: host, user, password, database: name, query: new URLSearchParams(query) })
}

const percentDecoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

const resolveEndpoints = (hosts: string, defaultPort: string): Result.Result<DatabaseSettings["endpoints"], string> => {
  const ports = defaultPort.split(",")
  const [first, ...rest] = hosts.split(",").map((host, index): Endpoint | undefined => {
    const match = /^(\[[0-9a-fA-F:.]+\]|[^:]+)(?::(\d+))?$/.exec(host) ?? [host, host]
    const port = Number(match[2] ?? ports[index] ?? ports[0])
    if (!Number.isInteger(port) || port < 1 || port > 65_535 || !match[1]) return undefined
    const name = match[1].replace(/^\[|\]$/g, "")
    return name.startsWith("/") ? { path: `${name}/.s.PGSQL.${port}` } : { host: name, port }
  })
  const others = rest.filter((endpoint) => endpoint !== undefined)
  return first === undefined || others.length < rest.length
    ? Result.fail("the host of the database is missing, or its port is not a number from 1 to 65535")
    : Result.succeed([first, ...others])
}

const resolveSsl = (
  option: DatabaseOptions["ssl"],
  query: URLSearchParams,
): Result.Result<DatabaseSettings["ssl"], string> => {
  const named = option === true ? "verify" : option === false ? "disable" : option
  const mode = typeof named === "object" ? named : (named ?? sslModes[query.get("sslmode") ?? "prefer"])
  if (mode === undefined) return Result.fail(`sslmode must be one of ${Object.keys(sslModes).join(", ")}`)
  if (mode === "disable") return Result.succeed(false)
  if (mode === "prefer" || mode === "require") return Result.succeed(mode)
  if (mode === "verify" || mode === "verify-ca" || typeof mode === "object") {
    return Result.try({
      try: () => {
        const files = { ca: query.get("sslrootcert"), cert: query.get("sslcert"), key: query.get("sslkey") }
        const read = Object.entries(files).flatMap(([name, file]) =>
          file === null || file === "system" ? [] : [[name, readFileSync(file)] as const],
        )
        const anyHost = mode === "verify-ca" ? { checkServerIdentity: () => undefined } : {}
        const tls: ConnectionOptions = {
          ...Object.fromEntries(read),
          ...anyHost,
          ...(typeof mode === "object" ? mode : {}),
        }
        // Checked here, because the driver would throw outside of any promise, which ends the process.
        createSecureContext(tls)
        return tls
      },
      catch: (cause) => `the TLS settings cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
    })
  }
  return Result.fail("ssl must be true, false, disable, prefer, require, verify-ca, verify, or TLS options of Node")
}
