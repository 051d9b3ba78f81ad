/**
 * Sagas with Effect: steps that are undone when their saga fails, addresses that end together with it, and the worker that runs them.
 *
 * `Saga.make` defines one, `step`, `allocateStep` and `sleep` are what its body is made of, and `SagaWorker.layer` runs it. Whoever only
 * starts sagas needs no worker: `layer` of `saga-ipam` is enough.
 */
export { allocateStep, type AllocateStepOptions } from "./log/allocateStep.ts"
export { checkStep, type StepUnderTest } from "./checkStep/checkStep.ts"
export { operationIdOf } from "./operationId.ts"
export { CurrentRun, currentRun, type StepContext } from "./log/run.ts"
export * as Saga from "./log/Saga.ts"
export { SagaWorker, type SagaWorkerOptions } from "./log/SagaWorker.ts"
export { sagaStatus, type SagaStatus } from "./log/status.ts"
export { sleep, step, type StepOptions } from "./log/step.ts"
