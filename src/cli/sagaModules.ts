/**
 * The sagas that modules of the user export: for a worker to execute, and for `saga start` to start.
 *
 * A module exports sagas of `saga-ipam/promise`, or those of `saga-ipam/saga` as layers in which only the services of this library are
 * missing. Knows nothing of commands.
 */
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import { decodeInput } from "../contract/input.ts"
import type { Operation } from "../contract/operation.ts"
import type { Database } from "../database/Database.ts"
import { InvalidInput } from "../errors/errors.ts"
import type { layer } from "../layer.ts"
import type { SagaWorker } from "../saga/SagaWorker.ts"
import type { Operations } from "../services/Operations.ts"

/** Registers the sagas of a module at the worker. */
export type SagaLayer = Layer.Layer<never, unknown, SagaWorker | Layer.Success<ReturnType<typeof layer>>>

type Start<A> = (given: unknown) => Effect.Effect<A, unknown, Database | Operations>

/** A saga as it is started: with a payload that is yet to be checked. */
interface StartableSaga {
  readonly name: string
  readonly start: Start<Operation>
  readonly execute: Start<unknown>
}

interface SagaModule {
  readonly layers: ReadonlyArray<SagaLayer>
  readonly sagas: ReadonlyArray<StartableSaga>
}

const invalid = (message: string) => new InvalidInput({ field: "file", message: `file: ${message}` })

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

/** Imports a module, TypeScript by Node's type stripping. Fails with `InvalidInput` where it exports nothing that a worker could execute. */
export const loadSagas = Effect.fnUntraced(function* (file: string) {
  const path = resolve(file)
  if (!existsSync(path)) return yield* invalid(`${JSON.stringify(file)} does not exist`)
  const module = yield* Effect.tryPromise({
    try: (): Promise<object> => import(pathToFileURL(path).href),
    catch: (thrown) => invalid(`${file} cannot be loaded: ${messageOf(thrown)}`),
  })
  // One saga may be exported under two names.
  const exported = [...new Set<unknown>(Object.values(module))]
  const plain = exported.filter(isPlainSaga)
  const layers = [...plain.map((saga) => saga.layer), ...exported.filter(isLayer)]
  // All layers of one copy have one prototype. Values of two copies cannot be told to fit together.
  if (layers.some((one) => Object.getPrototypeOf(one) !== Object.getPrototypeOf(Layer.empty))) {
    return yield* invalid(
      `${file} uses another copy of effect than this command; run the saga-ipam that is installed beside it (npx saga-ipam)`,
    )
  }
  if (layers.length === 0) {
    return yield* invalid(`${file} exports no saga: neither one of saga-ipam/promise nor a layer of saga-ipam/saga`)
  }
  const loaded: SagaModule = {
    layers,
    sagas: [...plain, ...exported.filter(isDefinition).map(withCheck)],
  }
  return loaded
})

const hasFields = (value: unknown, ...names: ReadonlyArray<string>): value is object =>
  typeof value === "object" && value !== null && names.every((name) => name in value)

/** What a layer needs cannot be told at run time: a service that is missing ends the worker at its start. */
const isLayer = (value: unknown): value is SagaLayer => Layer.isLayer(value)

/** A saga of `saga-ipam/promise`, which checks its payload and has its layer with it. */
const isPlainSaga = (value: unknown): value is StartableSaga & { readonly layer: SagaLayer } =>
  hasFields(value, "name", "start", "execute") && "layer" in value && isLayer(value.layer)

interface Definition extends StartableSaga {
  readonly payload: Schema.Codec<unknown, unknown>
}

/** A saga of `saga-ipam/saga`, which takes a payload that has been decoded. */
const isDefinition = (value: unknown): value is Definition =>
  hasFields(value, "name", "payload", "start", "execute", "toLayer")

const withCheck = ({ name, payload, start, execute }: Definition): StartableSaga => {
  const decode = decodeInput(payload)
  return {
    name,
    start: (given) => Effect.flatMap(decode(given), start),
    execute: (given) => Effect.flatMap(decode(given), execute),
  }
}
