/**
 * Calls that travel together: those that gather while others of their queue run. Each keeps an outcome, a retry, a deadline and an
 * interruption of its own.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { beforeAll, beforeEach, describe, expect, test } from "vitest"
import type { Statement } from "../../src/database/Database.ts"
import { untilBlocked } from "../harness/calls.ts"
import { noneRunning, useCalls, waiting, type Calls } from "./calls.ts"

const { owner, effects, withDatabase } = useCalls()

/**
 * Inserts a key once, by a statement alone or by one for several, and waits as long as somebody holds an advisory lock: 7 for the
 * statement alone, 8 for that of several.
 */
const add: Statement = {
  text: "select * from add_alone($1, $2)",
  repeatable: true,
  batch: {
    text: "select * from add_together($1, $2::text[])",
    queueOf: ([group]) => String(group),
    join: (calls) => [calls[0]?.[0] ?? null, `{${calls.map(([, key]) => String(key)).join(",")}}`],
  },
}

/** `refused` is refused by both, `left` is left to its own statement. */
const functions = `
  create table sent (number int generated always as identity, keys text[]);
  create function add_alone(of_group text, key text) returns table (added text) language plpgsql as $$
  begin
    perform pg_advisory_xact_lock_shared(7);
    if add_alone.key = 'refused' then
      raise exception using errcode = 'invalid_parameter_value', message = 'key: refused';
    end if;
    insert into sent (keys) values (array[add_alone.key]);
    insert into effect values (add_alone.key) on conflict on constraint effect_pkey do nothing;
    return query select add_alone.key;
  end $$;
  create function add_together(of_group text, keys text[]) returns table (n int, added text) language plpgsql as $$
  begin
    perform pg_advisory_xact_lock_shared(8);
    if 'refused' = any (add_together.keys) then
      raise exception using errcode = 'invalid_parameter_value', message = 'key: refused';
    end if;
    insert into sent (keys) values (add_together.keys);
    return query
      with inserted as (
        insert into effect select k from unnest(add_together.keys) k where k <> 'left'
        on conflict on constraint effect_pkey do nothing
        returning key
      )
      select u.n::int, u.key from unnest(add_together.keys) with ordinality u (key, n) join inserted i on i.key = u.key;
  end $$;
`

beforeAll(() => owner().run(functions))
beforeEach(() => owner().run("truncate sent restart identity"))

/** The keys of each statement that was executed, in the order of execution. */
const sent = async () =>
  (await owner().rows("select array_to_string(keys, ' ') as keys from sent order by number")).map((row) =>
    String(row["keys"]),
  )
/** The same without those of `holdTwo`, either of which may be the last to go on. */
const sentAfter = async () => (await sent()).filter((keys) => keys !== "first" && keys !== "second")
/** Statements of either kind wait on the server until they are released. */
const hold = () => owner().run("select pg_advisory_lock(7), pg_advisory_lock(8)")
const release = () => owner().run("select pg_advisory_unlock_all()")

/** Two calls whose statements wait on the server, so that whatever follows gathers. */
const holdTwo = async ({ call }: Calls) => {
  await hold()
  const held = [call(add, ["g", "first"]), call(add, ["g", "second"])]
  await untilBlocked(owner(), 2)
  return held
}

test("a call whose queue is empty goes alone and at once", async () => {
  await withDatabase({}, async ({ call }) => {
    expect(await call(add, ["g", "a"])).toEqual([{ added: "a" }])
    expect(await call(add, ["g", "b"])).toEqual([{ added: "b" }])
    expect(await sent()).toEqual(["a", "b"])
  })
})

test("what gathers while two of its queue run goes as one statement, and each gets its own answer", async () => {
  await withDatabase({}, async (calls) => {
    const held = await holdTwo(calls)
    const gathered = ["c", "d", "e"].map((key) => calls.call(add, ["g", key]))
    await release()
    await Promise.all(held)
    expect((await Promise.all(gathered)).map(([row]) => row?.["added"])).toEqual(["c", "d", "e"])
    expect(await sentAfter()).toEqual(["c d e"])
  })
})

test("at most two statements of a queue run at a time, with connections to spare, and another queue finds one", async () => {
  await withDatabase({ max: 5 }, async (calls) => {
    const held = await holdTwo(calls)
    const gathered = ["c", "d"].map((key) => calls.call(add, ["g", key]))
    const other = calls.call(add, ["other", "o"])
    await untilBlocked(owner(), 3)
    // Would go alone if those two had gone.
    gathered.push(calls.call(add, ["g", "e"]))
    await release()
    await Promise.all([...held, ...gathered, other])
    expect((await sentAfter()).filter((keys) => keys !== "o")).toEqual(["c d e"])
  })
})

test("beside a much larger statement a call waits for it, rather than go alone time and again", async () => {
  await withDatabase({ max: 5 }, async (calls) => {
    await hold()
    const alone = calls.call(add, ["g", "first"])
    const many = Array.from({ length: 10 }, (_, index) => calls.call(add, ["g", `m${index}`]))
    await untilBlocked(owner(), 2)
    // The call alone is answered, and its statement is free for another.
    await owner().run("select pg_advisory_unlock(7)")
    await alone
    const few = ["a", "b", "c", "d"].map((key) => calls.call(add, ["g", key]))
    const other = calls.call(add, ["other", "o"])
    await other
    expect(await sent()).toEqual(["first", "o"])
    few.push(calls.call(add, ["g", "e"]))
    await untilBlocked(owner(), 2)
    await release()
    await Promise.all([...many, ...few])
    expect((await sent()).map((keys) => keys.split(" ").length).toSorted((a, b) => a - b)).toEqual([1, 1, 5, 10])
  })
})

test("on a single connection, they travel together as well", async () => {
  await withDatabase({ max: 1 }, async ({ call }) => {
    await hold()
    const answers = ["a", "b", "c", "d"].map((key) => call(add, ["g", key]))
    await owner().until(waiting)
    await release()
    await Promise.all(answers)
    expect(await sent()).toEqual(["a", "b c d"])
  })
})

test("a statement takes at most 256 calls", async () => {
  await withDatabase({}, async (calls) => {
    const held = await holdTwo(calls)
    const keys = Array.from({ length: 300 }, (_, index) => `k${index}`)
    const gathered = keys.map((key) => calls.call(add, ["g", key]))
    await release()
    await Promise.all(held)
    expect((await Promise.all(gathered)).map(([row]) => row?.["added"])).toEqual(keys)
    expect(new Set((await sentAfter()).map((one) => one.split(" ").length))).toEqual(new Set([256, 44]))
  })
})

test("with `batch: false` every call goes alone", async () => {
  await withDatabase({ batch: false, max: 2 }, async (calls) => {
    const held = await holdTwo(calls)
    const others = ["c", "d"].map((key) => calls.call(add, ["g", key]))
    await release()
    await Promise.all([...held, ...others])
    expect(new Set(await sent())).toEqual(new Set(["first", "second", "c", "d"]))
  })
})

test("one that the statement for all leaves out is made alone, with its own answer", async () => {
  await withDatabase({}, async (calls) => {
    const held = await holdTwo(calls)
    const gathered = ["c", "left", "e"].map((key) => calls.call(add, ["g", key]))
    await release()
    await Promise.all(held)
    expect((await Promise.all(gathered)).map(([row]) => row?.["added"])).toEqual(["c", "left", "e"])
    expect(await sentAfter()).toEqual(["c left e", "left"])
  })
})

test("where the server refuses the statement for all, each is made alone, and only one is refused", async () => {
  await withDatabase({}, async (calls) => {
    const held = await holdTwo(calls)
    const gathered = Promise.allSettled(["c", "refused", "e"].map((key) => calls.call(add, ["g", key])))
    await release()
    await Promise.all(held)
    expect((await gathered).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"])
    expect((await gathered)[1]).toMatchObject({ reason: { _tag: "InvalidInput", field: "key" } })
    expect(new Set(await sentAfter())).toEqual(new Set(["c", "e"]))
  })
})

describe("a caller that is interrupted", () => {
  test("before its call was sent sends nothing, and the others go", async () => {
    await withDatabase({}, async (calls) => {
      const held = await holdTwo(calls)
      const gone = calls.start(add, ["g", "gone"])
      const stays = calls.call(add, ["g", "stays"])
      await Effect.runPromise(Fiber.interrupt(gone))
      await release()
      await Promise.all([...held, stays])
      expect(await effects()).toEqual(["first", "second", "stays"])
    })
  })

  test("after its call was sent together with others ends at once, and the others are answered", async () => {
    await withDatabase({ max: 1 }, async (calls) => {
      await hold()
      const first = calls.call(add, ["g", "first"])
      await owner().until(waiting)
      const gone = calls.start(add, ["g", "gone"])
      const stays = calls.call(add, ["g", "stays"])
      await holdNext(first)
      await Effect.runPromise(Fiber.interrupt(gone))
      await release()
      expect(await stays).toMatchObject([{ added: "stays" }])
      expect(await effects()).toEqual(["first", "gone", "stays"])
    })
  })

  test("cancels the statement when all its callers have gone", async () => {
    await withDatabase({ max: 1 }, async (calls) => {
      await hold()
      const first = calls.call(add, ["g", "first"])
      await owner().until(waiting)
      const gone = ["a", "b"].map((key) => calls.start(add, ["g", key]))
      await holdNext(first)
      await Effect.runPromise(Effect.all(gone.map((fiber) => Fiber.interrupt(fiber))))
      await owner().until(noneRunning)
      await release()
      expect(await calls.call(add, ["g", "next"])).toEqual([{ added: "next" }])
      expect(await effects()).toEqual(["first", "next"])
    })
  })
})

describe("a connection that is lost under several calls", () => {
  test("leaves each of them to repeat its call, and every outcome is definite", async () => {
    await withDatabase({ max: 1 }, async (calls) => {
      const gathered = await holdTogether(calls, ["a", "b", "c"])
      const { pid } = await owner().until(waiting)
      await owner().run(`select pg_terminate_backend(${String(pid)})`)
      await owner().until(`${waiting} and pid <> ${String(pid)}`)
      await release()
      expect((await Promise.all(gathered)).map(([row]) => row?.["added"])).toEqual(["a", "b", "c"])
      expect(await effects()).toEqual(["a", "b", "c", "first"])
    })
  })

  test("makes the outcome of those unknown that are not idempotent", async () => {
    await withDatabase({ max: 1 }, async (calls) => {
      const [repeated, once] = await holdTogether(calls, ["repeated"], ["once"])
      const unknown = expect(once).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
      const { pid } = await owner().until(waiting)
      await owner().run(`select pg_terminate_backend(${String(pid)})`)
      await unknown
      await release()
      expect(await repeated).toEqual([{ added: "repeated" }])
      expect(await effects()).toEqual(["first", "repeated"])
    })
  })
})

test("the deadline passes for each of those that were sent together, and nothing of them runs on", async () => {
  await withDatabase({ max: 2, timeoutSeconds: 4 }, async ({ call }) => {
    await hold()
    const told = await Promise.allSettled(["alone", "a", "b"].map((key) => call(add, ["g", key])))
    // Unreachable: the server ended the statement just before, as its own limit says, and nothing was sent since.
    const reason = { _tag: expect.stringMatching(/^Database(Unavailable|Unreachable)$/) as string }
    for (const one of told) expect(one).toMatchObject({ reason })
    await owner().until(noneRunning)
    await release()
    expect(await effects()).toEqual([])
  })
})

test("a client that is closed serves what has gathered", async () => {
  await withDatabase({ max: 1 }, async (calls) => {
    const gathered = await holdTogether(calls, ["a", "b"])
    const later = calls.call(add, ["g", "c"])
    const closed = calls.close()
    await release()
    expect((await Promise.all([...gathered, later])).map(([row]) => row?.["added"])).toEqual(["a", "b", "c"])
    await closed
  })
})

/** Calls that were sent together, on a single connection, and wait on the server; those of `once` are not idempotent. */
const holdTogether = async (calls: Calls, keys: ReadonlyArray<string>, once: ReadonlyArray<string> = []) => {
  await hold()
  const first = calls.call(add, ["g", "first"])
  await owner().until(waiting)
  const gathered = [
    ...keys.map((key) => calls.call(add, ["g", key])),
    ...once.map((key) => calls.call({ ...add, repeatable: false }, ["g", key])),
  ]
  await holdNext(first)
  return gathered
}

/** Lets the call go on that waits alone, and holds those that follow it together, which wait for another lock. */
const holdNext = async (first: Promise<unknown>) => {
  await owner().run("select pg_advisory_unlock(7)")
  await first
  await owner().run("select pg_advisory_lock(7)")
  await owner().until(waiting)
}
