/** Runs the fake datacenter for examples that are tried by hand. An instance whose name begins with `broken` does not boot. */
import { startFakeDatacenter } from "./fake.ts"

const { url } = await startFakeDatacenter({ port: 24_440, isBroken: (instance) => instance.startsWith("broken") })
console.log(`The datacenter is at ${url}`)
