/** What the tests of workers that fail share: devices that hold a request, and whether all stores agree. */
import type { Session } from "../../harness/database.ts"
import type { FakeDatacenter } from "../datacenter/fakeDatacenter.ts"

/** Holds every request that matches, such as `PUT ports/`, before or after it takes effect. */
export const holdRequests = (devices: FakeDatacenter, wanted: RegExp, at: "before" | "after") => {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  devices.hook = (when, request) => {
    if (when !== at || !wanted.test(request)) return
    reached.resolve()
    return opened.promise
  }
  return { reached: reached.promise, open: opened.resolve }
}

const heldText = `select a.vrf || ' ' || host(a.unit) as port, a.generation::text, a.owner_id as instance, a.expires_at is null as confirmed,
  coalesce(o.state, 'none') as operation, coalesce(i.state, 'none') as state
from ipam.allocation a
left join ipam.operation o on o.operation_id = a.request_id
left join reference.instance i on i.operation_id = a.request_id
where a.released_at is null`

/** Every sentence is a promise that was broken between the addresses, the ledger, the instances and the switch; none when no saga runs. */
export const disagreements = async (world: {
  readonly session: Session
  readonly devices: FakeDatacenter
}): Promise<ReadonlyArray<string>> => {
  const { session, devices } = world
  const broken: Array<string> = []
  const expect = (holds: boolean, sentence: string) => {
    if (!holds) broken.push(sentence)
  }
  const held = new Map<string, Record<string, unknown>>()
  for (const row of await session.rows(heldText)) {
    const name = String(row["port"])
    expect(!held.has(name), `${name} is held twice`)
    held.set(name, row)
    expect(row["confirmed"] === true, `${name} is held and not confirmed`)
    expect(row["operation"] === "succeeded", `${name} is held by an operation that is ${String(row["operation"])}`)
    expect(row["state"] === "running", `${name} is held for an instance that is ${String(row["state"])}`)
    const port = devices.ports.get(name)
    expect(
      port?.instance === row["instance"],
      `${name} leads to ${String(port?.instance)}, held for ${String(row["instance"])}`,
    )
    expect(
      String(port?.generation) === row["generation"],
      `${name} is connected under ${String(port?.generation)}, held under ${String(row["generation"])}`,
    )
  }
  for (const [name, { instance }] of devices.ports) {
    expect(instance === null || held.has(name), `${name} leads to ${String(instance)} and is not held`)
  }
  const counted = await session.rows("select coalesce(sum(held), 0)::int as held from ipam.pool_counter")
  expect(counted[0]?.["held"] === held.size, `${String(counted[0]?.["held"])} are counted as held, ${held.size} are`)
  const instances = await session.rows("select operation_id, id, state from reference.instance")
  for (const { operation_id: id, id: name, state } of instances) {
    const machine = devices.machines.get(String(id))?.state
    expect(state !== "creating", `${String(name)} is still being created`)
    expect(
      (state === "running") === (machine === "running"),
      `${String(name)} is ${String(state)}, its machine ${machine}`,
    )
  }
  const open = await session.rows("select operation_id, state from ipam.operation where pending")
  for (const { operation_id: id, state } of open) broken.push(`${String(id)} is still ${String(state)}`)
  return broken
}
