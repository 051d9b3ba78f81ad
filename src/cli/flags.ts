/**
 * The flags of the CLI, each defined once. They are parsed to text and numbers only: the services validate them.
 */
import * as Option from "effect/Option"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"

/** An optional flag; `undefined` if left out. */
export const maybe = <A>(flag: Flag.Flag<A>): Flag.Flag<A | undefined> =>
  flag.pipe(Flag.optional, Flag.map(Option.getOrUndefined))

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description))

/** A boolean flag, `false` if left out. */
export const toggle = (name: string, description: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/** Prints answers and errors as JSON. This flag and the next three may stand before or after the command. */
export const Json = GlobalFlag.Setting("json")({
  flag: toggle("json", "Print one JSON object, or one array for a list; errors as well"),
})

/** The folder of the embedded server. */
export const Data = GlobalFlag.Setting("data")({
  flag: maybe(
    text("data", "DIR", "Folder of the embedded PostgreSQL; default SAGA_IPAM_DATA, else a folder of the user"),
  ),
})

/** The server to use instead of the embedded one. */
export const Url = GlobalFlag.Setting("url")({
  flag: maybe(text("url", "URL", "PostgreSQL to use instead of the embedded one; default DATABASE_URL")),
})

/** The servers of some VRFs. */
export const Servers = GlobalFlag.Setting("servers")({
  flag: text(
    "server",
    "VRF=URL",
    "PostgreSQL that this VRF is on, if not on that of --url; may be repeated; default SAGA_IPAM_SERVERS, a JSON object",
  ).pipe(Flag.atLeast(0)),
})

export const vrf = maybe(text("vrf", "NAME", "VRF, the address space; default: default"))
/** For commands that search all VRFs unless one is named. */
export const anyVrf = maybe(text("vrf", "NAME", "Only this VRF; default: all"))
export const pool = text("pool", "POOL", "Pool, by name or id")
export const request = text("request", "UUID", "Request id: with the slot, the idempotency key")
export const slot = maybe(text("slot", "NAME", "Slot: names one of several addresses of a request; default: default"))
export const address = text("address", "ADDRESS", "This very address")
export const owner = maybe(text("owner", "KIND/ID", "Who holds it, e.g. instance/i-1; split at the first slash"))
export const prefix = maybe(text("prefix", "CIDR", "Everything inside this prefix"))

export const ttl = Flag.Finite("ttl").pipe(
  Flag.withMetavar("SECONDS"),
  Flag.withDescription("Let reclaim release it after so many seconds, unless it is confirmed"),
)
export const cooldown = maybe(
  Flag.Finite("cooldown").pipe(
    Flag.withMetavar("SECONDS"),
    Flag.withDescription("How long a released address is not handed out again; default 0"),
  ),
)
export const gateway = maybe(text("gateway", "WHICH", "first, last, none or an address of a range; default none"))
/** If left out, a new pool reserves these addresses, and a new range does as its pool. */
export const includeNetworkAddresses = toggle(
  "include-network-addresses",
  "Hand out network, broadcast and subnet-router anycast addresses too",
)
export const ranges = text("range", "RANGE", "CIDR, FIRST-LAST or one address; may be repeated").pipe(Flag.atLeast(1))
export const rangeOfPool = text("range", "RANGE", "One of its ranges, as CIDR or FIRST-LAST; both ends must match")
export const description = maybe(text("description", "TEXT", "Text for people, at most 1000 characters"))
export const reservations = text(
  "reserve",
  "RANGE",
  "Range that is never handed out automatically; may be repeated",
).pipe(Flag.atLeast(0))
export const allowReserved = toggle("allow-reserved", "With --address: also if it is reserved")
export const allowCooling = toggle("allow-cooling", "With --address: also if it is cooling")
export const allowDraining = toggle("allow-draining", "With --address: also if its range is draining")
/** Where a page begins: the last entry of the page before. */
export const after = maybe(
  text(
    "after",
    "ADDRESS[@VRF]",
    "Continue after this address, the last of the page before; with --request, after this slot",
  ),
)
export const allVrfs = toggle("all-vrfs", "Allocations of every VRF")
export const count = toggle("count", "Print only the number")
export const limit = maybe(
  Flag.Int("limit").pipe(Flag.withMetavar("N"), Flag.withDescription("At most N; default: all")),
)
