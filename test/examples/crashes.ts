/**
 * What the tests of the examples share: instances are created on an engine, and all processes of the engine are killed while each saga is held
 * at a point of its own. The engine resumes the sagas; in the end, what is held is what succeeded, and nothing else is left.
 *
 * An instance is named for its point. That is a request to the datacenter, before it takes effect or before it is answered, such as
 * `after PUT ports`; or a write in the database, such as `within UPDATE succeeded`. If the point is one of the unwinding, the machine does not
 * boot, so that the saga gets there.
 */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect, onTestFailed, onTestFinished } from "vitest"
import { startFakeDatacenter } from "../../examples/datacenter/fake.ts"
import { connect, type Ipam } from "../../src/promise.ts"
import { createDatabase, type Session, type TestRole } from "../harness/database.ts"
import { end, type Program } from "../harness/programs.ts"
import { until } from "../harness/until.ts"

const root = join(import.meta.dirname, "../..")
const run = promisify(execFile)

/** Installs what the example's lock file names, and compiles the example. */
export const install = async (example: string): Promise<void> => {
  const cwd = join(root, "examples", example)
  await run("npm", ["ci", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"], { cwd })
  const { stdout } = await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", cwd]).catch(
    (error: { readonly stdout: string }) => error,
  )
  expect(stdout, "what tsc says").toBe("")
}

/** A process of an engine, and the whole lines that it has printed. */
export interface Process {
  readonly program: Program
  readonly lines: () => ReadonlyArray<string>
}

/** Collects what a program prints, shows it if the test fails, and kills the program at the end of the test. */
export const watch = (program: Program): Process => {
  let out = ""
  let err = ""
  program.stdout.setEncoding("utf8").on("data", (text: string) => (out += text))
  program.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
  onTestFailed(() => console.error(`${program.spawnargs.join(" ")} printed:\n${out}${err}`))
  onTestFinished(() => end(program))
  return { program, lines: () => out.split("\n").slice(0, -1) }
}

/** What the processes of an engine connect to. */
export interface World {
  readonly databaseUrl: (role?: TestRole) => string
  readonly datacenterUrl: string
}

export interface Engine {
  /** Starts its processes, which resume the sagas of those that were killed. The last one starts a saga for each request. */
  readonly start: (requests: ReadonlyArray<string>) => Promise<ReadonlyArray<Process>>
  /** Cancels an execution in the engine itself, for engines that let the saga undo its steps then. */
  readonly cancel?: (executionId: string) => Promise<void>
}

const requestPoints = (method: "PUT" | "DELETE") =>
  ["instances", "ports", "machines"].flatMap((kind) => [`before ${method} ${kind}`, `after ${method} ${kind}`])
const succeeding = [
  ...requestPoints("PUT"),
  "within INSERT pending",
  "within INSERT nic/v4",
  "within INSERT external",
  "within UPDATE succeeded",
]
const unwinding = [...requestPoints("DELETE"), "within UPDATE unwinding", "within UPDATE unwound"]
const cancelledInLedger = "cancelled in the ledger before PUT machines"
const cancelledInEngine = "cancelled in the engine before PUT machines"
/** Not held anywhere: a pool refuses its allocation. */
const refused = "refused"

const writes = [...succeeding, ...unwinding].filter((point) => point.startsWith("within"))

/** Why a saga unwinds, as a part of its error. */
const reasonOf = (instance: string): string => {
  switch (instance) {
    case cancelledInLedger:
      return "OperationEnded"
    case cancelledInEngine:
      return "Cancelled"
    case refused:
      return "PoolExhausted"
    default:
      return "does not boot"
  }
}

const pools = { v4: "v4", v6: "v6", external: "external" }
const full = "full"

const createPools = async (ipam: Ipam): Promise<void> => {
  await ipam.createPool({ name: pools.v4, ranges: ["10.0.0.0/24"] })
  await ipam.createPool({ name: pools.v6, ranges: ["fd00::/64"] })
  await ipam.createPool({ name: pools.external, ranges: ["192.0.2.0/24"] })
  await ipam.createPool({ name: full, ranges: ["198.51.100.1-198.51.100.1"] })
  await ipam.allocate({ pool: full, requestId: crypto.randomUUID() })
}

/** Makes the writes that instances are named for wait, each for a lock that the session holds until it releases all of its locks. */
const holdWrites = async (session: Session): Promise<void> => {
  await session.run(`create schema hold;
create function hold.wait() returns trigger language plpgsql as $$
declare
  written jsonb := to_jsonb(new);
  instance text := coalesce(written ->> 'owner_id', written #>> '{payload,instance}');
begin
  if instance = format('within %s %s', tg_op, coalesce(written ->> 'slot', written ->> 'state')) then
    perform pg_advisory_xact_lock_shared(0, hashtext(instance));
  end if;
  return null;
end $$;
create trigger wait after insert or update on ipam.operation for each row execute function hold.wait();
create trigger wait after insert on ipam.allocation for each row execute function hold.wait()`)
  await session.rows("select pg_advisory_lock(0, hashtext(write)) from unnest(string_to_array($1, ',')) write", [
    writes.join(","),
  ])
}

/** The writes that are waiting. */
const waitingWrites = async (session: Session): Promise<ReadonlyArray<string>> => {
  const rows = await session.rows(
    `select write
from unnest(string_to_array($1, ',')) write
join pg_locks on objid::bigint = hashtext(write)::bigint & x'ffffffff'::bigint
join pg_database on pg_database.oid = pg_locks.database and datname = current_database()
where locktype = 'advisory' and not granted`,
    [writes.join(",")],
  )
  return rows.map(({ write }) => String(write))
}

/** Checks how the saga of an instance ended: in the ledger, in the pools and in the datacenter. Returns its result, or its error. */
const expectEnd = async (ipam: Ipam, operationId: string, instance: string, present: ReadonlyMap<string, string>) => {
  const operation = await ipam.getOperation({ operationId })
  const live = (await ipam.list({ requestId: operationId })).filter(({ state }) => state !== "released")
  const there = [...present].filter(([, of]) => of === instance).map(([path]) => path)
  if (!succeeding.includes(instance)) {
    const error: unknown = expect.stringContaining(reasonOf(instance))
    expect.soft({ ...operation, live, there }, instance).toMatchObject({ state: "unwound", error, live: [], there: [] })
    return operation?.error
  }
  const addresses = live.map(({ address }) => String(address))
  const ports = addresses.map((address) => `ports/${address}`)
  expect.soft(operation, instance).toMatchObject({ state: "succeeded", result: expect.arrayContaining(addresses) })
  expect
    .soft(live.map(({ slot, state }) => `${slot} ${state}`).toSorted(), instance)
    .toEqual(["external confirmed", "nic/v4 confirmed", "nic/v6 confirmed"])
  expect
    .soft(there.toSorted(), instance)
    .toEqual([`instances/${operationId}`, `machines/${operationId}`, ...ports].toSorted())
  return operation?.result
}

export const expectSurvivesCrashes = async (open: (world: World) => Engine): Promise<void> => {
  const database = await createDatabase()
  onTestFinished(database.drop)
  const session = database.session()
  const ipam = await connect({ url: database.url("ipam_operator") })
  onTestFinished(ipam.close)
  await createPools(ipam)
  await holdWrites(session)

  const held = new Set<string>()
  const crashed = Promise.withResolvers<void>()
  const datacenter = await startFakeDatacenter({
    isBroken: (instance) => unwinding.includes(instance),
    hook: async (when, request, instance) => {
      if (!instance.endsWith(`${when} ${request}`)) return
      held.add(instance)
      // A request that is held here takes effect after its sender was killed.
      await crashed.promise
    },
  })
  onTestFinished(datacenter.close)
  const engine = open({
    // DBOS and Effect want a host in a URL, even though the one among its parameters counts.
    databaseUrl: (role) => database.url(role).replace("@/", "@localhost/"),
    datacenterUrl: datacenter.url,
  })

  const cancelled = engine.cancel === undefined ? [cancelledInLedger] : [cancelledInLedger, cancelledInEngine]
  const points = [...succeeding, ...unwinding, ...cancelled]
  const operationIds = new Map([...points, refused].map((instance) => [instance, crypto.randomUUID()]))
  const requests = [...operationIds].map(([instance, operationId]) =>
    JSON.stringify({ operationId, instance, pools: instance === refused ? { ...pools, external: full } : pools }),
  )
  const operationOf = (instance: string) => ipam.getOperation({ operationId: operationIds.get(instance) ?? "" })
  const untilEnded = (count: number, processes: ReadonlyArray<Process>) =>
    until(`${count} sagas have ended`, async () => {
      expect(processes.map(({ program }) => program.exitCode)).toEqual(processes.map(() => null))
      const [row] = await session.rows(
        "select count(*)::int as ended from ipam.operation where finished_at is not null",
      )
      return row?.["ended"] === count
    })

  const killed = await engine.start(requests)
  await untilEnded(1, killed)
  await until("every other saga is held at its point", async () => {
    for (const write of await waitingWrites(session)) held.add(write)
    return held.size === points.length
  })
  await ipam.cancelOperation({ operationId: operationIds.get(cancelledInLedger) ?? "" })
  await engine.cancel?.((await operationOf(cancelledInEngine))?.executionId ?? "")
  await Promise.all(killed.map(({ program }) => end(program)))
  crashed.resolve()
  await session.rows("select pg_advisory_unlock_all()")

  const resumed = await engine.start([])
  await untilEnded(operationIds.size, resumed)
  await Promise.all(resumed.map(({ program }) => end(program)))

  const present = datacenter.present()
  const ends = new Map<string, unknown>()
  for (const [instance, operationId] of operationIds) {
    ends.set(instance, await expectEnd(ipam, operationId, instance, present))
  }
  expect(present.size).toBe(5 * succeeding.length)
  const allocated = await ipam.list({ allVrfs: true })
  expect(allocated).toHaveLength(3 * succeeding.length + 1)
  expect(await ipam.doctor()).toEqual([])

  // The same requests again: the engine reports what the ledger says, and nothing is done twice.
  const [again] = (await engine.start(requests)).slice(-1)
  const lines = await until("the engine has reported how every saga ended", () => {
    const printed = again?.lines() ?? []
    const told = [...ends.keys()].map((instance) => printed.find((line) => line.startsWith(`${instance}: `)))
    return told.every((line) => line !== undefined) && told
  })
  for (const [index, result] of [...ends.values()].entries())
    expect.soft(lines[index]).toContain(JSON.stringify(result))
  expect(await ipam.list({ allVrfs: true })).toEqual(allocated)
  expect(datacenter.present()).toEqual(present)
}
