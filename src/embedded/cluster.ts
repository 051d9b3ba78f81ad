/**
 * The folder of a server: where its parts are, and how the cluster in it is made.
 *
 * `data` is the cluster, `socket` the folder of its socket or a link to it, `log` what the server writes. Knows nothing of
 * running servers.
 */
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs"
import { appendFile, rename, rm } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import type { Binaries } from "./binaries.ts"
import { EmbeddedServerFailed, notStartedReason, systemCode } from "./failure.ts"
import { canEnter, giveTo, runAs, type ServerUser } from "./user.ts"

/** The name of the server's superuser. */
export const superuser = "ipam"

/** Absolute paths of the parts of a server's folder. */
export interface Layout {
  readonly folder: string
  readonly data: string
  readonly socket: string
  readonly log: string
  /** The log before it was begun anew. */
  readonly oldLog: string
  readonly pidFile: string
}

/** The parts of the folder; fails with `folder-unusable` on a path that PostgreSQL's files cannot hold. */
export const layoutOf = (path: string): Layout => {
  const folder = resolve(path)
  // The path stands on one line of postmaster.pid.
  if (/[\n\r]/.test(folder))
    throw new EmbeddedServerFailed("folder-unusable", "The path of the data folder has a line break")
  const data = join(folder, "data")
  return {
    folder,
    data,
    socket: join(folder, "socket"),
    log: join(folder, "log"),
    oldLog: join(folder, "log.old"),
    pidFile: join(data, "postmaster.pid"),
  }
}

/** The major version that made the cluster, `undefined` when there is none yet. */
export const clusterMajor = (layout: Layout): number | undefined => {
  try {
    return Number(readFileSync(join(layout.data, "PG_VERSION"), "utf8"))
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined
    throw error
  }
}

/** Fails unless the cluster, where there is one, is the user's: PostgreSQL starts on its own files only. */
export const checkOwner = (layout: Layout, user: ServerUser): void => {
  const stat = lstatSync(layout.data, { throwIfNoEntry: false })
  if (stat === undefined || stat.uid === user.uid) return
  throw new EmbeddedServerFailed(
    "folder-unusable",
    `The data in ${layout.data} belongs to uid ${stat.uid}, and the server would run as uid ${user.uid}; ` +
      "run as its owner, or choose another data folder",
  )
}

/** Makes the folder and those above it where they are missing, so that the user can enter it. */
export const makeFolder = (layout: Layout, user: ServerUser): void => {
  const missing: Array<string> = []
  for (let path = layout.folder; lstatSync(path, { throwIfNoEntry: false }) === undefined; path = dirname(path)) {
    missing.unshift(path)
  }
  // One by one: told to make them all, Node tries for ever where the system makes none, as in /proc.
  for (const path of missing) {
    try {
      mkdirSync(path, 0o700)
    } catch (error) {
      if (systemCode(error) !== "EEXIST") throw error
    }
    if (path === layout.folder) giveTo(user, path)
    // Made by root under any umask: the folders in between let the lesser user through.
    else if (user.drop) chmodSync(path, 0o711)
  }
  // One that root has just made for this, such as by mktemp -d.
  if (lstatSync(layout.folder).uid === 0 && readdirSync(layout.folder).length === 0) giveTo(user, layout.folder)
  if (canEnter(user, layout.folder)) return
  throw new EmbeddedServerFailed(
    "folder-unusable",
    `The server runs as uid ${user.uid}, who cannot enter ${layout.folder}; choose another data folder, such as one in /var/lib`,
  )
}

/**
 * Makes the cluster unless it is there. It is made in a private folder and published by one rename, so whoever looks sees a
 * whole cluster or none; of several processes the first to rename wins, the others drop theirs. `durable: false` leaves out
 * the flush to disk.
 */
export const makeCluster = async (
  layout: Layout,
  user: ServerUser,
  binaries: Binaries,
  durable: boolean,
): Promise<void> => {
  if (clusterMajor(layout) !== undefined) return
  await removeAbandoned(layout)
  const made = mkdtempSync(join(layout.folder, `.init-${process.pid}-`))
  try {
    giveTo(user, made)
    await initdb(made, user, binaries, durable)
    await appendFile(join(made, "postgresql.conf"), defaults)
    await rename(made, layout.data)
    // By now an orphaned initdb, which began before ours, has ended too.
    await removeAbandoned(layout)
  } catch (error) {
    await rm(made, { recursive: true, force: true })
    if (!["ENOTEMPTY", "EEXIST"].includes(systemCode(error) ?? "") || clusterMajor(layout) === undefined) throw error
  }
}

/** Written once, so that they can be edited; where the server listens is not among them. */
const defaults = `
# Defaults of saga-ipam, to be edited as needed.
max_connections = 200
timezone = 'UTC'
log_timezone = 'UTC'
`

/**
 * Local connections need no password: the socket's folder has mode 0700, so only the server's own user and root get to it,
 * and there is no other way in. TCP is refused by `pg_hba.conf` too, should somebody turn it on.
 */
const initdb = async (folder: string, user: ServerUser, binaries: Binaries, durable: boolean): Promise<void> => {
  const run = (locale: ReadonlyArray<string>) =>
    runAs(
      user,
      binaries.initdb,
      ["-D", folder, "-U", superuser, "-E", "UTF8", "--auth-local=trust", "--auth-host=reject", "--no-instructions"]
        .concat(locale)
        .concat(durable ? [] : ["--no-sync"]),
      120_000,
    )
  // Sorting by code point everywhere; before 17 only the C library can tell upper from lower case, and may not know C.UTF-8.
  const locale = [
    "--locale=C",
    ...(binaries.major >= 17 ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] : []),
  ]
  let ran = await run(binaries.major >= 17 ? locale : [...locale, "--lc-ctype=C.UTF-8"])
  if (/invalid locale/i.test(ran.stderr)) ran = await run(locale)
  if (ran.code === 0) return
  if (/could not look up effective user/.test(ran.stderr)) {
    throw new EmbeddedServerFailed(
      "not-permitted",
      `initdb makes no cluster for uid ${user.uid}, which has no entry in /etc/passwd; add one, run as another user, or set DATABASE_URL`,
    )
  }
  const output = ran.stderr.trim().split("\n").slice(-5).join("\n")
  throw new EmbeddedServerFailed(
    notStartedReason(output),
    `initdb could not make a cluster (${ran.problem ?? `exit ${ran.code}`}): ${output}`,
  )
}

/** Removes what processes that are no more had begun to make. */
const removeAbandoned = async (layout: Layout): Promise<void> => {
  for (const name of unfinished(layout)) {
    const pid = Number(/^\.init-(\d+)-/.exec(name)?.[1])
    if (isRunning(pid)) continue
    // An orphaned initdb may still be writing. What cannot be removed now is in nobody's way.
    await rm(join(layout.folder, name), { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined)
  }
}

/** The names of clusters in the making. */
export const unfinished = (layout: Layout): ReadonlyArray<string> =>
  existsSync(layout.folder) ? readdirSync(layout.folder).filter((name) => /^\.init-\d+-/.test(name)) : []

/** Whether some process has the pid, whosever it is. */
export const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return systemCode(error) === "EPERM"
  }
}
