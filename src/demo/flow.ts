/**
 * What a control plane does all day, in a few seconds: creates, repeats, races, releases, reuse, and a pool driven past its
 * end. Knows the promise API only.
 */
import { randomUUID } from "node:crypto"
import type { Allocation, Ipam, Pool } from "../promise.ts"
import type { Home } from "./homes.ts"
import type { Stage } from "./stage.ts"

const AT_A_TIME = 16

/** Runs the work over the items, so many at a time; stops before the next item once the signal is aborted. */
const each = async <Item>(
  items: ReadonlyArray<Item>,
  { stage, signal }: Scene,
  what: string,
  work: (item: Item, place: number) => Promise<void>,
): Promise<void> => {
  const left = items.entries()
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      for (const [place, item] of left) {
        signal.throwIfAborted()
        stage.progress(`${what} ${place + 1} of ${items.length}`)
        await work(item, place)
      }
    }),
  )
}

/** What the acts share. */
export interface Scene {
  readonly ipam: Ipam
  readonly stage: Stage
  readonly signal: AbortSignal
}

/** An instance-create: its request id, chosen before the first try, and the addresses that it got then. */
interface Instance {
  readonly requestId: string
  readonly id: string
  readonly home: Home
  nics: ReadonlyArray<Allocation>
}

const tagOf = (error: unknown): string =>
  error instanceof Error && "_tag" in error ? String(error._tag) : String(error)

/** Everything of an answer that a repeated call must get again; whether it was the first is not part of it. */
const textOf = (nics: ReadonlyArray<Allocation>): string =>
  nics.map(({ pool, slot, address, generation }) => `${pool} ${slot} ${address} ${generation}`).join(", ")

const keysOf = ({ vrf, slots }: Home) => ({ vrf, slots: slots.map(({ slot }) => slot) })
/** An address is one within its vrf. */
const unitsOf = ({ nics }: Instance): ReadonlyArray<string> => nics.map(({ vrf, address }) => `${address} ${vrf}`)

const create = ({ ipam }: Scene, { requestId, id, home }: Instance): Promise<ReadonlyArray<Allocation>> =>
  ipam.allocateMany({ vrf: home.vrf, requestId, owner: { kind: "instance", id }, ttlSeconds: 600, slots: home.slots })

/** Creates an instance in each home, and confirms it as the last step of its flow. */
const createAll = async (scene: Scene, name: string, homes: ReadonlyArray<Home>): Promise<ReadonlyArray<Instance>> => {
  const instances = homes.map((home, place): Instance => ({
    requestId: randomUUID(),
    id: `${name}-${place}`,
    home,
    nics: [],
  }))
  await each(instances, scene, "creating", async (instance) => {
    instance.nics = await create(scene, instance)
    await scene.ipam.confirmMany({ requestId: instance.requestId, ...keysOf(instance.home) })
  })
  return instances
}

const repeat = async (scene: Scene, instances: ReadonlyArray<Instance>): Promise<void> => {
  const third = instances.filter((_, place) => place % 3 === 0)
  await each(third, scene, "repeating", async (instance) => {
    const again = await create(scene, instance)
    scene.stage.expect(textOf(again) === textOf(instance.nics), "a repeated call gets its first answer")
  })
  scene.stage.say("repeated", `${third.length} of the calls: each got its first answer`)
}

const RACES = 20
const RACERS = 8

const race = async ({ ipam, stage, signal }: Scene, { vrf, slots: [place] }: Home): Promise<void> => {
  if (place === undefined) return
  for (let round = 1; round <= RACES; round += 1) {
    signal.throwIfAborted()
    stage.progress(`racing ${round} of ${RACES}`)
    const key = { vrf, requestId: randomUUID() }
    const calls = Array.from({ length: RACERS }, () => ipam.allocate({ ...key, pool: place.pool }))
    const answers = new Set((await Promise.all(calls)).map(({ address, generation }) => `${address} ${generation}`))
    stage.expect(answers.size === 1, "callers that race with one key get one address")
    await ipam.release(key)
  }
  stage.say("raced", `${RACES} keys, ${RACERS} callers each: one address a key`)
}

/** Releases every second instance, twice, then tries one of them once more. */
const release = async (scene: Scene, instances: ReadonlyArray<Instance>): Promise<ReadonlyArray<Instance>> => {
  const gone = instances.filter((_, place) => place % 2 === 0)
  await each(gone, scene, "releasing", async ({ requestId, home }) => {
    for (const freed of [true, false]) {
      const released = await scene.ipam.releaseMany({ requestId, ...keysOf(home) })
      scene.stage.expect(
        released.every((one) => one.freed === freed),
        "the first release frees, the second changes nothing",
      )
    }
  })
  const [first] = gone
  if (first !== undefined) {
    const late = await create(scene, first).then(() => "an answer", tagOf)
    scene.stage.expect(late === "KeyReleased", "a late try of a released key is refused")
    scene.stage.say("released", `${gone.length} instances, each twice; a late try of one of them: ${late}`)
  }
  return gone
}

/** Takes the pool's last address, and asks for one more; then gives one back, which the next caller gets. */
export const drive = async ({ ipam, stage, signal }: Scene, small: Pool): Promise<void> => {
  const { vrf, name: pool } = small
  const { free } = await ipam.pool(pool, { vrf })
  let taken = 0n
  let last: Allocation | undefined
  for (;;) {
    signal.throwIfAborted()
    stage.progress(`taking ${taken + 1n} of ${free}`)
    const answer: unknown = await ipam.allocate({ vrf, pool, requestId: randomUUID() }).then(
      (allocation) => (last = allocation),
      (error: unknown) => error,
    )
    if (!(answer instanceof Error)) {
      taken += 1n
      continue
    }
    stage.expect(
      tagOf(answer) === "PoolExhausted" && taken === free,
      "a pool gives all of its addresses, and then says that it is exhausted",
    )
    stage.say("exhausted", `${pool} in VRF ${vrf}, after its last ${taken} addresses`)
    stage.say("", answer.message)
    break
  }
  if (last === undefined) return
  await ipam.release({ vrf, requestId: last.requestId })
  const next = await ipam.allocate({ vrf, pool, requestId: randomUUID() })
  stage.expect(
    next.address === last.address && next.generation > last.generation,
    "a full pool's address goes to the next caller once it is released, with a higher generation",
  )
  stage.say(
    "reused",
    `${last.address}, released and taken again: generation ${last.generation}, then ${next.generation}`,
  )
}

/** Plays all of it. The homes have room for an instance each, once. */
export const play = async (scene: Scene, homes: ReadonlyArray<Home>): Promise<void> => {
  const { stage } = scene
  const start = performance.now()
  const instances = await createAll(scene, "i", homes)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const vrfs = new Set(homes.map(({ vrf }) => vrf)).size
  const where = vrfs === 1 ? "one VRF" : `${vrfs} VRFs`
  stage.say(
    "created",
    `${instances.length} instances in ${where}, two addresses each, ${AT_A_TIME} at a time, in ${seconds} s`,
  )

  const units = instances.flatMap(unitsOf)
  stage.expect(
    new Set(units).size === 2 * instances.length,
    "every instance has two addresses, and no two share one within a VRF",
  )
  const holders = Map.groupBy(
    instances.flatMap(({ nics }) => nics),
    ({ address }) => address,
  )
  const shared = [...holders.values()].filter(({ length }) => length > 1).length
  if (shared > 0) stage.say("", `${shared} addresses are held in several VRFs at once, once in each`)

  await repeat(scene, instances)
  for (const home of homes.slice(0, 1)) await race(scene, home)
  const gone = await release(scene, instances)

  const freed = new Set(gone.flatMap(unitsOf))
  const more = await createAll(
    scene,
    "j",
    gone.map(({ home }) => home),
  )
  const again = more.flatMap(unitsOf).filter((unit) => freed.has(unit)).length
  const live = [...instances.filter((one) => !gone.includes(one)), ...more].flatMap(unitsOf)
  stage.expect(new Set(live).size === live.length, "an address that came free goes to one caller only")
  stage.say("created", `${more.length} more: ${again} of their addresses had come free`)
}
