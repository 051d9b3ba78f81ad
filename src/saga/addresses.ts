/**
 * The steps of a flow that needs addresses: `allocateStep` takes them, and gives them back when the flow fails. The end of its
 * `Saga` makes them stay.
 *
 * ```ts
 * const [nic] = yield* allocateStep("nic", { slots: [{ slot: "v4", pool: "web" }] })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Allocator } from "../services/Allocator.ts"
import { Allocation } from "../contract/allocation.ts"
import { IpamError } from "../errors/errors.ts"
import { DEFAULT } from "../domain/identity.ts"
import { decodeInput } from "../contract/input.ts"
import { type AllocateManyRequest, KeysRequest } from "../contract/requests.ts"
import { currentRun } from "./run.ts"
import { step } from "./step.ts"

/** What one step allocates: all of it, or nothing. */
export interface AllocateStepOptions extends Omit<typeof AllocateManyRequest.Encoded, "requestId"> {
  /** 1 to 256 slots, each named once; in the database they are `step/slot`. The families may differ. */
  readonly slots: (typeof AllocateManyRequest.Encoded)["slots"]
  /**
   * How long the addresses are held should a workflow without a ledger be lost without a trace, in seconds; default a day. One
   * that takes longer fails at its confirmation. Those of a `Saga` are held until it ends.
   */
  readonly ttlSeconds?: number | undefined
}

const DAY_SECONDS = 86_400

const checkKeys = decodeInput(KeysRequest)

/** A slot as the database knows it: whatever else it asks for stays. */
const ofStep = (name: string, one: AllocateStepOptions["slots"][number]) => ({ ...one, slot: `${name}/${one.slot}` })

/**
 * Allocates all slots of a request in one call, in the order asked. The flow's operation id is the request id.
 *
 * Fails as `Allocator.allocateMany`. What `isRepeatable` says of is repeated with the same keys first. The undo
 * releases every slot by its key, so that it holds against an allocate that comes late, and whether that happened or not.
 */
export const allocateStep = (name: string, options: AllocateStepOptions) =>
  Effect.gen(function* () {
    const { operationId: requestId } = yield* currentRun
    const { vrf = DEFAULT, slots, ttlSeconds = DAY_SECONDS, ...rest } = options
    const keys = slots.map((one) => ofStep(name, one))
    const undone = { vrf, requestId, slots: keys.map(({ slot }) => slot) }
    // What no release accepts, either, must not get as far as to be undone.
    yield* checkKeys(undone)
    return yield* step(name, {
      do: Allocator.use((allocator) => allocator.allocateMany({ vrf, requestId, slots: keys, ttlSeconds, ...rest })),
      undo: Allocator.use((allocator) => allocator.releaseMany(undone)),
      success: Schema.Array(Allocation),
      error: IpamError,
    })
  })
