/** Calls of every function that is not a mere read, for tests of where nothing may be decided. */
import { randomUUID } from "node:crypto"
import { expect } from "vitest"
import type { Session } from "../harness/database.ts"

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

/** The statements: each function that decides or writes, with arguments of the right types. */
export const decisions = async (
  session: Session,
): Promise<ReadonlyArray<{ readonly name: string; readonly text: string }>> => {
  const functions = await session.rows(`
    select p.proname as name, array_to_json(p.proargnames[1:p.pronargs - p.pronargdefaults]) as arguments
    from pg_proc p
    where p.pronamespace = 'ipam'::regnamespace and p.provolatile = 'v' and p.proname <> 'doctor'
      and has_function_privilege('ipam_operator', p.oid, 'execute')
    order by p.proname`)
  expect(functions.length).toBeGreaterThan(20)
  return functions.map(({ name, arguments: names }) => {
    const list = ((names ?? []) as ReadonlyArray<string>).map((one) => `${one} => ${given[one] ?? "null"}`).join(", ")
    return { name: String(name), text: `select * from ipam.${String(name)}(${list})` }
  })
}
