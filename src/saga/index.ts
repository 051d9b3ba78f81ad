/**
 * Sagas with Effect: steps that are undone when their saga fails, addresses that end together with it, and the worker that runs them.
 *
 * `Saga.make` defines one, `step`, `allocateStep` and `sleep` are what its body is made of, and `SagaWorker.layer` runs it. Whoever only
 * starts sagas needs no worker: `layer` of `saga-ipam` is enough.
 */
export { allocateStep, type AllocateStepOptions } from "./allocateStep.ts"
export { checkStep, type StepUnderTest } from "./checkStep/checkStep.ts"
export { operationIdOf } from "./operationId.ts"
export { CurrentRun, currentRun, type StepContext } from "./run.ts"
export * as Saga from "./Saga.ts"
export { SagaWorker, type SagaWorkerOptions } from "./SagaWorker.ts"
export { sagaStatus, type SagaStatus } from "./status.ts"
export { sleep, step, type StepOptions } from "./step.ts"
