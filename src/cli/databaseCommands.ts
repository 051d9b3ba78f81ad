/** The commands on the database itself: migrations, the doctor, and the embedded server. */
import * as Effect from "effect/Effect"
import * as Command from "effect/cli/Command"
import { resolve } from "node:path"
import type { FoundPool } from "../services/Doctor.ts"
import type { Finding, Repair } from "../errors/errors.ts"
import type * as EmbeddedServer from "../embedded/server.ts"
import { ExitWith } from "./exitCode.ts"
import * as flags from "./flags.ts"
import { details, during, print, table } from "./output.ts"
import { connectOptions, withServices } from "./services.ts"

const migrate = Command.make(
  "migrate",
  {},
  Effect.fnUntraced(function* () {
    const options = yield* connectOptions
    const [{ databaseLayer }, { locate }, migrations] = yield* Effect.promise(() =>
      Promise.all([
        import("../database/servers.ts"),
        import("../database/locate.ts"),
        import("../database/migrate.ts"),
      ]),
    )
    const report = yield* during(
      "Migrating",
      Effect.scoped(
        Effect.flatMap(locate(options), (location) => Effect.provide(migrations.migrate(), databaseLayer(location))),
      ),
    )
    yield* print(report, ({ applied, version, missingRoles }) =>
      [
        ...applied.map((file) => `applied ${file}`),
        `The schema has version ${version}.`,
        ...(missingRoles.length === 0
          ? []
          : [
              `These roles do not exist, and this role may not create them: ${missingRoles.join(", ")}. Only the owner of the schema can use it.`,
              "To grant access to others, create them (create role ... nologin) as a role with CREATEROLE, then migrate again.",
            ]),
      ].join("\n"),
    )
  }),
).pipe(
  Command.withDescription("Migrate the schema to this version; run it as the owner of the database or of the schema"),
)

type Findings = ReadonlyArray<typeof Finding.Type>
type Repairs = ReadonlyArray<typeof Repair.Type>

const findingsText = (findings: Findings): string =>
  table(
    ["CHECK", "VRF", "POOL", "WHAT", "WHAT TO DO"],
    findings.map((one) => [one.check, one.vrf, one.pool, one.detail, one.repair]),
    "Every invariant holds.",
  )

const repairsText = (repairs: Repairs): string =>
  table(
    ["CHECK", "VRF", "POOL", "WAS WRONG", "DONE"],
    repairs.map((one) => [one.check, one.vrf, one.pool, one.detail, one.done]),
    "Nothing was repaired.",
  )

/** Ends with the exit code of `Drifted` if there are findings. */
const failIfAny = Effect.fnUntraced(function* (findings: Findings) {
  if (findings.length === 0) return
  const { errorFacts } = yield* Effect.promise(() => import("../errors/errorFacts.ts"))
  return yield* Effect.fail(new ExitWith(errorFacts.Drifted.exit))
})

const doctor = Command.make(
  "doctor",
  { repair: flags.toggle("repair", "Repair whatever needs no decision of a person, then check again") },
  Effect.fnUntraced(function* ({ repair }) {
    if (!repair) {
      const findings = yield* withServices((services) => during("Checking every pool", services.doctor.doctor()))
      yield* print(findings, findingsText)
      return yield* failIfAny(findings)
    }
    const { poolsOf } = yield* Effect.promise(() => import("../services/Doctor.ts"))
    const report = yield* withServices(
      Effect.fnUntraced(function* ({ doctor: service }) {
        const check = during("Checking every pool", service.doctor())
        const pools = poolsOf(yield* check)
        const repaired: Array<typeof Repair.Type> = []
        const busy: Array<FoundPool> = []
        for (const [index, found] of pools.entries()) {
          const done = yield* during(
            `Repairing ${found.pool} (${index + 1} of ${pools.length})`,
            Effect.catchTag(service.repairPool(found), "Contended", () => Effect.succeed(undefined)),
          )
          if (done === undefined) busy.push(found)
          else repaired.push(...done)
        }
        return { repaired, busy, findings: yield* check }
      }),
    )
    yield* print(report, ({ repaired, busy, findings }) =>
      [
        repairsText(repaired),
        ...busy.map(
          ({ vrf, pool }) =>
            `Pool ${pool} in VRF ${vrf} was not repaired: it waited 10 seconds for other transactions; run it again.`,
        ),
        ...(findings.length === 0 || repaired.length === 0 ? [] : ["", "What remains:"]),
        findingsText(findings),
      ].join("\n"),
    )
    return yield* failIfAny(report.findings)
  }),
).pipe(
  Command.withDescription(
    "Check every invariant of the tables; exit code 7 if one does not hold, with what --repair does about it or what a person must decide. --repair may run beside any traffic; it shows what it did, and what remains.",
  ),
  Command.withShortDescription("Check every invariant of the tables, and repair them"),
)

type Server = typeof EmbeddedServer
const load: Effect.Effect<Server> = Effect.promise(() => import("../embedded/server.ts"))

const dataFolder = Effect.gen(function* () {
  const data = yield* flags.Data
  const { defaultDataFolder } = yield* load
  return resolve(data ?? (process.env["SAGA_IPAM_DATA"] || undefined) ?? defaultDataFolder())
})

/** Calls a function on the embedded server's folder; its failures become errors of the library. */
const onServer = <A>(call: string, run: (server: Server, folder: string) => Promise<A>) =>
  Effect.gen(function* () {
    const folder = yield* dataFolder
    const server = yield* load
    const { embeddedServerError } = yield* Effect.promise(() => import("../database/failure.ts"))
    const { EmbeddedServerFailed } = yield* Effect.promise(() => import("../embedded/failure.ts"))
    return yield* Effect.tryPromise({ try: () => run(server, folder), catch: (cause) => cause }).pipe(
      Effect.catch((cause) =>
        cause instanceof EmbeddedServerFailed ? Effect.fail(embeddedServerError(cause, call)) : Effect.die(cause),
      ),
    )
  })

const statusText = (status: EmbeddedServer.ServerStatus): string =>
  details([
    ["state", status.state],
    ["folder", status.folder],
    ...(status.state === "stopped" ? [] : [["pid", status.pid] as const, ["log", status.log] as const]),
    ...(status.state === "running" ? [["url", status.url] as const] : []),
  ])

const status = Command.make(
  "status",
  {},
  Effect.fnUntraced(function* () {
    yield* print(yield* onServer("db status", (server, folder) => server.serverStatus(folder)), statusText)
  }),
).pipe(Command.withDescription("Show whether the embedded PostgreSQL is running, and how to connect to it"))

const stop = Command.make(
  "stop",
  {},
  Effect.fnUntraced(function* () {
    const folder = yield* dataFolder
    const state = yield* during(
      "Stopping",
      onServer("db stop", (server) => server.stopServer(folder)),
    )
    yield* print({ state, folder }, () => (state === "stopped" ? "Stopped; its data stays." : "It was not running."))
  }),
).pipe(Command.withDescription("Stop the embedded PostgreSQL; its data stays"))

const path = Command.make(
  "path",
  {},
  Effect.fnUntraced(function* () {
    yield* print({ folder: yield* dataFolder }, ({ folder }) => folder)
  }),
).pipe(Command.withDescription("Print the folder of the embedded PostgreSQL"))

const db = Command.make("db").pipe(
  Command.withDescription("The embedded PostgreSQL, which runs on for ten minutes after a call"),
  Command.withSubcommands([status, stop, path]),
)

export const databaseCommands = [migrate, doctor, db] as const
