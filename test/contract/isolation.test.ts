/** Whatever decides or writes is refused outside of read committed, where it would act on a snapshot of before its waits. */
import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import { owner } from "../harness/fixture.ts"

/** An argument of each name that functions ask for. */
const id = `'${randomUUID()}'::uuid`
const given: Readonly<Record<string, string>> = {
  vrf: "'default'",
  pool: "'pool'",
  name: "'pool'",
  range: "'10.0.0.0/30'",
  ranges: "array['10.0.0.0/30']",
  request_id: id,
  request_ids: `array[${id}]`,
  operation_id: id,
  operation_ids: `array[${id}]`,
  slots: "array['a']",
  pools: "array['pool']",
  generations: "array[1]",
  state: "'unwound'",
  kind: "'machine'",
  id: "'1'",
  target_vrfs: "array['default']",
  target_kinds: "array['machine']",
  target_ids: "array['1']",
  horizon_seconds: "90 * 86400",
}

test.each(["repeatable read", "serializable"])(
  "every function that is not a mere read refuses %s",
  async (isolation) => {
    const functions = await owner.rows(`
    select p.proname as name, array_to_json(p.proargnames[1:p.pronargs - p.pronargdefaults]) as arguments
    from pg_proc p
    where p.pronamespace = 'ipam'::regnamespace and p.provolatile = 'v' and p.proname <> 'doctor'
      and has_function_privilege('ipam_operator', p.oid, 'execute')
    order by p.proname`)
    expect(functions.length).toBeGreaterThan(20)
    for (const { name, arguments: names } of functions) {
      const list = ((names ?? []) as ReadonlyArray<string>).map((one) => `${one} => ${given[one] ?? "null"}`).join(", ")
      await owner.run(`begin isolation level ${isolation}`)
      const call = owner.rows(`select * from ipam.${String(name)}(${list})`)
      await expect(call, String(name)).rejects.toMatchObject({
        code: "22023",
        message: expect.stringMatching(/^isolation:/),
      })
      await owner.run("rollback")
    }
  },
)
