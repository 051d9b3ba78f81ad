/** The machines of the examples, which can fail to boot. */

/** Either may be called again with the same arguments; a boot that comes after its `remove` is refused. */
export interface Machines {
  readonly boot: (operationId: string, addresses: ReadonlyArray<string>) => Promise<void>
  readonly remove: (operationId: string) => Promise<void>
}

export interface FakeMachines extends Machines {
  /** What runs, by operation, with its addresses. */
  readonly running: Map<string, ReadonlyArray<string>>
  /** How often it was asked, by method. */
  readonly asked: { boot: number; remove: number }
  fails: boolean
}

export const fakeMachines = (): FakeMachines => {
  const removed = new Set<string>()
  const machines: FakeMachines = {
    running: new Map(),
    asked: { boot: 0, remove: 0 },
    fails: false,
    boot: async (operationId, addresses) => {
      machines.asked.boot++
      if (machines.fails) throw new Error("it does not boot")
      if (removed.has(operationId)) throw new Error("it was removed")
      machines.running.set(operationId, addresses)
    },
    remove: async (operationId) => {
      machines.asked.remove++
      removed.add(operationId)
      machines.running.delete(operationId)
    },
  }
  return machines
}
