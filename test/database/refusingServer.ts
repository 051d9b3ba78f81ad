import type { Socket } from "node:net"

/** Ends a session as PostgreSQL does when it refuses the password: a FATAL error with SQLSTATE 28P01. */
export const refusePassword = (socket: Socket): void => {
  const fields = `SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "u"\0\0`
  const head = Buffer.alloc(5)
  head.write("E")
  head.writeInt32BE(fields.length + 4, 1)
  socket.end(Buffer.concat([head, Buffer.from(fields)]))
}
