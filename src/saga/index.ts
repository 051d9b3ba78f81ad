/**
 * saga-ipam for flows of Effect: steps that take addresses and give them back, flows with a ledger, and their engine.
 *
 * `allocateStep` and `confirmStep` work in any workflow of Effect; `Saga.make` defines one that the ledger of operations knows.
 */
export { allocateStep, confirmStep, type AllocateStepOptions } from "./addresses.ts"
export { checkStep, type StepUnderTest } from "./checkStep/checkStep.ts"
export { starterLayer, workerLayer, type EngineOptions, type WorkerOptions } from "./engine.ts"
export { operationIdOf } from "./operationId.ts"
export { currentRun, type Run } from "./run.ts"
export * as Saga from "./Saga.ts"
export { allOrNothing, sqlAllocatorLayer } from "./sqlAllocator.ts"
export { step, type StepOptions } from "./step.ts"
