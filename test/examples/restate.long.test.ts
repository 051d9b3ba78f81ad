/**
 * The example on a real Restate server. What it adds: the engine is a server of its own, which is killed together with the program that serves
 * the workflow, and which can cancel a workflow so that it unwinds.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { arch, platform, tmpdir } from "node:os"
import { join } from "node:path"
import { beforeAll, expect, onTestFinished, test } from "vitest"
import { freePort } from "../harness/freePort.ts"
import { startFile, startProgram } from "../harness/programs.ts"
import { until } from "../harness/until.ts"
import { expectSurvivesCrashes, install, watch } from "./crashes.ts"

beforeAll(() => install("restate"))

test("killed at any point, server and all, an instance is created or undone, and nothing leaks", async () => {
  const base = await mkdtemp(join(tmpdir(), "ipam-restate-"))
  onTestFinished(() => rm(base, { recursive: true, force: true }))
  const [node, ingress, admin, port] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  // The package's command only starts this binary, and leaves it running when it is killed itself.
  const { resolve } = createRequire(join(import.meta.dirname, "../../examples/restate/package.json"))
  const binary = resolve(`@restatedev/restate-server-${platform()}-${arch()}/bin/restate-server`)
  const settings = {
    RESTATE_DISABLE_TELEMETRY: "true",
    RESTATE_BIND_IP: "127.0.0.1",
    RESTATE_BIND_PORT: String(node),
    RESTATE_INGRESS__BIND_PORT: String(ingress),
    RESTATE_ADMIN__BIND_PORT: String(admin),
    RESTATE_DEFAULT_NUM_PARTITIONS: "2",
  }

  const ingressUrl = `http://127.0.0.1:${ingress}`
  const adminUrl = `http://127.0.0.1:${admin}`

  await expectSurvivesCrashes(({ databaseUrl, datacenterUrl }) => ({
    start: async (requests) => {
      const server = watch(startFile(binary, ["--base-dir", base, "--listen-mode", "tcp", "--no-logo"], settings))
      await until("the server takes calls", () => isHealthy(`${ingressUrl}/restate/health`))
      await until("the server can be managed", () => isHealthy(`${adminUrl}/health`))
      const env = {
        DATABASE_URL: databaseUrl("ipam_allocator"),
        DATACENTER_URL: datacenterUrl,
        RESTATE_INGRESS_URL: ingressUrl,
        RESTATE_ADMIN_URL: adminUrl,
        PORT: String(port),
      }
      return [server, watch(startProgram("examples/restate/main.ts", requests, env))]
    },
    cancel: async (executionId) => {
      const { ok } = await fetch(`${adminUrl}/invocations/${executionId}/cancel`, { method: "PATCH" })
      expect(ok, "cancelled in Restate").toBe(true)
    },
  }))
})

const isHealthy = (url: string): Promise<boolean> =>
  fetch(url).then(
    ({ ok }) => ok,
    () => false,
  )
