/**
 * Callers of one client in a process of its own, who allocate, replay, confirm and release keys that they share with other processes.
 * Gets its orders as JSON in its only argument, and prints as JSON which address each key had, and which keys it released.
 */
import { connect } from "../../src/promise.ts"

export interface Orders {
  readonly url: string
  readonly pool: string
  readonly keys: ReadonlyArray<string>
  readonly callers: number
  readonly calls: number
  readonly batch: boolean
}

export interface Report {
  /** Every address that an answer gave for a key: of one key always the same. */
  readonly addresses: Readonly<Record<string, ReadonlyArray<string>>>
  readonly released: ReadonlyArray<string>
  /** The classes of the errors that came. */
  readonly errors: ReadonlyArray<string>
}

const { url, pool, keys, callers, calls, batch } = JSON.parse(process.argv[2] ?? "") as Orders
const ipam = await connect({ url, max: 4, batch })
const addresses = new Map<string, Set<string>>()
const released = new Set<string>()
const errors = new Set<string>()

const caller = async () => {
  for (let call = 0; call < calls; call++) {
    const requestId = keys[Math.trunc(Math.random() * keys.length)] ?? ""
    const chance = Math.random()
    try {
      if (chance < 0.1) {
        await ipam.release({ requestId })
        released.add(requestId)
      } else {
        const { address } = await (chance < 0.3 ? ipam.confirm({ requestId }) : ipam.allocate({ pool, requestId }))
        addresses.set(requestId, (addresses.get(requestId) ?? new Set()).add(address))
      }
    } catch (error) {
      errors.add((error as { readonly _tag?: string })._tag ?? String(error))
    }
  }
}
await Promise.all(Array.from({ length: callers }, caller))
await ipam.close()

const report: Report = {
  addresses: Object.fromEntries([...addresses].map(([key, all]) => [key, [...all]])),
  released: [...released],
  errors: [...errors],
}
process.stdout.write(`${JSON.stringify(report)}\n`)
