/** Callers of several processes who share keys, with calls that travel together in two of them, and go one by one in the third. */
import { randomUUID } from "node:crypto"
import { json } from "node:stream/consumers"
import { expect, test } from "vitest"
import { counts, createPool } from "../harness/calls.ts"
import { database, number, owner, pool } from "../harness/fixture.ts"
import { startProgram } from "../harness/programs.ts"
import type { Orders, Report } from "./batchProgram.ts"

const SIZE = 100

test("three processes that allocate, confirm and release the same keys never disagree about one", async () => {
  await createPool(owner, pool, `10.${number}.0.0-10.${number}.0.${SIZE - 1}`)
  const keys = Array.from({ length: SIZE }, () => randomUUID())
  const orders: Omit<Orders, "batch"> = { url: database().url("ipam_allocator"), pool, keys, callers: 32, calls: 25 }
  const reports = await Promise.all(
    [true, true, false].map((batch) => {
      const { stdout } = startProgram("test/services/batchProgram.ts", [JSON.stringify({ ...orders, batch })])
      return json(stdout) as Promise<Report>
    }),
  )
  expect(reports.flatMap(({ errors }) => errors).filter((one) => one !== "NotFound" && one !== "KeyReleased")).toEqual(
    [],
  )

  const released = new Set(reports.flatMap((report) => report.released))
  const rows = await owner.rows(
    `select request_id::text as key, host(unit) as address, released_at is not null as released
    from ipam.allocation where request_id = any ($1) order by 1`,
    [`{${keys.join(",")}}`],
  )
  const live = rows.filter((row) => row["released"] === false)
  for (const { key, address, released: isReleased } of rows) {
    const given = new Set(reports.flatMap(({ addresses }) => addresses[String(key)] ?? []))
    expect([...given], String(key)).toEqual(given.size === 0 ? [] : [address])
    expect(isReleased).toBe(released.has(String(key)))
  }
  expect(new Set(live.map(({ address }) => address)).size).toBe(live.length)
  expect(await counts(owner, pool)).toMatchObject({ held: live.length, free: SIZE - live.length, size: SIZE })
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
})
