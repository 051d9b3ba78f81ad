/**
 * Which processes are present in a folder, without their having to say when they leave it.
 *
 * Each listens on a unix socket of its own there. The kernel refuses connections to it once the process has ended, even by SIGKILL, so
 * presence needs no heartbeat, no clock, and no pid that might be another process's by now. (Node has no file locks, which would
 * be the other means.) Names are never used again, so whoever removes a stale socket cannot hit a live one.
 */
import { randomBytes } from "node:crypto"
import { readdirSync, renameSync, rmSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import { join } from "node:path"
import { systemCode } from "./failure.ts"

/**
 * `user` uses the server, `idle` keeps it running for the next user, `stop` is about to stop it if nobody uses it. With its id, a
 * name has 13 characters, as many as that of PostgreSQL's own socket, whose path is known to fit.
 */
export type Role = "user" | "idle" | "stop"

export interface Presence {
  /** Ends it. */
  readonly leave: () => void
}

/** Is present in the folder as `role` until `leave`, or until this process ends, which it does not prevent. */
export const appear = async (folder: string, role: Role, onVisit = ignore): Promise<Presence> => {
  const id = randomBytes(4).toString("hex")
  const bound = join(folder, `bind.${id}`)
  const path = join(folder, `${role}.${id}`)
  const server = createServer((socket) => {
    socket.on("error", () => undefined).unref()
    onVisit(socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    // For every user who gets into the folder: root may share it with its owner.
    server.listen({ path: bound, exclusive: true, readableAll: true, writableAll: true }, resolve)
  })
  server.on("error", () => undefined).unref()
  // Between `bind` and `listen` a socket looks stale, so it gets its name when it listens.
  renameSync(bound, path)
  return {
    leave: () => {
      rmSync(path, { force: true })
      server.close()
    },
  }
}

const ignore = (visitor: Socket): void => void visitor.destroy()

/** The sockets of those who are present as one of the roles. Removes stale ones. */
export const present = async (folder: string, roles: ReadonlyArray<Role>): Promise<ReadonlyArray<string>> => {
  const paths = readdirSync(folder)
    .filter((name) => roles.some((role) => name.startsWith(`${role}.`)))
    .map((name) => join(folder, name))
  const alive = await Promise.all(paths.map(isAlive))
  for (const [index, path] of paths.entries()) if (alive[index] === false) rmSync(path, { force: true })
  return paths.filter((_, index) => alive[index])
}

const isAlive = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path)
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", (error) => resolve(!["ECONNREFUSED", "ENOENT"].includes(systemCode(error) ?? "")))
  })
