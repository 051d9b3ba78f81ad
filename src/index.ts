/**
 * saga-ipam for programs of Effect: the services, what they take and answer, and their errors.
 *
 * `layer({ url })` gives `Allocator`, `Pools`, `Doctor`, the ledger `Operations`, and its `Reconciler`. Without Effect, use
 * `saga-ipam/promise`.
 */
export { Allocator, type CallError } from "./allocator/Allocator.ts"
export { Doctor } from "./allocator/Doctor.ts"
export { layer } from "./layer.ts"
export { Pools } from "./allocator/Pools.ts"
export type { AllocateRefusal, HoldRefusal } from "./allocator/refusals.ts"
export { Database, type DatabaseError, type DatabaseOptions, type SchemaError } from "./database/Database.ts"
export type { ConnectOptions } from "./database/locate.ts"
export { migrate, type MigrateOptions, type MigrateReport } from "./database/migrate.ts"
export { SCHEMA_VERSION } from "./database/version.ts"
export * from "./domain/allocation.ts"
export {
  errorFacts,
  errorToJson,
  factsOf,
  isIpamError,
  isRepeatable,
  type ErrorFacts,
  type SagaAction,
} from "./domain/errorFacts.ts"
export * from "./domain/errors.ts"
export { Owner } from "./domain/identity.ts"
export * from "./domain/operation.ts"
export * from "./domain/operationRequests.ts"
export * from "./domain/pool.ts"
export * from "./domain/poolRequests.ts"
export * from "./domain/requests.ts"
export { defineOperation, type OperationOptions } from "./operations/defineOperation.ts"
export { Operations } from "./operations/Operations.ts"
export type { OwnerAnswer, OwnerAsked, OwnerSource } from "./operations/owners.ts"
export { ownersByFile, ownersByQuery } from "./operations/ownerSources.ts"
export { Reconciler, type Reconciled } from "./operations/Reconciler.ts"
