/**
 * The folder of the server's socket: in the server's folder where its path fits, else a new folder of
 * the system for temporary files, which `socket` then links to.
 *
 * Its mode is what keeps other users of the machine out.
 */
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import type { Layout } from "./cluster.ts"
import { EmbeddedServerFailed, systemCode } from "./failure.ts"
import { canEnter, giveTo, type ServerUser } from "./user.ts"

/** The port in the socket's name; nothing listens on it. */
export const socketPort = 5432

/** Bytes of a path that `sockaddr_un` holds, its closing zero byte left out. */
const longest = process.platform === "linux" ? 107 : 103

/** Whether the socket may be here: its path is short enough, and no client takes a part of it for a separator. */
const fits = (folder: string): boolean =>
  Buffer.byteLength(join(folder, `.s.PGSQL.${socketPort}`)) <= longest && /^[\w/.+@=~-]+$/.test(folder)

const prefix = "saga-ipam-socket-"

/** A private folder for the socket, made where it is missing. Two processes at once get the same one. */
export const makeSocketFolder = (layout: Layout, user: ServerUser): string => {
  if (fits(layout.socket)) {
    try {
      mkdirSync(layout.socket, { mode: 0o700 })
      giveTo(user, layout.socket)
    } catch (error) {
      if (systemCode(error) !== "EEXIST") throw error
    }
    return checked(layout.socket, user)
  }
  const known = linkedSocketFolder(layout)
  if (known !== undefined && lstatSync(known, { throwIfNoEntry: false }) !== undefined) return checked(known, user)
  const made = mkdtempSync(join(temporaryFolder(user), prefix))
  giveTo(user, made)
  try {
    if (known === undefined) symlinkSync(made, layout.socket)
    else replaceLink(made, layout.socket)
    return made
  } catch (error) {
    rmSync(made, { recursive: true })
    const first = linkedSocketFolder(layout)
    if (systemCode(error) !== "EEXIST" || first === undefined) throw error
    return checked(first, user)
  }
}

/** The folder outside of the server's that `socket` links to, `undefined` when it is not such a link. */
export const linkedSocketFolder = (layout: Layout): string | undefined => {
  try {
    const target = readlinkSync(layout.socket)
    return basename(target).startsWith(prefix) ? target : undefined
  } catch (error) {
    if (["ENOENT", "EINVAL"].includes(systemCode(error) ?? "")) return undefined
    throw error
  }
}

/** The folder of the socket, `undefined` when there is none yet. */
export const existingSocketFolder = (layout: Layout): string | undefined => {
  const folder = linkedSocketFolder(layout) ?? layout.socket
  return lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() ? folder : undefined
}

/** The first folder for temporary files that the user can enter and whose path leaves room for a socket's. */
export const temporaryFolder = (user: ServerUser): string => {
  const found = [tmpdir(), "/tmp", "/var/tmp"].find(
    (folder) => fits(join(folder, `${prefix}XXXXXX`)) && canEnter(user, folder),
  )
  if (found !== undefined) return found
  throw new EmbeddedServerFailed(
    "folder-unusable",
    `No folder for temporary files fits a socket (at most ${longest} bytes in all) and can be entered by uid ${user.uid}; set TMPDIR`,
  )
}

const replaceLink = (target: string, path: string): void => {
  const next = join(dirname(path), `.${basename(target)}`)
  symlinkSync(target, next)
  renameSync(next, path)
}

/** The folder, if it is the user's own and nobody else can enter it. */
const checked = (folder: string, user: ServerUser): string => {
  const stat = lstatSync(folder)
  if (!stat.isDirectory() || (stat.uid !== user.uid && stat.uid !== process.getuid?.())) {
    throw new EmbeddedServerFailed(
      "folder-unusable",
      `${folder} is not a folder of uid ${user.uid}; remove it and try again`,
    )
  }
  giveTo(user, folder)
  if ((stat.mode & 0o777) !== 0o700) chmodSync(folder, 0o700)
  return folder
}
