/**
 * `npm run demo`: a day of a control plane in a few seconds. Instance-creates 16 at a time, repeats, races, releases, reuse, a
 * pool driven past its end; then the doctor. Ends 0 only if every answer was as promised and every invariant holds.
 */
import { randomUUID } from "node:crypto"
import type { Allocation, Ipam, Pool } from "../promise.ts"
import { openDemoDatabase } from "./server.ts"

const INSTANCES = 400
const AT_A_TIME = 16

/** Runs the work over the items, so many at a time. */
const each = async <Item>(
  items: ReadonlyArray<Item>,
  work: (item: Item, place: number) => Promise<void>,
): Promise<void> => {
  const left = items.entries()
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      for (const [place, item] of left) await work(item, place)
    }),
  )
}

const broken: Array<string> = []
const expect = (holds: boolean, promise: string): void => {
  if (!holds) broken.push(promise)
}
const say = (line = ""): void => {
  process.stdout.write(`${line}\n`)
}
const tagOf = (error: unknown): string =>
  error instanceof Error && "_tag" in error ? String(error._tag) : String(error)
const textOf = (allocations: ReadonlyArray<Allocation>): string =>
  allocations.map((a) => `${a.slot} ${a.address} ${a.generation}`).join(" ")

const bar = (pool: Pool): string => {
  const width = 32
  const part = (count: bigint) => Number((count * BigInt(width)) / (pool.size === 0n ? 1n : pool.size))
  const held = pool.held > 0n ? Math.max(1, part(pool.held)) : 0
  const reserved = Math.min(width - held, part(pool.reserved))
  return "█".repeat(held) + "▒".repeat(reserved) + "·".repeat(width - held - reserved)
}

/** Slots of one instance: an IPv4 and an IPv6 address of its NIC. */
const slots = [
  { slot: "eth0/v4", pool: "tenants-v4" },
  { slot: "eth0/v6", pool: "tenants-v6" },
]
const slotNames = slots.map((slot) => slot.slot)

const play = async (ipam: Ipam): Promise<void> => {
  await ipam.createPool({ name: "tenants-v4", ranges: ["10.64.0.0/22"], gateway: "first" })
  await ipam.createPool({ name: "tenants-v6", ranges: ["2001:db8:64::/64"], gateway: "first" })
  await ipam.createPool({
    name: "external",
    ranges: ["192.0.2.0/28"],
    reserve: ["192.0.2.8-192.0.2.9"],
    cooldownSeconds: 600,
  })

  const requests = Array.from({ length: INSTANCES }, () => randomUUID())
  const first = new Map<string, string>()
  const create = async (requestId: string, place: number) =>
    textOf(
      await ipam.allocateMany({ requestId, owner: { kind: "instance", id: `i-${place}` }, ttlSeconds: 600, slots }),
    )

  const start = performance.now()
  await each(requests, async (requestId, place) => {
    first.set(requestId, await create(requestId, place))
    await ipam.confirmMany({ requestId, slots: slotNames })
  })
  const seconds = (performance.now() - start) / 1000
  expect(new Set(first.values()).size === INSTANCES, "no two instances share an address")
  say(`created    ${INSTANCES} instances, two addresses each, ${AT_A_TIME} at a time, in ${seconds.toFixed(1)} s`)

  const repeated = requests.filter((_, place) => place % 3 === 0)
  await each(repeated, async (requestId) => {
    const again = await create(requestId, requests.indexOf(requestId))
    expect(again === first.get(requestId), "a repeated call gets its first answer")
  })
  say(`repeated   ${repeated.length} of the calls: each got its first answer`)

  for (let race = 0; race < 20; race += 1) {
    const requestId = randomUUID()
    const answers = await Promise.all(Array.from({ length: 8 }, () => ipam.allocate({ pool: "tenants-v4", requestId })))
    expect(
      new Set(answers.map((answer) => answer.address)).size === 1,
      "callers that race with one key get one address",
    )
    await ipam.release({ requestId })
  }
  say("raced      20 keys, 8 callers each: one address a key")

  const gone = requests.filter((_, place) => place % 2 === 0)
  await each(gone, async (requestId) => {
    await ipam.releaseMany({ requestId, slots: slotNames })
    await ipam.releaseMany({ requestId, slots: slotNames })
  })
  const late = await create(gone[0] ?? "", 0).catch(tagOf)
  expect(late === "KeyReleased", "a late try of a released key is refused")
  say(`released   ${gone.length} instances, each twice; a late try of one of them: ${late}`)

  const freed = new Set(gone.map((requestId) => first.get(requestId)?.split(" ")[1]))
  let reused = 0
  await each(gone, async (_, place) => {
    const [nic] = await ipam.allocateMany({
      requestId: randomUUID(),
      owner: { kind: "instance", id: `j-${place}` },
      slots,
    })
    if (freed.has(nic?.address)) reused += 1
  })
  say(`created    ${gone.length} more: ${reused} of them on addresses that came free`)

  let taken = 0
  let end: unknown
  while (end === undefined) {
    await ipam.allocate({ pool: "external", requestId: randomUUID() }).then(
      () => (taken += 1),
      (error: unknown) => (end = error),
    )
  }
  expect(tagOf(end) === "PoolExhausted" && taken === 12, "a pool gives all of its addresses, then says so")
  say(`exhausted  the pool external after ${taken} addresses`)
  say(`           ${end instanceof Error ? end.message : tagOf(end)}`)
}

const report = async (ipam: Ipam): Promise<void> => {
  say()
  for (const pool of await ipam.pools()) {
    expect(
      pool.held + pool.reserved + pool.cooling + pool.free === pool.size,
      "held + reserved + cooling + free = size",
    )
    const counts = `held ${pool.held}, reserved ${pool.reserved}, cooling ${pool.cooling}, free ${pool.free}`
    say(`${pool.name.padEnd(11)}${bar(pool)}  ${counts}`)
  }
  say()
  const findings = await ipam.doctor()
  for (const finding of findings) say(`doctor     ${JSON.stringify(finding)}`)
  expect(findings.length === 0, "the doctor finds nothing")
  for (const promise of new Set(broken)) say(`broken     ${promise}`)
  if (broken.length === 0) say("doctor     every invariant holds")
}

const main = async (): Promise<void> => {
  const database = await openDemoDatabase(process.env["DATABASE_URL"] || undefined)
  try {
    await play(database.ipam)
    await report(database.ipam)
  } finally {
    await database.remove()
  }
  process.exitCode = broken.length === 0 ? 0 : 1
}

await main().catch((error: unknown) => {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
