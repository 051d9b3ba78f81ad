/**
 * The switch and the hypervisor as the sagas of the tests call them, over HTTP. Every call may be repeated, and says by which
 * generation or operation it is made.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { FaultMode } from "./fakeDatacenter.ts"

/** The device did not answer, or not in time: the same call again is right. */
export class DeviceUnavailable extends Schema.TaggedError<DeviceUnavailable>()("DeviceUnavailable", {
  call: Schema.String,
}) {
  override get message(): string {
    return `The device did not answer ${this.call}; what came of it is unknown`
  }
}

/** The device refuses: the call is late, or the machine cannot start. */
export class DeviceRefused extends Schema.TaggedError<DeviceRefused>()("DeviceRefused", {
  call: Schema.String,
  status: Schema.Int,
}) {
  override get message(): string {
    return `The device refused ${this.call} with ${this.status}`
  }
}

/** An address as the switch takes it: the generation is the fencing token. */
export interface Fenced {
  readonly vrf: string
  readonly address: string
  readonly generation: bigint
}

type Answer = Effect.Effect<void, DeviceUnavailable | DeviceRefused>

export class Devices extends Context.Service<
  Devices,
  {
    /** Sends the traffic of the address to the instance. Refused where a later generation was there before. */
    readonly connect: (port: Fenced, instance: string) => Answer
    /** Stops that. Where a later generation is there by now, there is nothing left to stop. */
    readonly disconnect: (port: Fenced) => Effect.Effect<void, DeviceUnavailable>
    /** Starts the machine of an operation; a machine that was removed does not start any more. */
    readonly boot: (operationId: string, instance: string, faultMode: FaultMode) => Answer
    /** Removes it, started or not. */
    readonly remove: (operationId: string) => Effect.Effect<void, DeviceUnavailable>
  }
>()("saga-ipam/test/Devices") {
  /** At the URL of a `fakeDatacenter`. */
  static readonly layer = (url: string, timeoutMs = 30_000): Layer.Layer<Devices> =>
    Layer.sync(Devices, () => {
      const send = (method: string, path: string, body: Record<string, string>): Answer =>
        Effect.tryPromise({
          try: (signal) =>
            fetch(`${url}/${path}`, {
              method,
              body: JSON.stringify(body),
              signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
            }),
          catch: () => new DeviceUnavailable({ call: `${method} ${path}` }),
        }).pipe(
          Effect.flatMap(({ ok, status }): Answer => {
            if (ok) return Effect.void
            const call = `${method} ${path}`
            return Effect.fail(status >= 500 ? new DeviceUnavailable({ call }) : new DeviceRefused({ call, status }))
          }),
        )
      const portOf = ({ vrf, address }: Fenced) => `ports/${encodeURIComponent(`${vrf} ${address}`)}`
      const settled = (answer: Answer) => Effect.catchTag(answer, "DeviceRefused", () => Effect.void)
      return Devices.of({
        connect: (port, instance) => send("PUT", portOf(port), { generation: String(port.generation), instance }),
        disconnect: (port) => settled(send("DELETE", portOf(port), { generation: String(port.generation) })),
        boot: (operationId, instance, faultMode) => send("PUT", `machines/${operationId}`, { instance, faultMode }),
        remove: (operationId) => settled(send("DELETE", `machines/${operationId}`, {})),
      })
    })
}
