/**
 * saga-ipam for programs of Effect: the services, what they take and answer, and their errors.
 *
 * `layer({ url })` gives `Allocator`, `Pools`, `Doctor`, the ledger `Operations`, and its `Reconciler`. Without Effect, use
 * `saga-ipam/promise`.
 */
export { Allocator, type AllocateRefusal, type HoldRefusal } from "./services/Allocator.ts"
export { Doctor } from "./services/Doctor.ts"
export { layer } from "./layer.ts"
export { Pools } from "./services/Pools.ts"
export {
  Database,
  type CallError,
  type DatabaseError,
  type DatabaseOptions,
  type SchemaError,
} from "./database/Database.ts"
export type { ConnectOptions } from "./database/locate.ts"
export { migrate, type MigrateOptions, type MigrateReport } from "./database/migrate.ts"
export { SCHEMA_VERSION } from "./database/schemaVersion.ts"
export * from "./contract/allocation.ts"
export {
  errorFacts,
  errorToJson,
  factsOf,
  isIpamError,
  isRepeatable,
  type ErrorFacts,
  type SagaAction,
} from "./errors/errorFacts.ts"
export * from "./errors/errors.ts"
export { Owner } from "./domain/identity.ts"
export * from "./contract/operation.ts"
export * from "./contract/operationRequests.ts"
export * from "./contract/pool.ts"
export * from "./contract/poolRequests.ts"
export * from "./contract/requests.ts"
export { defineOperation, type OperationOptions } from "./services/defineOperation.ts"
export { Operations } from "./services/Operations.ts"
export type { OwnerAnswer, OwnerAsked, OwnerSource } from "./services/owners.ts"
export { ownersByFile, ownersByQuery } from "./services/ownerSources.ts"
export { Reconciler, type Reconciled } from "./services/Reconciler.ts"
