/** The rules of a row of `ipam.allocation`, which the server enforces against a call that is wrong, and against a hand that changes rows. */
import { afterAll, beforeAll, expect, test } from "vitest"
import { useDatabase, type Session } from "../harness/database.ts"

const database = useDatabase()
let owner: Session
beforeAll(() => {
  owner = database().session()
})
afterAll(() => owner.end())

type Row = Readonly<Record<string, string>>

const seen: Row = {
  request_id: "gen_random_uuid()",
  pool_id: "1",
  range_id: "1",
  unit: "'0.0.0.0'::inet + (random() * 1e9)::int",
  generation: "1",
  fingerprint: "'\\x01'",
  allocated_at: "now()",
}
const confirmed: Row = { ...seen, confirmed_at: "now()" }
const tombstone: Row = { request_id: "gen_random_uuid()", released_at: "now()", release_reason: "'released'" }

const insert = (row: Row) =>
  owner.run(
    `insert into ipam.allocation (vrf, slot, ${Object.keys(row).join(", ")})
    values ('default', 'default', ${Object.values(row).join(", ")})`,
  )

test.each<[string, Row]>([
  ["confirmed", confirmed],
  ["provisional, with an owner", { ...seen, expires_at: "now()", owner_kind: "'instance'", owner_id: "'i-1'" }],
  ["released by a person", { ...confirmed, ...tombstone, released_by: "'ann'", release_note: "'moved'" }],
  ["released, never seen", tombstone],
])("a row that is %s is accepted", async (_, row) => {
  await expect(insert(row)).resolves.toBeUndefined()
})

test.each<[rule: string, Row]>([
  ["allocation_request", { ...confirmed, request_id: "'00000000-0000-0000-0000-000000000000'" }],
  ["allocation_seen", { ...confirmed, generation: "null" }],
  ["allocation_unseen", { request_id: "gen_random_uuid()" }],
  ["allocation_unseen", { ...tombstone, expires_at: "now()" }],
  ["allocation_owner", { ...confirmed, owner_kind: "'instance'" }],
  ["allocation_state", seen],
  ["allocation_released", { ...confirmed, released_at: "now()" }],
  ["allocation_released", { ...tombstone, release_reason: "'transferred'" }],
  ["allocation_released_by", { ...confirmed, released_by: "'ann'" }],
  ["allocation_release_note", { ...tombstone, release_note: "'moved'" }],
])("a row that breaks %s is refused by that name: %j", async (rule, row) => {
  await expect(insert(row)).rejects.toMatchObject({ code: "23514", constraint_name: rule })
})

test("an update is held to the rules, too", async () => {
  await insert(confirmed)
  const broken = owner.run("update ipam.allocation set confirmed_at = null where confirmed_at is not null")
  await expect(broken).rejects.toMatchObject({ code: "23514", constraint_name: "allocation_state" })
})

test("a statement that writes a row has one short CHECK to parse", async () => {
  const checks = await owner.rows(
    "select conname from pg_constraint where conrelid = 'ipam.allocation'::regclass and contype = 'c'",
  )
  expect(checks).toEqual([{ conname: "allocation_valid" }])
})
