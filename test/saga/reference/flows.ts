/** The reference flows as a worker runs them. */
import * as Layer from "effect/Layer"
import { Devices } from "./Devices.ts"
import { InstanceCreate, InstanceCreateLive } from "./InstanceCreate.ts"
import { InstanceDelete, InstanceDeleteLive } from "./InstanceDelete.ts"
import { Instances } from "./Instances.ts"

/** By the kind of their operations. */
export const referenceFlows = { InstanceCreate, InstanceDelete } as const

/** Registers the flows, with a switch and a hypervisor at the URL of a `fakeDatacenter`. */
export const referenceFlowsLayer = (devicesUrl: string) =>
  Layer.mergeAll(InstanceCreateLive, InstanceDeleteLive).pipe(
    Layer.provide([Devices.layer(devicesUrl), Instances.layer]),
  )
