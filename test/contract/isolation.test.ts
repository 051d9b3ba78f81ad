/** Whatever decides or writes is refused outside of read committed, where it would act on a snapshot of before its waits. */
import { expect, test } from "vitest"
import { owner } from "../harness/fixture.ts"
import { decisions } from "./decisions.ts"

test.each(["repeatable read", "serializable"])(
  "every function that is not a mere read refuses %s",
  async (isolation) => {
    for (const { name, text } of await decisions(owner)) {
      await owner.run(`begin isolation level ${isolation}`)
      await expect(owner.rows(text), name).rejects.toMatchObject({
        code: "22023",
        message: expect.stringMatching(/^isolation:/),
      })
      await owner.run("rollback")
    }
  },
)
