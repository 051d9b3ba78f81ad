/** `checkStep` on steps that are broken in one way each: it tells them, with that way. */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { describe, expect, test } from "vitest"
import { checkStep } from "../../../src/saga/index.ts"
import { useDatabase } from "../../harness/database.ts"
import { told, withLedger } from "./shelf.ts"

const LEFT = "left { held: 1 } instead of { held: 0 }"
const killed = `a do that was killed half-way and then undone ${LEFT}`
const atOnce = `a do and its undo at once ${LEFT}`
const brokenOff = `broken off half-way and then undone, the step ${LEFT}`
const late = `a do that came after its undo ${LEFT}`

describe("a broken step is told, and a sound one is not", () => {
  const database = useDatabase("empty")

  test("a sound one", async () => {
    expect(await told(() => ({}))).toEqual([])
  })

  test("a sound one whose calls wait for one another", async () => {
    const broken = await told(({ step }) => {
      const lock = Semaphore.makeUnsafe(1)
      return {
        do: (key) => lock.withPermits(1)(Effect.andThen(Effect.yieldNow, step.do(key))),
        undo: (key) => lock.withPermits(1)(step.undo(key)),
      }
    })
    expect(broken).toEqual([])
  })

  test("a sound one whose undo refuses as long as its do is under way: an undo is repeated", async () => {
    const broken = await told(({ step }) => {
      const under = new Set<string>()
      return {
        do: (key) =>
          Effect.ensuring(
            Effect.andThen(
              Effect.sync(() => under.add(key)),
              Effect.andThen(Effect.yieldNow, step.do(key)),
            ),
            Effect.sync(() => under.delete(key)),
          ),
        undo: (key) => Effect.suspend(() => (under.has(key) ? Effect.fail("not yet") : step.undo(key))),
      }
    })
    expect(broken).toEqual([])
  })

  test("a row that is inserted, and deleted without a trace, is told", async () => {
    const session = database().session()
    await session.run("create table lease (id uuid primary key)")
    const rows = (text: string, key: string) => Effect.promise(() => session.rows(text, [key]))
    const broken = await Effect.runPromise(
      checkStep({
        do: (key) => rows("insert into lease values ($1) on conflict (id) do nothing", key),
        undo: (key) => rows("delete from lease where id = $1", key),
        observe: (key) => Effect.map(rows("select from lease where id = $1", key), ({ length }) => ({ held: length })),
      }),
    )
    expect(broken).toContain(late)
    expect(broken).toContain(atOnce)
    expect(broken).not.toContainEqual(expect.stringContaining("two executors"))
  })

  test("each do takes one more", async () => {
    const broken = await told(({ held, step }) => ({
      do: (key) =>
        Effect.suspend(() => {
          const before = held.get(key) ?? 0
          return Effect.tap(step.do(key), () => Effect.sync(() => held.set(key, before + 1)))
        }),
    }))
    expect(broken).toContain("done twice, the step left { held: 2 } instead of { held: 1 }")
  })

  test("each do answers something else", async () => {
    let answers = 0n
    const broken = await told(({ step }) => ({ do: (key) => Effect.map(step.do(key), () => ++answers) }))
    expect(broken).toContain("done twice, the step answered 4n instead of 3n")
  })

  test("the second undo fails", async () => {
    const broken = await told(({ gone, step }) => ({
      undo: (key) => Effect.suspend(() => (gone.has(key) ? Effect.fail(new Error("not there")) : step.undo(key))),
    }))
    expect(broken).toContain("undone once already, the step could not be undone: Error: not there")
    expect(broken).not.toContainEqual(expect.stringMatching(/^never done/))
  })

  test("what was never done cannot be undone", async () => {
    const broken = await told(({ held, gone, step }) => ({
      undo: (key) =>
        Effect.suspend(() => (held.has(key) || gone.has(key) ? step.undo(key) : Effect.fail({ code: "nothing" }))),
    }))
    expect(broken).toContain("never done, the step could not be undone: { code: 'nothing' }")
    expect(broken).not.toContainEqual(expect.stringMatching(/^undone once already/))
  })

  test("a late do revives what was undone", async () => {
    const broken = await told(({ held }) => ({ do: (key) => Effect.sync(() => void held.set(key, 1)) }))
    expect(broken).toContain(late)
    expect(broken).toContain(atOnce)
    expect(broken).not.toContain(brokenOff)
  })

  test("an undo that came first is forgotten, and only then a late do revives", async () => {
    const broken = await told(({ held, gone, step }) => ({
      undo: (key) => Effect.suspend(() => (held.has(key) || gone.has(key) ? step.undo(key) : Effect.void)),
    }))
    expect(broken).toContain(late)
  })

  test("an undo is remembered only where nothing was done, and a late do revives the rest", async () => {
    const broken = await told(({ held, gone, step }) => ({
      undo: (key) => Effect.suspend(() => (held.delete(key) || gone.has(key) ? Effect.void : step.undo(key))),
    }))
    expect(broken).toContain(late)
  })

  test("the undo takes what another key has", async () => {
    const broken = await told(({ held, step }) => ({
      undo: (key) =>
        Effect.andThen(
          step.undo(key),
          Effect.sync(() => void held.delete([...held.keys()].at(-1) ?? "")),
        ),
    }))
    expect(broken).toContain(
      "done beside another key that was undone then, the step left { held: 0 } instead of { held: 1 }",
    )
  })

  test("a do looks, then writes, and its undo came between", async () => {
    const broken = await told(({ held, unlessGone }) => ({
      do: (key) =>
        Effect.gen(function* () {
          yield* unlessGone(key)
          yield* Effect.yieldNow
          yield* Effect.sync(() => held.set(key, 1))
        }),
    }))
    expect(broken).toEqual([atOnce])
  })

  test("the same within a promise, which goes on when its fiber is interrupted", async () => {
    const broken = await told(({ held, gone }) => ({
      do: (key) =>
        Effect.promise(async () => {
          if (gone.has(key)) throw new Error("too late")
          await new Promise((resolve) => setTimeout(resolve, 5))
          held.set(key, 1)
        }),
    }))
    expect(broken).toEqual([atOnce, brokenOff])
  })

  test("two executors look, then both take", async () => {
    const broken = await told(({ held, gone, unlessGone }) => ({
      do: (key) =>
        Effect.gen(function* () {
          yield* unlessGone(key)
          if (yield* Effect.sync(() => held.has(key))) return
          yield* Effect.sync(() => !gone.has(key) && held.set(key, (held.get(key) ?? 0) + 1))
        }),
    }))
    expect(broken).toEqual(["done by two executors at once, the step left { held: 2 } instead of { held: 1 }"])
  })

  test("two executors at once get an answer each", async () => {
    const broken = await told(({ held, step }) => {
      let answers = 0
      const answerOf = new Map<string, number>()
      return {
        do: (key) =>
          Effect.gen(function* () {
            const before = yield* Effect.sync(() => (held.has(key) ? answerOf.get(key) : undefined))
            yield* step.do(key)
            return before ?? (yield* Effect.sync(() => answerOf.set(key, ++answers).get(key)))
          }),
      }
    })
    expect(broken).toContainEqual(
      expect.stringMatching(/^done by two executors at once, the step answered \d+ instead of \d+$/),
    )
    expect(broken).not.toContainEqual(expect.stringMatching(/^done twice/))
  })

  test("half of the effect is where the undo does not look", async () => {
    const broken = await told((store) => {
      const { held, gone, unlessGone } = store
      const { ledger, undo } = withLedger(store)
      return {
        do: (key) =>
          Effect.gen(function* () {
            yield* unlessGone(key)
            yield* Effect.sync(() => held.set(key, 1))
            yield* Effect.sync(() => (gone.has(key) ? held.delete(key) : ledger.add(key)))
          }),
        undo,
      }
    })
    expect(broken).toEqual([killed, brokenOff])
  })

  test("only a finalizer cleans up, which a killed process does not run", async () => {
    const broken = await told((store) => {
      const { held, gone, unlessGone } = store
      const { ledger, undo } = withLedger(store)
      return {
        do: (key) =>
          Effect.gen(function* () {
            yield* unlessGone(key)
            yield* Effect.sync(() => held.set(key, 1))
            yield* Effect.sync(() => ledger.add(key))
          }).pipe(
            Effect.ensuring(
              Effect.sync(() => {
                if (!ledger.has(key) || gone.has(key)) held.delete(key)
              }),
            ),
          ),
        undo,
      }
    })
    expect(broken).toEqual([killed])
  })

  test("a do that was broken off bars the next one", async () => {
    const broken = await told(({ step }) => {
      const busy = new Set<string>()
      return {
        do: (key) =>
          Effect.gen(function* () {
            if (yield* Effect.sync(() => busy.has(key))) return yield* Effect.fail(new Error("busy"))
            yield* Effect.sync(() => busy.add(key))
            yield* Effect.exit(Effect.yieldNow)
            const answer = yield* step.do(key)
            yield* Effect.sync(() => busy.delete(key))
            return answer
          }),
      }
    })
    expect(broken).toContain("broken off half-way and done again, the step failed: Error: busy")
  })

  test("an undo that was broken off takes itself for done", async () => {
    const broken = await told(({ held, gone }) => ({
      undo: (key) =>
        Effect.gen(function* () {
          if (yield* Effect.sync(() => gone.has(key))) return
          yield* Effect.sync(() => gone.add(key))
          yield* Effect.sync(() => held.delete(key))
        }),
    }))
    expect(broken).toContain(`an undo that was broken off half-way and repeated ${LEFT}`)
    expect(broken).not.toContain(late)
  })

  test("a step that hangs", async () => {
    let interrupted = 0
    const hanging = Effect.onInterrupt(Effect.never, () => Effect.sync(() => ++interrupted))
    expect(await told(() => ({ do: () => hanging }), 300)).toEqual([
      "done and undone, the step did not end within 300ms",
    ])
    expect(interrupted).toBe(1)
    // Not even an interruption ends this one.
    const broken = await told(
      ({ held, step }) => ({
        do: (key) => Effect.suspend(() => (held.has(key) ? Effect.uninterruptible(Effect.never) : step.do(key))),
      }),
      300,
    )
    expect(broken).toContain("done twice, the step did not end within 300ms")
  })

  test("a step whose do or undo fails at all, or that cannot be observed, is tried no further", async () => {
    expect(await told(() => ({ do: () => Effect.die(new TypeError("no")) }))).toEqual([
      "done and undone, the step failed: TypeError: no",
    ])
    expect(await told(() => ({ undo: () => Effect.void }))).toEqual([`done and undone, the step ${LEFT}`])
    expect(await told(() => ({ observe: () => Effect.succeed({ seen: 1 }) }))).toEqual([
      "done and undone, the step left nothing to observe but { seen: 1 }",
    ])
    let port = 7000
    const broken = await told(({ held, step }) => ({
      do: (key) => Effect.tap(step.do(key), () => Effect.sync(() => held.set(key, ++port))),
    }))
    expect(broken).toEqual([
      "done and undone under another key, the step left { held: 7002 } instead of { held: 7001 }",
    ])
  })
})
