/** The commands on allocations, one for each call of `Allocator`. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import type { KeyRecord, Released } from "../contract/allocation.ts"
import type { ListRequest } from "../contract/requests.ts"
import { addressText, allocationTable, allocationText } from "./allocationText.ts"
import { ExitWith } from "./exitCode.ts"
import * as flags from "./flags.ts"
import { print } from "./output.ts"
import { invalid, readOwner, withServices } from "./services.ts"

const key = { vrf: flags.vrf, request: flags.request, slot: flags.slot }

/** The request key that the flags give. */
const keyOf = (typed: {
  readonly vrf: string | undefined
  readonly request: string
  readonly slot: string | undefined
}) => ({
  vrf: typed.vrf,
  requestId: typed.request,
  slot: typed.slot,
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
    allowDraining: flags.allowDraining,
  },
  Effect.fnUntraced(function* (typed) {
    const { pool, address, allowReserved, allowCooling, allowDraining } = typed
    const allowed = { allowReserved, allowCooling, allowDraining }
    const owner = yield* readOwner(typed.owner)
    const answer = yield* withServices(({ allocator }) =>
      allocator.allocate({ ...keyOf(typed), pool, address, owner, ttlSeconds: typed.ttl, ...allowed }),
    )
    yield* print(answer, allocationText)
  }),
).pipe(
  Command.withDescription(
    "Allocate an address from a pool: the lowest free one, or the one of --address. The same request and slot again return the same answer.",
  ),
  Command.withShortDescription("Allocate an address from a pool"),
  Command.withExamples([
    {
      command:
        "saga-ipam allocate --pool web --request 0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b --owner instance/i-1 --ttl 300",
      description: "Allocate an address for five minutes, or until it is confirmed",
    },
  ]),
)

const confirm = Command.make(
  "confirm",
  key,
  Effect.fnUntraced(function* (typed) {
    yield* print(yield* withServices(({ allocator }) => allocator.confirm(keyOf(typed))), allocationText)
  }),
).pipe(Command.withDescription("Confirm a provisional allocation: its ttl no longer counts"))

const extend = Command.make(
  "extend",
  { ...key, ttl: flags.ttl },
  Effect.fnUntraced(function* (typed) {
    const answer = yield* withServices(({ allocator }) => allocator.extend({ ...keyOf(typed), ttlSeconds: typed.ttl }))
    yield* print(answer, allocationText)
  }),
).pipe(Command.withDescription("Give a provisional allocation a new ttl that begins now"))

const release = Command.make(
  "release",
  { ...key, all: flags.toggle("all", "Every slot of the request; prints a list") },
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
    "Release the address of a key and permanently fence the key, whether it was used before or not: a late allocate with it is refused",
  ),
  Command.withShortDescription("Release an address and permanently fence its key"),
)

/** How many of the request's slots an error names at most. */
const MAX_SLOTS_NAMED = 10

const get = Command.make(
  "get",
  key,
  Effect.fnUntraced(function* (typed) {
    const { vrf = "default", requestId, slot = "default" } = keyOf(typed)
    const found = yield* withServices(
      Effect.fnUntraced(function* ({ allocator }) {
        const known = yield* allocator.get({ vrf, requestId, slot })
        if (known !== null) return known
        const others = yield* allocator.list({ vrf, requestId, pageSize: MAX_SLOTS_NAMED })
        const { NotFound } = yield* Effect.promise(() => import("../errors/errors.ts"))
        const slots = others.map((one) => one.slot)
        return yield* new NotFound({
          what: "allocation",
          vrf,
          requestId,
          slot,
          ...(slots.length === 0 ? {} : { slots }),
        })
      }),
    )
    yield* print(found, allocationText)
  }),
).pipe(
  Command.withDescription(
    "Show the allocation of a key, or how it ended; exit code 3 for an unknown key, with the slots that the request has",
  ),
)

const list = Command.make(
  "list",
  {
    vrf: flags.vrf,
    allVrfs: flags.allVrfs,
    pool: flags.maybe(flags.pool),
    request: flags.maybe(flags.request),
    owner: flags.owner,
    address: flags.maybe(flags.address),
    prefix: flags.prefix,
    limit: flags.limit,
    after: flags.after,
    count: flags.count,
  },
  Effect.fnUntraced(function* ({ request: requestId, limit, after, count, owner: typedOwner, ...filter }) {
    const owner = yield* readOwner(typedOwner)
    if (limit !== undefined && limit < 1) return yield* invalid("limit", "must be at least 1")
    const request = { ...filter, requestId, owner, after: cursorOf(after, requestId !== undefined, filter.vrf) }
    if (count) {
      const number = yield* withServices(({ allocator }) => Effect.map(allocator.list(request), (all) => all.length))
      return yield* print({ count: number }, () => String(number))
    }
    const found = yield* withServices(({ allocator }) => listUpTo(limit, request, allocator.list))
    const last = found.length === limit ? found.at(-1) : undefined
    return yield* print(found, (all) =>
      [
        allocationTable(all),
        ...(last === undefined ? [] : [`\nMore: --after ${cursorText(last, requestId !== undefined)}`]),
      ].join("\n"),
    )
  }),
).pipe(
  Command.withDescription(
    "List allocations: of a VRF, of all with --all-vrfs, or those that match one of --pool, --request, --owner, --address, --prefix. Without --vrf, --owner and --address search all VRFs.",
  ),
  Command.withShortDescription("List allocations, all or by pool, request, owner, address or prefix"),
)

/** The value of --after for the next page: `10.0.0.9@blue`, or a slot if the slots of a request are listed. */
const cursorText = ({ address, vrf, slot }: KeyRecord, bySlot: boolean): string => (bySlot ? slot : `${address}@${vrf}`)

const cursorOf = (typed: string | undefined, bySlot: boolean, vrf = "default") => {
  if (typed === undefined) return undefined
  if (bySlot) return { slot: typed }
  const at = typed.indexOf("@")
  return at === -1 ? { address: typed, vrf } : { address: typed.slice(0, at), vrf: typed.slice(at + 1) }
}

/** The largest page. */
const MAX_PAGE_SIZE = 10_000

/** Reads pages until there are `limit` rows, or all of them if there is no limit. */
const listUpTo = Effect.fnUntraced(function* <E>(
  limit: number | undefined,
  request: typeof ListRequest.Encoded,
  read: (request: typeof ListRequest.Encoded) => Effect.Effect<ReadonlyArray<KeyRecord>, E>,
) {
  if (limit === undefined) return yield* read(request)
  const found: Array<KeyRecord> = []
  let { after } = request
  for (;;) {
    const pageSize = Math.min(MAX_PAGE_SIZE, limit - found.length)
    const page = yield* read({ ...request, after, pageSize })
    found.push(...page)
    const last = page.at(-1)
    if (last === undefined || page.length < pageSize || found.length === limit) return found
    after = { vrf: last.vrf, address: last.address ?? undefined, slot: last.slot }
  }
})

const who = Command.make(
  "who",
  { address: Argument.String("address").pipe(Argument.withDescription("An address")), vrf: flags.anyVrf },
  Effect.fnUntraced(function* ({ address, vrf }) {
    const found = yield* withServices(({ allocator }) => allocator.describeAddress({ address, vrf }))
    yield* print(found, addressText)
    if (found.outcome === "held") return
    const { errorFacts } = yield* Effect.promise(() => import("../errors/errorFacts.ts"))
    return yield* Effect.fail(new ExitWith(errorFacts.NotFound.exit))
  }),
).pipe(
  Command.withDescription(
    "Show who holds an address, or that it is free, reserved, cooling, draining or outside every range; exit code 3 if nobody holds it",
  ),
  Command.withShortDescription("Show who holds an address, or whether it is free"),
)

/** How many allocations are reclaimed in one transaction. */
const RECLAIM_ROWS = 1000

const reclaim = Command.make(
  "reclaim",
  { vrf: flags.anyVrf, limit: flags.limit },
  Effect.fnUntraced(function* ({ vrf, limit }) {
    const all = yield* withServices(
      Effect.fnUntraced(function* ({ allocator }) {
        if (limit !== undefined) return yield* allocator.reclaimExpired({ vrf, maxRows: limit })
        const found: Array<Released> = []
        for (;;) {
          const some = yield* allocator.reclaimExpired({ vrf, maxRows: RECLAIM_ROWS })
          found.push(...some)
          if (some.length < RECLAIM_ROWS) return found
        }
      }),
    )
    yield* print(all, (released) => (released.length === 0 ? "Nothing has expired." : allocationTable(released)))
  }),
).pipe(Command.withDescription("Release provisional allocations that are past their ttl"))

export const allocationCommands = [allocate, confirm, extend, release, get, list, who, reclaim] as const
