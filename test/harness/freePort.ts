import { createServer } from "node:net"

/** Ports below those of outgoing connections, one of which could occupy the port when a worker is started again. */
const PORTS = { first: 20_000, last: 32_000 }

/** Finds a port of the loopback address on which nothing listens. */
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
