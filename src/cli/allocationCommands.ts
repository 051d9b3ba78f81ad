/** The commands on allocations: a verb each, as in `Allocator`. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import type { Released } from "../domain/allocation.ts"
import { allocationTable, allocationText } from "./allocationText.ts"
import * as flags from "./flags.ts"
import { print } from "./output.ts"
import { invalid, readOwner, withServices } from "./services.ts"

const key = { vrf: flags.vrf, request: flags.request, slot: flags.slot }

/** What a caller typed as a key of the services. */
const keyOf = (typed: {
  readonly vrf: string | undefined
  readonly request: string
  readonly slot: string | undefined
}) => ({
  vrf: typed.vrf,
  requestId: typed.request,
  slot: typed.slot,
})

const notFound = Effect.fnUntraced(function* (fields: {
  readonly what: string
  readonly vrf: string
  readonly requestId?: string
  readonly slot?: string
}) {
  const { NotFound } = yield* Effect.promise(() => import("../domain/errors.ts"))
  return yield* new NotFound(fields)
})

const allocate = Command.make(
  "allocate",
  {
    pool: flags.pool,
    ...key,
    address: flags.maybe(flags.address),
    owner: flags.owner,
    ttl: flags.maybe(flags.ttl),
    allowReserved: flags.allowReserved,
    allowCooling: flags.allowCooling,
  },
  Effect.fnUntraced(function* (typed) {
    const { pool, address, allowReserved, allowCooling } = typed
    const owner = yield* readOwner(typed.owner)
    const answer = yield* withServices(({ allocator }) =>
      allocator.allocate({ ...keyOf(typed), pool, address, owner, ttlSeconds: typed.ttl, allowReserved, allowCooling }),
    )
    yield* print(answer, allocationText)
  }),
).pipe(
  Command.withDescription(
    "Take an address of a pool for a request: the lowest free one, or --address. The same request and slot again get the same answer.",
  ),
  Command.withShortDescription("Take an address of a pool for a request"),
  Command.withExamples([
    {
      command:
        "saga-ipam allocate --pool web --request 0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b --owner instance/i-1 --ttl 300",
      description: "Hold the next address for five minutes",
    },
  ]),
)

const confirm = Command.make(
  "confirm",
  key,
  Effect.fnUntraced(function* (typed) {
    yield* print(yield* withServices(({ allocator }) => allocator.confirm(keyOf(typed))), allocationText)
  }),
).pipe(Command.withDescription("Make a provisional allocation stay"))

const extend = Command.make(
  "extend",
  { ...key, ttl: flags.ttl },
  Effect.fnUntraced(function* (typed) {
    const answer = yield* withServices(({ allocator }) => allocator.extend({ ...keyOf(typed), ttlSeconds: typed.ttl }))
    yield* print(answer, allocationText)
  }),
).pipe(Command.withDescription("Give a provisional allocation a new ttl, from now on"))

const release = Command.make(
  "release",
  { ...key, all: flags.toggle("all", "Every slot of the request that exists; answers a list") },
  Effect.fnUntraced(function* (typed) {
    const { vrf, requestId, slot } = keyOf(typed)
    if (!typed.all) {
      return yield* print(
        yield* withServices(({ allocator }) => allocator.release({ vrf, requestId, slot })),
        allocationText,
      )
    }
    if (slot !== undefined) {
      return yield* invalid("slot", "must be left out with --all")
    }
    const all = yield* withServices(({ allocator }) => allocator.releaseAll({ vrf, requestId }))
    return yield* print(all, allocationTable)
  }),
).pipe(
  Command.withDescription(
    "Give the address of a key back, and bar the key for good, whether it was seen before or not",
  ),
  Command.withShortDescription("Give an address back and bar its key"),
)

const get = Command.make(
  "get",
  key,
  Effect.fnUntraced(function* (typed) {
    const found = yield* withServices(({ allocator }) => allocator.get(keyOf(typed)))
    if (found === null) {
      const { vrf = "default", requestId, slot = "default" } = keyOf(typed)
      return yield* notFound({ what: "allocation", vrf, requestId, slot })
    }
    return yield* print(found, allocationText)
  }),
).pipe(Command.withDescription("Show what a key holds or held; exit code 3 when it was never seen"))

const list = Command.make(
  "list",
  {
    vrf: flags.vrf,
    pool: flags.maybe(flags.pool),
    request: flags.maybe(flags.request),
    owner: flags.owner,
    address: flags.maybe(flags.address),
    prefix: flags.prefix,
  },
  Effect.fnUntraced(function* ({ vrf, pool, request, address, prefix, ...typed }) {
    const owner = yield* readOwner(typed.owner)
    const found = yield* withServices(({ allocator }) =>
      allocator.list({ vrf, pool, requestId: request, owner, address, prefix }),
    )
    yield* print(found, allocationTable)
  }),
).pipe(
  Command.withDescription(
    "List allocations by exactly one of --pool, --request, --owner, --address, --prefix. Without --vrf, --owner and --address look in all VRFs.",
  ),
  Command.withShortDescription("List allocations by pool, request, owner, address or prefix"),
)

const who = Command.make(
  "who",
  { address: Argument.String("address").pipe(Argument.withDescription("An address")), vrf: flags.anyVrf },
  Effect.fnUntraced(function* ({ address, vrf }) {
    const found = yield* withServices(({ allocator }) => allocator.who({ address, vrf }))
    if (found === null) return yield* notFound({ what: `holder of ${address}`, vrf: vrf ?? "any" })
    return yield* print(found, allocationText)
  }),
).pipe(Command.withDescription("Show who holds an address; exit code 3 when nobody does"))

/** How many are reclaimed in one transaction. */
const reclaimRows = 1000

const reclaim = Command.make(
  "reclaim",
  { vrf: flags.anyVrf, limit: flags.limit },
  Effect.fnUntraced(function* ({ vrf, limit }) {
    const all = yield* withServices(
      Effect.fnUntraced(function* ({ allocator }) {
        if (limit !== undefined) return yield* allocator.reclaimExpired({ vrf, maxRows: limit })
        const found: Array<Released> = []
        for (;;) {
          const some = yield* allocator.reclaimExpired({ vrf, maxRows: reclaimRows })
          found.push(...some)
          if (some.length < reclaimRows) return found
        }
      }),
    )
    yield* print(all, (released) => (released.length === 0 ? "Nothing had expired." : allocationTable(released)))
  }),
).pipe(Command.withDescription("Release provisional allocations that are past their ttl"))

export const allocationCommands = [allocate, confirm, extend, release, get, list, who, reclaim] as const
