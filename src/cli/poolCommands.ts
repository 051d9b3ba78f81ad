/** The commands on pools, their ranges and reservations, one for each call of `Pools`. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type { Pools } from "../services/Pools.ts"
import type { Pool, Reservation } from "../contract/pool.ts"
import * as flags from "./flags.ts"
import { details, print, table } from "./output.ts"
import { invalid, withServices } from "./services.ts"

const newName = Argument.String("name").pipe(Argument.withDescription("Name of the new pool"))
const name = Argument.String("name").pipe(Argument.withDescription("Pool, by name or id"))
const range = Argument.String("range").pipe(Argument.withDescription("CIDR, FIRST-LAST or one address"))

/** The share of the pool that is held, to a tenth of a percent. Computed with bigints, since a pool may have 2^128 units. */
const used = ({ size, held }: Pool): string => {
  const tenths = size === 0n ? 0n : (held * 1000n) / size
  return `${tenths / 10n}.${tenths % 10n}%`
}

const poolTable = (pools: ReadonlyArray<Pool>): string =>
  table(
    ["VRF", "POOL", "FAMILY", "SIZE", "HELD", "RESERVED", "COOLING", "FREE", "USED"],
    pools.map((pool) => [
      pool.vrf,
      pool.name,
      `IPv${pool.family}`,
      pool.size,
      pool.held,
      pool.reserved,
      pool.cooling,
      pool.free,
      used(pool),
    ]),
    "There are no pools.",
  )

const reservationTable = (all: ReadonlyArray<Reservation>): string =>
  table(
    ["RESERVED FROM", "TO", "KIND", "REASON"],
    all.map((one) => [one.first, one.last, one.kind, one.reason]),
    "Nothing is reserved.",
  )

const poolText = (pool: Pool): string =>
  [
    details([
      ["outcome", pool.outcome],
      ["pool", pool.name],
      ["id", pool.id],
      ["vrf", pool.vrf],
      ["size", pool.size],
      ["held", `${pool.held} (${used(pool)})`],
      ["reserved", pool.reserved],
      ["cooling", pool.cooling],
      ["free", pool.draining === 0n ? pool.free : `${pool.free}, of which ${pool.draining} draining`],
      ["gateway", pool.gateway],
      ["cooldown", `${pool.cooldownSeconds} s`],
      ["state", pool.state],
      ["revision", pool.revision],
      ["description", pool.description],
    ]),
    "",
    table(
      ["FIRST", "LAST", "STATE", "GATEWAY"],
      pool.ranges.map((one) => [one.first, one.last, one.state, one.gateway]),
      "No ranges.",
    ),
  ].join("\n")

const create = Command.make(
  "create",
  {
    name: newName,
    vrf: flags.vrf,
    ranges: flags.ranges,
    reserve: flags.reservations,
    gateway: flags.gateway,
    cooldown: flags.cooldown,
    includeNetworkAddresses: flags.includeNetworkAddresses,
    description: flags.description,
  },
  Effect.fnUntraced(function* ({ cooldown, ...fields }) {
    const answer = yield* withServices(({ pools }) => pools.createPool({ ...fields, cooldownSeconds: cooldown }))
    yield* print(answer, poolText)
  }),
).pipe(
  Command.withDescription("Create a pool; the same definition again changes nothing"),
  Command.withExamples([
    { command: "saga-ipam pool create web --range 10.0.0.0/24 --gateway first", description: "A /24 with a gateway" },
  ]),
)

const list = Command.make(
  "list",
  { vrf: flags.anyVrf },
  Effect.fnUntraced(function* ({ vrf }) {
    yield* print(yield* withServices(({ pools }) => pools.listPools({ vrf })), poolTable)
  }),
).pipe(Command.withDescription("List pools with their counts"))

const show = Command.make(
  "show",
  { name, vrf: flags.vrf },
  Effect.fnUntraced(function* (typed) {
    const request = { vrf: typed.vrf, pool: typed.name }
    const answer = yield* withServices(({ pools }) =>
      Effect.map(Effect.all([pools.getPool(request), pools.listReservations(request)]), ([pool, reservations]) => ({
        ...pool,
        reservations,
      })),
    )
    yield* print(answer, (pool) => [poolText(pool), "", reservationTable(pool.reservations)].join("\n"))
  }),
).pipe(Command.withDescription("Show a pool, its counts, its ranges and its reservations"))

const reservations = Command.make(
  "reservations",
  { name, vrf: flags.vrf },
  Effect.fnUntraced(function* (typed) {
    const found = yield* withServices(({ pools }) => pools.listReservations({ vrf: typed.vrf, pool: typed.name }))
    yield* print(found, reservationTable)
  }),
).pipe(Command.withDescription("List the reservations of a pool, with their reasons"))

const update = Command.make(
  "update",
  {
    name,
    vrf: flags.vrf,
    rename: flags.maybe(
      Flag.String("name").pipe(Flag.withMetavar("NAME"), Flag.withDescription("New name, unused in its VRF")),
    ),
    cooldown: flags.cooldown,
    gateway: flags.gateway,
    description: flags.description,
  },
  Effect.fnUntraced(function* ({ vrf, name: pool, rename, cooldown, gateway, description }) {
    if (rename === undefined && cooldown === undefined && gateway === undefined && description === undefined) {
      return yield* invalid("name", "give --name, --cooldown, --gateway or --description")
    }
    const answer = yield* withServices(({ pools }) =>
      pools.updatePool({ vrf, pool, name: rename, cooldownSeconds: cooldown, gateway, description }),
    )
    return yield* print(answer, poolText)
  }),
).pipe(
  Command.withDescription(
    "Change the name, cooldown, gateway or description of a pool; whatever is left out stays as it is",
  ),
)

/** `drain` or `undrain` a pool, or one of its ranges. */
const draining = <const Name extends "drain" | "undrain">(command: Name, description: string) =>
  Command.make(
    command,
    { name, range: flags.maybe(flags.rangeOfPool), vrf: flags.vrf },
    Effect.fnUntraced(function* (typed) {
      const answer = yield* withServices(({ pools }) =>
        pools[command]({ vrf: typed.vrf, pool: typed.name, range: typed.range }),
      )
      yield* print(answer, poolText)
    }),
  ).pipe(Command.withDescription(description))

const drain = draining(
  "drain",
  "Stop automatic allocation from a pool or, with --range, from one of its ranges; existing allocations stay",
)
const undrain = draining("undrain", "Resume automatic allocation from a pool or a range")

const addRange = Command.make(
  "add-range",
  {
    name,
    range,
    vrf: flags.vrf,
    gateway: flags.gateway,
    includeNetworkAddresses: flags.includeNetworkAddresses,
  },
  Effect.fnUntraced(function* (typed) {
    const answer = yield* withServices(({ pools }) =>
      pools.addRange({
        vrf: typed.vrf,
        pool: typed.name,
        range: typed.range,
        gateway: typed.gateway,
        includeNetworkAddresses: typed.includeNetworkAddresses || undefined,
      }),
    )
    yield* print(answer, poolText)
  }),
).pipe(Command.withDescription("Add a range to a pool"))

/** A command that takes a pool and a range of it. */
const onRange = <const Name extends string, E>(
  command: Name,
  description: string,
  call: (
    pools: Pools["Service"],
    request: { readonly vrf: string | undefined; readonly pool: string; readonly range: string },
  ) => Effect.Effect<Pool, E>,
) =>
  Command.make(
    command,
    { name, range, vrf: flags.vrf },
    Effect.fnUntraced(function* (typed) {
      const answer = yield* withServices(({ pools }) =>
        call(pools, { vrf: typed.vrf, pool: typed.name, range: typed.range }),
      )
      yield* print(answer, poolText)
    }),
  ).pipe(Command.withDescription(description))

const removeRange = onRange(
  "remove-range",
  "Remove a range or a part of one, unless any of its addresses is held; the rest keeps its gateway and reservations",
  (pools, request) => pools.removeRange(request),
)
const reserve = Command.make(
  "reserve",
  {
    name,
    range,
    vrf: flags.vrf,
    reason: flags.maybe(
      Flag.String("reason").pipe(Flag.withMetavar("TEXT"), Flag.withDescription("Reason, for people")),
    ),
  },
  Effect.fnUntraced(function* ({ name: pool, ...fields }) {
    yield* print(yield* withServices(({ pools }) => pools.reserve({ pool, ...fields })), poolText)
  }),
).pipe(Command.withDescription("Reserve addresses: they are not handed out automatically"))
const unreserve = onRange(
  "unreserve",
  "Lift the reservations of a span, entirely or in part; exit code 3 if nothing of it is reserved",
  (pools, request) => pools.unreserve(request),
)

const remove = Command.make(
  "delete",
  { name, vrf: flags.vrf },
  Effect.fnUntraced(function* (typed) {
    yield* print(yield* withServices(({ pools }) => pools.deletePool({ vrf: typed.vrf, pool: typed.name })), poolText)
  }),
).pipe(Command.withDescription("Delete a pool, unless any of its addresses is held"))

export const poolCommand = Command.make("pool").pipe(
  Command.withDescription("Create, change and show pools"),
  Command.withSubcommands([
    create,
    list,
    show,
    update,
    addRange,
    removeRange,
    drain,
    undrain,
    reserve,
    unreserve,
    reservations,
    remove,
  ]),
)
