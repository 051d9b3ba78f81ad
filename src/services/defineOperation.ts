/**
 * A kind of operation, with what it works on declared once: whoever begins one cannot forget its targets.
 *
 * ```ts
 * const Resize = defineOperation({
 *   kind: "Resize",
 *   payload: Schema.Struct({ instance: Schema.String, cores: Schema.Int }),
 *   targets: ({ instance }) => [{ kind: "instance", id: instance }],
 * })
 * yield* Resize.begin(operationId, { instance: "i-1", cores: 4 })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { DEFAULT } from "../domain/identity.ts"
import type { Target } from "../contract/operation.ts"
import { Operations } from "./Operations.ts"

/** What an operation works on; without a vrf in that of the operation. */
export interface TargetOf {
  readonly vrf?: string | undefined
  readonly kind: string
  readonly id: string
}

/** A schema that needs no services, so that whatever can read the tables can read a payload. */
export type PlainSchema = Schema.Top & { readonly DecodingServices: never; readonly EncodingServices: never }

export interface OperationOptions<Payload extends PlainSchema> {
  /** Frozen once released: the ledger keeps it. */
  readonly kind: string
  /** What it is begun with. Stored as JSON, so it is frozen once released; nothing secret belongs in it. */
  readonly payload: Payload
  /** Every object that it works on; at least one. Where it runs is context, and no target. */
  readonly targets: (payload: Payload["Type"]) => readonly [TargetOf, ...Array<TargetOf>]
  /** The home of the operation; `default` when left out. */
  readonly vrf?: ((payload: Payload["Type"]) => string) | undefined
}

/** Everything that the ledger gets to know when an operation begins. */
export interface Beginning {
  readonly operationId: string
  readonly vrf: string
  readonly kind: string
  readonly payload: Schema.Json
  readonly targets: ReadonlyArray<Target>
  readonly executionId?: string | undefined
}

export const defineOperation = <Payload extends PlainSchema>(options: OperationOptions<Payload>) => {
  const codec = Schema.toCodecJson(options.payload)
  const encode = Schema.encodeEffect(codec)
  const decode = Schema.decodeUnknownEffect(codec)

  /** What the ledger is told. */
  const beginning = (operationId: string, payload: Payload["Type"], executionId?: string): Effect.Effect<Beginning> =>
    Effect.map(Effect.orDie(encode(payload)), (encoded) => {
      const vrf = options.vrf?.(payload) ?? DEFAULT
      const targets = options.targets(payload).map(({ kind, id, vrf: own = vrf }) => ({ vrf: own, kind, id }))
      return { operationId, vrf, kind: options.kind, payload: encoded, targets, executionId }
    })

  return {
    kind: options.kind,
    payload: options.payload,
    beginning,
    /** Begins one, or finds it begun. Errors as `Operations.beginOperation`. */
    begin: (operationId: string, payload: Payload["Type"], executionId?: string) =>
      Effect.flatMap(beginning(operationId, payload, executionId), (request) =>
        Operations.use((operations) => operations.beginOperation(request)),
      ),
    /** A payload as the ledger keeps it, read back. */
    readPayload: (stored: unknown): Effect.Effect<Payload["Type"]> => Effect.orDie(decode(stored)),
  }
}
