/** What the reconciler releases, and above all what it does not. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { describe, expect, test } from "vitest"
import { layer } from "../../src/layer.ts"
import { OwnersUnreadable, TooManyOrphans, type Ipam } from "../../src/promise.ts"
import { Reconciler } from "../../src/services/Reconciler.ts"
import {
  database,
  held,
  ipam,
  immediately,
  owner,
  reconcileMarked,
  allocateFor,
  allocateExpired,
  vrf,
} from "./machines.ts"

const keyOf = ({ requestId }: { readonly requestId: string }) => ({ vrf, requestId })
/** A source that knows exactly these. */
const only =
  (...present: ReadonlyArray<string>) =>
  async (asked: Parameters<Parameters<Ipam["reconcile"]>[0]>[0]) =>
    asked.map((one) => ({ ...one, exists: present.includes(one.id) }))

const none = only()

/** The clock, except that a pause of this length does this instead. */
const clockWithout = (pause: Duration.Duration, instead: () => Promise<void>) =>
  Clock.clockWith((clock) =>
    Effect.succeed<Clock.Clock>({
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => (Duration.equals(duration, pause) ? Effect.promise(instead) : clock.sleep(duration)),
    }),
  )

describe("an orphan", () => {
  test("is released, what has an owner stays, and the tombstone says who, when and why", async () => {
    const [orphan] = [await allocateFor("gone"), await allocateFor("here")]
    const orphans = [{ address: orphan.address }]
    expect(await ipam.reconcile(only("here"), immediately())).toMatchObject({
      expired: 0,
      marked: 1,
      orphans,
      released: [],
    })
    const done = await ipam.reconcile(only("here"), immediately())
    expect(done).toMatchObject({ expired: 0, marked: 0, orphans })
    expect(done.released).toEqual([{ ...(await ipam.get(keyOf(orphan))), freed: true }])
    expect(done.released[0]).toMatchObject({
      releaseReason: "orphaned",
      releasedBy: "night shift",
      releaseNote: "owner machine/gone absent in two looks, the first at least 0 s before",
      releasedAt: expect.any(String),
    })
    expect(await held()).toEqual(["here"])
  })

  test("is only marked by the first run, and released by one after the mark has settled", async () => {
    await allocateFor("gone")
    const settling = { ...immediately(), settleSeconds: 3600 }
    expect(await ipam.reconcile(only(), settling)).toMatchObject({ marked: 1, released: [] })
    expect(await ipam.reconcile(only(), settling)).toMatchObject({ marked: 0, released: [], orphans: [{}] })
    await owner.rows("update ipam.orphan_mark set marked_at = marked_at - interval '1 hour' where vrf = $1", [vrf])
    expect(await ipam.reconcile(only(), settling)).toMatchObject({ marked: 0, released: [{ freed: true }] })
    expect(await owner.rows("select 1 from ipam.orphan_mark where vrf = $1", [vrf])).toEqual([])
  })

  test("released by its owner leaves no mark, and is marked no more", async () => {
    const orphan = await allocateFor("gone")
    await ipam.reconcile(none, { ...immediately(), settleSeconds: 3600 })
    await ipam.release(keyOf(orphan))
    await allocateFor("gone too")
    expect(await ipam.reconcile(none, { ...immediately(), settleSeconds: 3600 })).toMatchObject({ marked: 1 })
    const marks = await owner.rows("select ipam.mark_orphans($1, array[$2::uuid], array['default'], array[1], 'x')", [
      vrf,
      orphan.requestId,
    ])
    expect(marks).toEqual([{ mark_orphans: 0 }])
    expect((await owner.rows("select 1 from ipam.orphan_mark where vrf = $1", [vrf])).length).toBe(1)
  })

  test("whose owner is there again loses its mark", async () => {
    await allocateFor("back")
    await ipam.reconcile(only(), { ...immediately(), settleSeconds: 3600 })
    expect(await ipam.reconcile(only("back"), immediately())).toMatchObject({ orphans: [], released: [] })
    expect(await owner.rows("select 1 from ipam.orphan_mark where vrf = $1", [vrf])).toEqual([])
  })

  test("younger than the grace period is left alone, and so is what has no owner", async () => {
    await allocateFor("gone")
    await ipam.allocate({ vrf, pool: "web", requestId: crypto.randomUUID() })
    expect((await ipam.reconcile(only(), { ...immediately(), graceSeconds: 3600 })).orphans).toEqual([])
    expect((await reconcileMarked(only())).released.length).toBe(1)
    expect(await held()).toEqual(["nobody"])
  })

  test("is shown by a dry run, which changes nothing", async () => {
    await allocateFor("gone")
    const done = await ipam.reconcile(only(), { ...immediately(), dryRun: true })
    expect(done).toMatchObject({ expired: 0, orphans: [{}], marked: 0, released: [] })
    expect(await held()).toEqual(["gone"])
    expect(await owner.rows("select 1 from ipam.orphan_mark where vrf = $1", [vrf])).toEqual([])
  })

  test("is released once by two reconcilers", async () => {
    for (let index = 0; index < 20; index++) await allocateFor(`gone-${index}`)
    await ipam.reconcile(only(), immediately())
    const runs = await Promise.all([1, 2, 3].map(() => ipam.reconcile(only(), immediately())))
    expect(runs.flatMap(({ released }) => released).length).toBe(20)
    expect(await held()).toEqual([])
  })

  test("is released at the rate that was set: after each release there is a pause, before any other", async () => {
    for (let index = 0; index < 5; index++) await allocateFor(`gone-${index}`)
    await ipam.reconcile(only(), immediately())
    const releasedBeforePause: Array<number> = []
    const pause = Duration.seconds(100)
    const clock = await Effect.runPromise(
      clockWithout(pause, async () => {
        const released = await owner.rows(
          "select from ipam.allocation where vrf = $1 and release_reason = 'orphaned'",
          [vrf],
        )
        releasedBeforePause.push(released.length)
      }),
    )
    await Effect.runPromise(
      Reconciler.use((reconciler) =>
        reconciler.reconcile((asked) => Effect.succeed(asked.map((one) => ({ ...one, exists: false }))), {
          ...immediately(),
          perSecond: 1 / Duration.toSeconds(pause),
        }),
      ).pipe(
        Effect.provideService(Clock.Clock, clock),
        Effect.provide(layer({ url: database().url("ipam_operator") })),
      ),
    )
    expect(releasedBeforePause).toEqual([1, 2, 3, 4, 5])
  })
})

describe("what ran past its ttl", () => {
  const createOther = async () => {
    const other = `${vrf}-other`
    await ipam.createPool({ vrf: other, name: "web", ranges: ["10.0.0.0-10.0.0.31"] })
    return other
  }
  const states = async (...taken: ReadonlyArray<{ readonly vrf: string; readonly requestId: string }>) =>
    Promise.all(taken.map(async ({ vrf, requestId }) => (await ipam.get({ vrf, requestId }))?.state))

  test("is released with the run, in the VRF that it is for and no other", async () => {
    const other = await createOther()
    const expired = [await allocateExpired("here"), await allocateExpired("here", other)]
    expect(await ipam.reconcile(only("here"), immediately())).toMatchObject({ expired: 1, orphans: [] })
    expect(await states(...expired)).toEqual(["released", "provisional"])
    expect(await ipam.reconcile(only("here"), { ...immediately(), vrf: undefined })).toMatchObject({ expired: 1 })
    expect(await states(...expired)).toEqual(["released", "released"])
  })

  test("is reclaimed in the VRF that is named and no other", async () => {
    const other = await createOther()
    const expired = [await allocateExpired("here"), await allocateExpired("here", other)]
    await expect(ipam.reclaimExpired({ vrf: "nowhere" })).rejects.toMatchObject({ _tag: "UnknownVrf" })
    expect(await ipam.reclaimExpired({ vrf: other })).toMatchObject([{ vrf: other, releaseReason: "expired" }])
    expect(await states(...expired)).toEqual(["provisional", "released"])
    expect(await ipam.reclaimExpired()).toMatchObject([{ vrf, releaseReason: "expired" }])
  })

  test("is counted by a dry run as the run then releases it, apart from the orphans", async () => {
    const other = await createOther()
    const expired = [await allocateExpired("gone"), await allocateExpired("gone", other), await allocateExpired("gone")]
    await allocateFor("here", { ttlSeconds: 600 })
    await allocateFor("gone", { ttlSeconds: 600 })
    const preview = async (of: string | undefined) =>
      ipam.reconcile(only("here"), { ...immediately(), vrf: of, dryRun: true })
    expect(await preview(undefined)).toMatchObject({ expired: 3 })
    expect(await preview(vrf)).toMatchObject({ expired: 2, orphans: [{}], marked: 0, released: [] })
    expect(await states(...expired)).toEqual(["provisional", "provisional", "provisional"])
    expect(await ipam.reconcile(only("here"), immediately())).toMatchObject({ expired: 2, orphans: [{}], marked: 1 })
    expect(await ipam.reconcile(only("here"), immediately())).toMatchObject({
      expired: 0,
      orphans: [{}],
      released: [{}],
    })
    expect(await preview(vrf)).toMatchObject({ expired: 0, orphans: [] })
    expect(await ipam.reclaimExpired()).toMatchObject([{ vrf: other }])
  })
})

describe("nothing is released", () => {
  const refused = async (source: Parameters<Ipam["reconcile"]>[0], fields: object, error: Function) => {
    const thrown: unknown = await ipam
      .reconcile(source, { ...immediately(), ...fields })
      .catch((caught: unknown) => caught)
    expect(thrown).toBeInstanceOf(error)
    return thrown
  }

  test.each<[string, Parameters<Ipam["reconcile"]>[0], string]>([
    ["fails", () => Promise.reject(new Error("no route to host")), "no route to host"],
    [
      "throws",
      () => {
        throw new TypeError("undefined")
      },
      "undefined",
    ],
    ["does not answer", () => new Promise(() => undefined), "did not answer within 0.2 s"],
    ["answers for some", async (asked) => (await none(asked)).slice(1), "left out 1 of the 3 owners"],
    ["answers nothing", async () => [], "left out 3 of the 3"],
    [
      "answers in another VRF",
      async (asked) => asked.map((one) => ({ ...one, vrf: "other", exists: false })),
      "left out 3",
    ],
    [
      "contradicts itself",
      async (asked) =>
        asked.flatMap((one) => [
          { ...one, exists: true },
          { ...one, exists: false },
        ]),
      "does not say whether",
    ],
    [
      "answers without saying",
      async (asked) => asked.map((one) => one as typeof one & { exists: boolean }),
      "does not say whether",
    ],
  ])("when the source %s", async (_, source, why) => {
    for (const id of ["a", "b", "c"]) await allocateFor(id)
    const error = await refused(source, { sourceTimeoutSeconds: 0.2 }, OwnersUnreadable)
    expect(String(error)).toContain(why)
    expect(await held()).toEqual(["a", "b", "c"])
    expect(await owner.rows("select 1 from ipam.orphan_mark where vrf = $1", [vrf])).toEqual([])
  })

  test("when the source fails the second time it is asked", async () => {
    await allocateFor("gone")
    let asked = 0
    const source: Parameters<Ipam["reconcile"]>[0] = async (owners) => {
      asked += 1
      if (asked > 2) throw new Error("gone away")
      return owners.map((one) => ({ ...one, exists: false }))
    }
    expect(await ipam.reconcile(source, immediately())).toMatchObject({ marked: 1 })
    await refused(source, {}, OwnersUnreadable)
    expect(await held()).toEqual(["gone"])
  })

  test("when the owner exists by the second time it is asked about", async () => {
    await allocateFor("late")
    let asked = 0
    const source: Parameters<Ipam["reconcile"]>[0] = async (owners) =>
      owners.map((one) => ({ ...one, exists: asked++ > 1 }))
    expect(await reconcileMarked(source)).toMatchObject({ orphans: [{}], released: [] })
    expect(await held()).toEqual(["late"])
  })

  test("when more of a pool looks orphaned than may, in any pool", async () => {
    await ipam.createPool({ vrf, name: "a-first", ranges: ["10.0.1.0/24"] })
    for (let index = 0; index < 10; index++) {
      await ipam.allocate({
        vrf,
        pool: "a-first",
        requestId: crypto.randomUUID(),
        owner: { kind: "machine", id: "here" },
      })
    }
    await ipam.allocate({
      vrf,
      pool: "a-first",
      requestId: crypto.randomUUID(),
      owner: { kind: "machine", id: "gone" },
    })
    await allocateFor("gone")
    await allocateFor("here")
    const error = await refused(only("here"), { maxShare: 0.25 }, TooManyOrphans)
    expect(error).toMatchObject({ vrf, pool: "web", orphans: 1n, held: 2n })
    expect(await owner.rows("select 1 from ipam.orphan_mark where vrf = $1", [vrf])).toEqual([])
    expect((await reconcileMarked(only("here"), { ...immediately(), maxShare: 0.5 })).released.length).toBe(2)
  })

  test.each([
    ["works on the owner", { kind: "machine", id: "busy" }],
    ["holds it", { kind: "other", id: "thing" }],
  ])("while an operation %s, and after its end it is", async (how, target) => {
    const operationId = crypto.randomUUID()
    await ipam.beginOperation({ vrf, operationId, kind: "Move", payload: null, targets: [target] })
    await allocateFor("busy", how === "holds it" ? { requestId: operationId } : {})
    expect((await ipam.reconcile(only(), immediately())).orphans).toEqual([])
    await ipam.finishOperation({ vrf, operationId, state: "succeeded" })
    expect((await reconcileMarked(only())).released.length).toBe(1)
  })

  test("of an address that was given to another since it was marked", async () => {
    const { requestId, address } = await allocateFor("gone")
    const run = async (owners: Parameters<Parameters<Ipam["reconcile"]>[0]>[0]) => {
      // Between the two looks the address changes hands.
      await ipam.release({ vrf, requestId })
      await ipam.allocate({
        vrf,
        pool: "web",
        requestId: crypto.randomUUID(),
        address,
        owner: { kind: "machine", id: "new" },
      })
      return owners.map((one) => ({ ...one, exists: false }))
    }
    let looks = 0
    const source: Parameters<Ipam["reconcile"]>[0] = async (owners) =>
      looks++ < 2 ? owners.map((one) => ({ ...one, exists: false })) : run(owners)
    expect((await reconcileMarked(source)).released).toEqual([])
    expect(await held()).toEqual(["new"])
  })
})
