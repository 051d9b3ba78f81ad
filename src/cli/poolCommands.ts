/** The commands on pools, their ranges and reservations, as in `Pools`. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import type { Pools } from "../allocator/Pools.ts"
import type { Pool } from "../domain/pool.ts"
import * as flags from "./flags.ts"
import { details, print, table } from "./output.ts"
import { withServices } from "./services.ts"

const newName = Argument.String("name").pipe(Argument.withDescription("Name of the new pool"))
const name = Argument.String("name").pipe(Argument.withDescription("Pool, by name or id"))
const range = Argument.String("range").pipe(Argument.withDescription("CIDR, FIRST-LAST or one address"))

/** Tenths of a percent of what is handed out; exact, since a pool may have 2^128 units. */
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
      ["free", pool.free],
      ["gateway", pool.gateway],
      ["cooldown", `${pool.cooldownSeconds} s`],
    ]),
    "",
    table(
      ["FIRST", "LAST", "KIND", "GATEWAY"],
      pool.ranges.map((one) => [one.first, one.last, one.kind, one.gateway]),
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
  },
  Effect.fnUntraced(function* ({ cooldown, ...fields }) {
    const answer = yield* withServices(({ pools }) => pools.createPool({ ...fields, cooldownSeconds: cooldown }))
    yield* print(answer, poolText)
  }),
).pipe(
  Command.withDescription("Make a pool; the same definition again changes nothing"),
  Command.withExamples([
    { command: "saga-ipam pool create web --range 10.0.0.0/24 --gateway first", description: "A /24 with its gateway" },
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
    yield* print(yield* withServices(({ pools }) => pools.getPool({ vrf: typed.vrf, pool: typed.name })), poolText)
  }),
).pipe(Command.withDescription("Show a pool, its counts and its ranges"))

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
).pipe(Command.withDescription("Give a pool one more range"))

/** The commands that name a pool and a range of it. */
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
  "Take a range away, unless any of its addresses is held",
  (pools, request) => pools.removeRange(request),
)
const reserve = onRange("reserve", "Bar addresses from being handed out automatically", (pools, request) =>
  pools.reserve(request),
)
const unreserve = onRange("unreserve", "Undo a reservation", (pools, request) => pools.unreserve(request))

const remove = Command.make(
  "delete",
  { name, vrf: flags.vrf },
  Effect.fnUntraced(function* (typed) {
    yield* print(yield* withServices(({ pools }) => pools.deletePool({ vrf: typed.vrf, pool: typed.name })), poolText)
  }),
).pipe(Command.withDescription("Delete a pool, unless any of its addresses is held"))

export const poolCommand = Command.make("pool").pipe(
  Command.withDescription("Make, change and show pools"),
  Command.withSubcommands([create, list, show, addRange, removeRange, reserve, unreserve, remove]),
)
