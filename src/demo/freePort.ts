import { createServer } from "node:net"

/** Below those that systems give to outgoing connections, which could be at a port when a worker is started again there. */
const PORTS = { first: 20_000, last: 32_000 }

/** A port of loopback at which nobody listens, for a worker that others are to reach. */
export const freePort = async (): Promise<number> => {
  for (let tries = 0; tries < 100; tries++) {
    const port = PORTS.first + Math.floor(Math.random() * (PORTS.last - PORTS.first))
    if (await isFree(port)) return port
  }
  throw new Error(`no port is free between ${PORTS.first} and ${PORTS.last}`)
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer().once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })
