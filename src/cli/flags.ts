/**
 * The flags of the CLI, each once. Reads them as text and numbers; whether a value makes sense is for the services to say.
 */
import * as Option from "effect/Option"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"

/** A flag that may be left out: `undefined` then. */
export const maybe = <A>(flag: Flag.Flag<A>): Flag.Flag<A | undefined> =>
  flag.pipe(Flag.optional, Flag.map(Option.getOrUndefined))

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description))

/** A switch, off when left out. */
export const toggle = (name: string, description: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/** Answers, and errors, as JSON. Works before and after the command, like the two that follow. */
export const Json = GlobalFlag.Setting("json")({
  flag: toggle("json", "Print one JSON object, or one array for a list; errors too"),
})

/** The folder of the embedded server. */
export const Data = GlobalFlag.Setting("data")({
  flag: maybe(text("data", "DIR", "Folder of the embedded PostgreSQL (else SAGA_IPAM_DATA, else the default folder)")),
})

/** The server to use in place of the embedded one. */
export const Url = GlobalFlag.Setting("url")({
  flag: maybe(text("url", "URL", "PostgreSQL to use in place of the embedded one (else DATABASE_URL)")),
})

export const vrf = maybe(text("vrf", "NAME", "VRF, an address space of its own; default: default"))
/** For what looks in every VRF when none is named. */
export const anyVrf = maybe(text("vrf", "NAME", "Only this VRF; all when left out"))
export const pool = text("pool", "POOL", "Pool, by name or id")
export const request = text("request", "UUID", "Request id: the idempotency key, with the slot")
export const slot = maybe(text("slot", "NAME", "Slot of the request, for several addresses; default: default"))
export const address = text("address", "ADDRESS", "Exactly this address")
export const owner = maybe(text("owner", "KIND/ID", "Who holds it, e.g. instance/i-1; split at the first slash"))
export const prefix = maybe(text("prefix", "CIDR", "Everything inside this prefix"))

export const ttl = Flag.Finite("ttl").pipe(
  Flag.withMetavar("SECONDS"),
  Flag.withDescription("Released by reclaim after so many seconds, unless confirmed"),
)
export const cooldown = maybe(
  Flag.Finite("cooldown").pipe(
    Flag.withMetavar("SECONDS"),
    Flag.withDescription("How long a released address rests; default 0"),
  ),
)
export const gateway = maybe(text("gateway", "WHICH", "first, last, none or an address of a range; default none"))
/** Off, a new pool reserves them, and a new range is treated as its pool. */
export const includeNetworkAddresses = toggle(
  "include-network-addresses",
  "Hand out network, broadcast and subnet-router anycast addresses too",
)
export const ranges = text("range", "RANGE", "CIDR, FIRST-LAST or one address; may be repeated").pipe(Flag.atLeast(1))
export const rangeOfPool = text("range", "RANGE", "One of its ranges, CIDR or FIRST-LAST, with both of its ends")
export const description = maybe(text("description", "TEXT", "For people, up to 1000 characters"))
export const reservations = text("reserve", "RANGE", "Never handed out automatically; may be repeated").pipe(
  Flag.atLeast(0),
)
export const allowReserved = toggle("allow-reserved", "Accept an address that is reserved, with --address")
export const allowCooling = toggle("allow-cooling", "Accept an address that still rests, with --address")
export const allowDraining = toggle("allow-draining", "Accept an address of a draining range, with --address")
/** Where a page begins: what the page before ended with. */
export const after = maybe(
  text(
    "after",
    "ADDRESS[@VRF]",
    "Go on after this address, the last of the page before; of a --request, after this slot",
  ),
)
export const allVrfs = toggle("all-vrfs", "What is held in every VRF")
export const count = toggle("count", "Print how many there are, and nothing else")
export const limit = maybe(
  Flag.Int("limit").pipe(Flag.withMetavar("N"), Flag.withDescription("At most N; all when left out")),
)
