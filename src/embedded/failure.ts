/**
 * What the embedded server may fail with, as one tagged error, and which errors of the operating system become one.
 */

/**
 * - `no-binaries`: no PostgreSQL that can run here; the message names what may be installed, and DATABASE_URL.
 * - `folder-unusable`: the folder cannot be made, reached or written, its path does not fit, or it belongs to somebody else.
 * - `disk-full`: there is no room for the cluster, or for its server to start.
 * - `wrong-version`: the folder was made by a major version of PostgreSQL that is not here.
 * - `not-permitted`: this process may not become the user that the server has to run as, or may not signal it.
 * - `not-started`: `initdb` or `postgres` ended with an error; the message quotes it and names the log.
 * - `not-ready`, `not-stopped`: a bounded wait ran out. The server is left as it is; the same call may be made again.
 */
export type EmbeddedFailureReason =
  | "no-binaries"
  | "folder-unusable"
  | "disk-full"
  | "wrong-version"
  | "not-permitted"
  | "not-started"
  | "not-ready"
  | "not-stopped"

/** An expected failure: its message is for people and says what to do. It carries no stack. */
export class EmbeddedServerFailed extends Error {
  readonly _tag = "EmbeddedServerFailed"
  readonly reason: EmbeddedFailureReason

  constructor(reason: EmbeddedFailureReason, message: string) {
    super(message)
    this.name = "EmbeddedServerFailed"
    this.reason = reason
    this.stack = `${this.name}: ${message}`
  }
}

/** The code of a system error, such as `"EACCES"`; `undefined` for anything else. */
export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

/** Runs `work`. A system call that fails in it, such as for lack of permission, becomes `folder-unusable`; for lack of space, `disk-full`. */
export const mapSystemErrors = async <A>(folder: string, work: () => Promise<A>): Promise<A> => {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error)) throw error
    throw new EmbeddedServerFailed(
      ["ENOSPC", "EDQUOT"].includes(systemCode(error) ?? "") ? "disk-full" : "folder-unusable",
      `The folder ${folder} cannot hold the embedded server: ${error.message}`,
    )
  }
}

/** Why a program of PostgreSQL ended, by its output: `initdb` and `postgres` name a full disk in the words of the C library. */
export const notStartedReason = (output: string): EmbeddedFailureReason =>
  /No space left on device|Disk quota exceeded/.test(output) ? "disk-full" : "not-started"
