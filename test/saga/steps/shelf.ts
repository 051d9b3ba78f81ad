/** A store in memory, and a sound step on it that tests break in one way at a time. */
import * as Effect from "effect/Effect"
import { checkStep } from "../../../src/saga/index.ts"

/** A sound step on a store of its own, to be broken in one way at a time. */
const sound = () => {
  const held = new Map<string, number>()
  const gone = new Set<string>()
  const unlessGone = (key: string) =>
    Effect.suspend(() => (gone.has(key) ? Effect.fail(new Error("too late")) : Effect.void))
  return {
    held,
    gone,
    unlessGone,
    step: {
      do: (key: string): Effect.Effect<unknown, unknown> =>
        Effect.suspend(() => {
          if (!gone.has(key)) held.set(key, 1)
          return Effect.as(unlessGone(key), "held")
        }),
      undo: (key: string): Effect.Effect<unknown, unknown> =>
        Effect.sync(() => {
          gone.add(key)
          held.delete(key)
        }),
      observe: (key: string): Effect.Effect<unknown, unknown> => Effect.sync(() => ({ held: held.get(key) ?? 0 })),
    },
  }
}
type Store = ReturnType<typeof sound>

/** What is told of the sound step, broken in one way. */
export const told = (breakIt: (store: Store) => Partial<Store["step"]>, hangsAfter = 5000) => {
  const store = sound()
  return Effect.runPromise(checkStep({ ...store.step, ...breakIt(store), hangsAfter }))
}

/** A ledger of its own that says what is held, and an undo that looks only there. */
export const withLedger = ({ held, gone }: Store) => {
  const ledger = new Set<string>()
  const undo = (key: string) =>
    Effect.sync(() => {
      gone.add(key)
      if (ledger.delete(key)) held.delete(key)
    })
  return { ledger, undo }
}
