/**
 * Who the server runs as, and how programs are run as that user.
 *
 * PostgreSQL refuses to run as root. When this process is root, the server runs as the owner of the cluster or, where root
 * owns everything, as uid 65534. `initdb`, though not `postgres`, wants that uid to have an entry in the password file.
 */
import { execFile, spawnSync, type ExecFileException } from "node:child_process"
import { accessSync, constants, lchownSync, lstatSync } from "node:fs"
import { promisify } from "node:util"
import { EmbeddedServerFailed, systemCode } from "./failure.ts"

/** `drop` says that this process is root and has to become `uid` to run the server's programs. */
export interface ServerUser {
  readonly uid: number
  readonly gid: number
  readonly drop: boolean
}

/** `nobody` on most systems. Whoever else runs as it can read the cluster, which is why an owner of the folder goes first. */
const unprivileged = 65_534

/** The user for the server of a folder: ourselves, or as root the first owner of `paths` that is not root. */
export const serverUser = (paths: ReadonlyArray<string>): ServerUser => {
  const uid = process.getuid?.()
  const gid = process.getgid?.()
  if (uid === undefined || gid === undefined) {
    throw new EmbeddedServerFailed(
      "no-binaries",
      "The embedded server does not run on Windows; set DATABASE_URL to a running PostgreSQL, version 15 or later",
    )
  }
  if (uid !== 0) return { uid, gid, drop: false }
  const owner = paths.map((path) => lstatSync(path, { throwIfNoEntry: false })).find((stat) => stat && stat.uid !== 0)
  return { uid: owner?.uid ?? unprivileged, gid: owner?.gid ?? unprivileged, drop: true }
}

/** The options of a spawned program that make it run as the user, with nothing of the caller's environment but PATH. */
export const runningAs = (user: ServerUser) => ({
  ...(user.drop ? { uid: user.uid, gid: user.gid } : {}),
  env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
  cwd: "/",
})

/** Gives a path that root made to the user of the server. Does not follow a symbolic link. */
export const giveTo = (user: ServerUser, path: string): void => {
  if (user.drop) lchownSync(path, user.uid, user.gid)
}

/** Whether the user can get into the folder, through every folder above it. */
export const canEnter = (user: ServerUser, folder: string): boolean => {
  if (user.drop) {
    // Asked as that user: modes of the folders above, access lists and mount options all count.
    const { status, error } = spawnSync("/bin/sh", ["-c", 'cd "$1"', "sh", folder], runningAs(user))
    if (error !== undefined) throw cannotRunAs(user, error)
    return status === 0
  }
  try {
    accessSync(folder, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** What a program did: `code` is its exit code, `undefined` when it could not be run or was ended by a signal. */
export interface ProgramResult {
  readonly code: number | undefined
  readonly stdout: string
  readonly stderr: string
  /** Why it could not be run, such as `"EACCES"`, or `"timeout"`. */
  readonly problem: string | undefined
}

/** Runs a program as the user, for at most `timeoutMs`; then it is killed. */
export const runAs = async (
  user: ServerUser,
  file: string,
  args: ReadonlyArray<string>,
  timeoutMs: number,
): Promise<ProgramResult> => {
  const options = { ...runningAs(user), timeout: timeoutMs, killSignal: "SIGKILL", encoding: "utf8" } as const
  try {
    return { code: 0, ...(await promisify(execFile)(file, args, options)), problem: undefined }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    if (isRefusal(user, error)) throw cannotRunAs(user, error)
    const ended = error as ExecFileException
    const code = typeof ended.code === "number" ? ended.code : undefined
    const problem =
      code === undefined ? (systemCode(error) ?? (ended.killed ? "timeout" : `${ended.signal}`)) : undefined
    return { code, stdout: ended.stdout ?? "", stderr: ended.stderr ?? "", problem }
  }
}

/** Root without the capability (EPERM), or in a user namespace that does not map the uid (EINVAL). */
const isRefusal = (user: ServerUser, error: unknown): boolean =>
  user.drop && ["EPERM", "EINVAL"].includes(systemCode(error) ?? "")

/** The failure for a program that could not be run as the user. */
export const cannotRunAs = (user: ServerUser, error: Error): EmbeddedServerFailed =>
  new EmbeddedServerFailed(
    "not-permitted",
    `PostgreSQL refuses to run as root, and a program could not be run as uid ${user.uid} (${systemCode(error) ?? error.message}); ` +
      "run as another user, or set DATABASE_URL to a running PostgreSQL",
  )
