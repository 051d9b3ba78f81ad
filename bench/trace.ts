/**
 * Replays the trace of a real cluster by the promise API, as fast as possible: every creation allocates, every deletion releases.
 *
 * First in order, in a pool smaller than the peak, where a model predicts for each call whether it is refused. Then with 16 calls at a
 * time, in a pool large enough for the peak and for these calls, where none may be refused.
 */
import { randomUUID } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { inspect } from "node:util"
import { PoolExhausted } from "../src/promise.ts"
import { assert, type Bench } from "./database.ts"
import { median, quantile, timed } from "./measure.ts"
import { grouped, leftOut, ms, table, type Section } from "./report.ts"

const AT_A_TIME = 16

interface Event {
  readonly pod: number
  readonly creates: boolean
}

/** The events of the last lines `created_s,deleted_s`, in order. Within a second, creations come first: a pod may live for less. */
const eventsOf = (file: string, pods: number): ReadonlyArray<Event> =>
  readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .slice(-pods)
    .flatMap((line, pod) =>
      line
        .split(",")
        .map((at, column) => ({ at: Number(at), pod, creates: column === 0 }))
        .filter((_, column) => line.split(",")[column] !== ""),
    )
    .toSorted((a, b) => a.at - b.at || Number(b.creates) - Number(a.creates))

const peakOf = (events: ReadonlyArray<Event>): number => {
  let held = 0
  return events.reduce((peak, { creates }) => Math.max(peak, (held += creates ? 1 : -1)), 0)
}

const poolOf = async ({ ipam }: Bench, name: string, first: string, size: number): Promise<void> => {
  const [a, b, c, d] = first.split(".").map(Number)
  const last = ((a ?? 0) * 2 ** 24 + (b ?? 0) * 2 ** 16 + (c ?? 0) * 2 ** 8 + (d ?? 0) + size - 1) >>> 0
  const dotted = [24, 16, 8, 0].map((bits) => (last >>> bits) & 255).join(".")
  await ipam.createPool({ name, ranges: [`${first}-${dotted}`] })
}

interface Replay {
  readonly times: ReadonlyArray<number>
  readonly refused: number
  readonly peak: number
  readonly seconds: number
}

/** Makes one call after another, and compares every answer with the model. */
const inOrder = async (bench: Bench, events: ReadonlyArray<Event>, size: number): Promise<Replay> => {
  await poolOf(bench, "tight", "10.0.0.0", size)
  const keys = new Map<number, string>()
  const holders = new Map<string, number>()
  const addresses = new Map<number, string>()
  const times: Array<number> = []
  let [refused, peak] = [0, 0]
  const create = async (pod: number) => {
    const requestId = randomUUID()
    keys.set(pod, requestId)
    const answer = await bench.ipam.allocate({ pool: "tight", requestId }).catch((error: unknown) => error)
    const full = holders.size === size
    const agrees = full === answer instanceof PoolExhausted
    assert(agrees, agrees ? "" : `with ${holders.size} of ${size} held, the answer was ${inspect(answer)}`)
    if (answer instanceof PoolExhausted) {
      refused += 1
      return
    }
    const { address } = answer as { readonly address: string }
    assert(!holders.has(address), `${address} was allocated twice`)
    holders.set(address, pod)
    addresses.set(pod, address)
    peak = Math.max(peak, holders.size)
  }
  const remove = async (pod: number) => {
    const { freed } = await bench.ipam.release({ requestId: keys.get(pod) ?? "" })
    const address = addresses.get(pod)
    assert(freed === (address !== undefined), `the release of pod ${pod} answered freed: ${freed}`)
    holders.delete(address ?? "")
  }
  const total = await timed(async () => {
    for (const { pod, creates } of events) {
      const time = await timed(() => (creates ? create(pod) : remove(pod)))
      if (creates) times.push(time)
    }
  })
  return { times, refused, peak, seconds: total / 1000 }
}

/** Makes 16 calls at a time; each waits only for the call before it of the same pod. */
const concurrently = async (bench: Bench, events: ReadonlyArray<Event>, size: number): Promise<Replay> => {
  await poolOf(bench, "roomy", "10.1.0.0", size)
  const ipam = await bench.connected(AT_A_TIME)
  const created = new Map<number, Promise<void>>()
  const keys = new Map<number, string>()
  const holders = new Set<string>()
  const times: Array<number> = []
  let peak = 0
  const create = async (pod: number) => {
    const requestId = randomUUID()
    keys.set(pod, requestId)
    const start = performance.now()
    const { address } = await ipam.allocate({ pool: "roomy", requestId })
    times.push(performance.now() - start)
    holders.add(requestId)
    peak = Math.max(peak, holders.size)
    assert(address.startsWith("10.1."), `${address} lies outside the pool`)
  }
  const remove = async (pod: number) => {
    await created.get(pod)
    const requestId = keys.get(pod) ?? ""
    const { freed } = await ipam.release({ requestId })
    assert(freed && holders.delete(requestId), "a release freed nothing")
  }
  const remaining = events.values()
  const total = await timed(() =>
    Promise.all(
      Array.from({ length: AT_A_TIME }, async () => {
        for (const { pod, creates } of remaining) {
          if (!creates) {
            await remove(pod)
            continue
          }
          const done = create(pod)
          created.set(pod, done)
          await done
        }
      }),
    ),
  )
  return { times, refused: 0, peak, seconds: total / 1000 }
}

export const trace =
  (file: string | undefined) =>
  async (bench: Bench): Promise<Section> => {
    if (file === undefined) return leftOut("no trace was given (--trace FILE or SAGA_IPAM_TRACE)")
    if (!existsSync(file)) return leftOut("the file of the trace does not exist")
    const events = eventsOf(file, bench.short ? 1000 : Infinity)
    const creations = events.filter((one) => one.creates).length
    const peak = peakOf(events)
    const tight = Math.floor(peak * 0.9)
    const ordered = await inOrder(bench, events, tight)
    const concurrent = await concurrently(bench, events, peak + AT_A_TIME)
    const row = (name: string, size: number, replay: Replay) => [
      name,
      size,
      grouped(events.length / replay.seconds),
      ms(median(replay.times)),
      ms(quantile(replay.times, 0.99)),
      replay.peak,
      replay.refused,
    ]
    return {
      blocks: [
        `${grouped(creations)} creations and ${grouped(events.length - creations)} deletions, ${peak} at once at the peak. Every call was refused if the pool was full, and only then.`,
        table(
          ["replayed", "pool", "calls /s", "allocate p50 ms", "p99 ms", "peak held", "refused"],
          [row("in order", tight, ordered), row(`${AT_A_TIME} at a time`, peak + AT_A_TIME, concurrent)],
        ),
      ],
      goals: [],
    }
  }
