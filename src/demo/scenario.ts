/**
 * A day of a control plane in a few seconds: creates, a crash, repeated calls, races, deletes, reuse, and a pool that is exhausted.
 * Knows only the sagas and the promise API.
 */
import { randomUUID } from "node:crypto"
import type { Allocation, Ipam, KeyRecord, Pool } from "../promise.ts"
import type { Creation, Ended, ControlPlane } from "./controlPlane.ts"
import type { Home } from "./homes.ts"
import type { Stage } from "./stage.ts"

const AT_A_TIME = 16

/** Works on the items, 16 at a time; stops before the next item once the signal is aborted. */
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
        stage.advance(what, place + 1, items.length)
        await work(item, place)
      }
    }),
  )
}

/** What all parts of the demo work with. */
export interface Scene {
  readonly ipam: Ipam
  readonly controlPlane: Pick<ControlPlane, "create" | "remove" | "pending" | "crash">
  readonly stage: Stage
  readonly signal: AbortSignal
}

/** The name of the pool in each VRF from which instances get their third address. */
export const EXTERNAL = "external"

/** A created instance: the request, and the addresses that it holds. */
interface Instance {
  readonly asked: Creation
  readonly home: Home
  ended: Ended
  nics: ReadonlyArray<KeyRecord>
}

const tagOf = (error: unknown): string =>
  error instanceof Error && "_tag" in error ? String(error._tag) : String(error)

/** The part of an answer that a repeated call must return again: everything except whether it is a replay. */
const textOf = (nics: ReadonlyArray<KeyRecord>): string =>
  nics.map(({ pool, slot, address, generation }) => `${pool} ${slot} ${address} ${generation}`).join(", ")

/** The addresses of an instance; an address is unique within its VRF. */
const unitsOf = ({ nics }: Instance): ReadonlyArray<string> => nics.map(({ vrf, address }) => `${address} ${vrf}`)

const heldBy = async ({ ipam }: Scene, vrf: string, requestId: string): Promise<ReadonlyArray<KeyRecord>> =>
  (await ipam.list({ vrf, requestId })).filter(({ state }) => state === "confirmed")

/** One in so many sagas has a machine that fails to start, and unwinds. */
const FAILING = 8

/** Creates an instance in each home. Returns those that succeeded; some are made to fail. */
const createAll = async (
  scene: Scene,
  name: string,
  homes: ReadonlyArray<Home>,
  midway: () => Promise<void> = () => Promise.resolve(),
): Promise<{ readonly instances: ReadonlyArray<Instance>; readonly unwound: number }> => {
  const instances: Array<Instance> = []
  let unwound = 0
  let interlude = Promise.resolve()
  await each(homes, scene, "creating", async (home, place) => {
    if (place === Math.floor(homes.length / 2)) {
      interlude = midway()
      // A failure is reported when all sagas have ended; until then nobody awaits this promise.
      interlude.catch(() => undefined)
    }
    const [first, second] = home.slots
    const pools = { v4: first?.pool ?? "", v6: second?.pool ?? "", external: EXTERNAL }
    const instance = `${name}-${place}`
    const fails = place % FAILING === FAILING - 1
    const asked: Creation = { request: instance, instance, vrf: home.vrf, pools, fails }
    const ended = await scene.controlPlane.create(asked)
    const nics = await heldBy(scene, home.vrf, ended.operationId)
    scene.stage.expect(ended.succeeded === !fails, "a saga succeeds if nothing fails, and else unwinds")
    scene.stage.expect(nics.length === (ended.succeeded ? 3 : 0), "a saga that has ended holds everything, or nothing")
    if (ended.succeeded) instances.push({ asked, home, ended, nics })
    else unwound += 1
  })
  await interlude
  return { instances, unwound }
}

const repeat = async (scene: Scene, instances: ReadonlyArray<Instance>): Promise<void> => {
  const third = instances.filter((_, place) => place % 3 === 0)
  await each(third, scene, "repeating", async ({ asked, ended, nics, home }) => {
    const again = await scene.controlPlane.create(asked)
    const now = await heldBy(scene, home.vrf, again.operationId)
    scene.stage.expect(
      again.operationId === ended.operationId && textOf(now) === textOf(nics),
      "a repeated call gets its first answer",
    )
  })
  scene.stage.say("repeated", `${third.length} of the sagas: each got its first answer`)
}

const RACES = 20
const RACERS = 8

const race = async ({ ipam, stage, signal }: Scene, { vrf, slots: [place] }: Home): Promise<void> => {
  if (place === undefined) return
  for (let round = 1; round <= RACES; round += 1) {
    signal.throwIfAborted()
    stage.advance("racing", round, RACES)
    const key = { vrf, requestId: randomUUID() }
    const calls = Array.from({ length: RACERS }, () => ipam.allocate({ ...key, pool: place.pool }))
    const answers = new Set((await Promise.all(calls)).map(({ address, generation }) => `${address} ${generation}`))
    stage.expect(answers.size === 1, "callers that race with one key get one address")
    await ipam.release(key)
  }
  stage.say("raced", `${RACES} keys, ${RACERS} callers each: one address a key`)
}

/** Deletes every second instance, twice, and then repeats an allocate of one of them, which must be refused. */
const release = async (scene: Scene, instances: ReadonlyArray<Instance>): Promise<ReadonlyArray<Instance>> => {
  const gone = instances.filter((_, place) => place % 2 === 0)
  await each(gone, scene, "deleting", async ({ asked: { instance, vrf }, ended }) => {
    for (let times = 1; times <= 2; times += 1) {
      const removed = await scene.controlPlane.remove({
        request: `delete ${instance}`,
        vrf,
        instance,
        created: ended.operationId,
      })
      const left = await heldBy(scene, vrf, ended.operationId)
      scene.stage.expect(removed.succeeded && left.length === 0, "a deleted instance holds nothing")
    }
  })
  const [first] = gone
  if (first !== undefined) {
    const { vrf, slots } = first.home
    const pool = slots[0]?.pool ?? ""
    const key = { vrf, requestId: first.ended.operationId, slot: "nic/v4" }
    const late = await scene.ipam.allocate({ ...key, pool }).then(() => "an answer", tagOf)
    scene.stage.expect(late === "KeyReleased", "a late try of a released key is refused")
    scene.stage.say("deleted", `${gone.length} instances, each twice; a late try of one of their steps: ${late}`)
  }
  return gone
}

/** Exhausts the pool and requests one address more; then releases one, which the next caller must get. */
export const drive = async ({ ipam, stage, signal }: Omit<Scene, "controlPlane">, small: Pool): Promise<void> => {
  const { vrf, name: pool } = small
  const { free } = await ipam.getPool({ pool, vrf })
  let taken = 0n
  let last: Allocation | undefined
  for (;;) {
    signal.throwIfAborted()
    stage.advance("taking", Number(taken) + 1, Number(free))
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

/** Kills a worker while sagas run, and waits until it runs again; returns how many sagas were in progress. */
const crash = async ({ controlPlane, stage }: Scene): Promise<number> => {
  const pending = controlPlane.pending()
  await controlPlane.crash()
  const cut = await pending
  stage.say("crashed", `one of two workers, killed with ${cut} sagas pending, and started again`)
  return cut
}

/** Plays the whole day. Each home has room for one instance. */
export const play = async (scene: Scene, homes: ReadonlyArray<Home>): Promise<void> => {
  const { stage } = scene
  const start = performance.now()
  let resumed = 0
  const { instances, unwound } = await createAll(scene, "i", homes, async () => {
    resumed = await crash(scene)
  })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const vrfs = new Set(homes.map(({ vrf }) => vrf)).size
  const where = vrfs === 1 ? "one VRF" : `${vrfs} VRFs`
  stage.say(
    "created",
    `${instances.length} instances in ${where}, three addresses each, ${AT_A_TIME} sagas at a time, in ${seconds} s`,
  )
  stage.say("unwound", `${unwound} sagas whose machine failed on purpose: nothing is left of them`)

  const units = instances.flatMap(unitsOf)
  stage.expect(new Set(units).size === 3 * instances.length, "no two instances share an address within a VRF")
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
  const again = more.instances.flatMap(unitsOf).filter((unit) => freed.has(unit)).length
  const live = [...instances.filter((one) => !gone.includes(one)), ...more.instances].flatMap(unitsOf)
  stage.expect(new Set(live).size === live.length, "an address that came free goes to one caller only")
  stage.say("created", `${more.instances.length} more: ${again} of their addresses had come free`)
  const succeeded = instances.length + more.instances.length + gone.length
  stage.say(
    "sagas",
    `${succeeded} succeeded, ${unwound + more.unwound} unwound, ${resumed} resumed after the crash or went on beside it`,
  )
}
