/** Calls of the SQL functions for tests: one line a call, with answers that compare as plain values. */
import type { Session, TestDatabase } from "./database.ts"

/** An answer without the fields that differ from run to run. */
export interface Answer {
  readonly outcome: string
  readonly slot: string
  readonly address: string | null
  readonly generation: string | null
  readonly state: string | null
  readonly expiresAt: string | null
  readonly freed: boolean | null
  readonly detail: Readonly<Record<string, unknown>> | null
}

export interface Request {
  readonly vrf?: string
  readonly pool: string
  readonly requestId: string
  readonly slot?: string
  readonly address?: string
  readonly owner?: string
  readonly ttlSeconds?: number
  readonly allowReserved?: boolean
  readonly allowCooling?: boolean
  readonly allowDraining?: boolean
}

export interface SlotRequest {
  readonly slot: string
  readonly pool: string
  readonly address?: string
}

/** The columns of an answer. */
export const columns = `outcome, slot, host(address) as address, generation::text, state, expires_at::text as "expiresAt", freed, detail`

/** A session with the privileges of an allocator, and no others. */
export const allocatorSession = async (database: TestDatabase): Promise<Session> => {
  const session = database.session()
  await session.run("set role ipam_allocator")
  return session
}

const answers = async (
  session: Session,
  call: string,
  parameters: ReadonlyArray<string | number | boolean | null>,
): Promise<Array<Answer>> =>
  (await session.rows(`select ${columns} from ipam.${call}`, parameters)) as unknown as Array<Answer>

const only = async (rows: Promise<Array<Answer>>): Promise<Answer> => {
  const [answer, ...more] = await rows
  if (answer === undefined || more.length > 0) throw new Error("a call for one slot must return one row")
  return answer
}

export const allocate = (session: Session, request: Request): Promise<Answer> =>
  only(
    answers(session, "allocate($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)", [
      request.vrf ?? "default",
      request.pool,
      request.requestId,
      request.slot ?? "default",
      request.address ?? null,
      request.owner === undefined ? null : "instance",
      request.owner ?? null,
      request.ttlSeconds ?? null,
      request.allowReserved ?? false,
      request.allowCooling ?? false,
      request.allowDraining ?? false,
    ]),
  )

/** An array as a parameter. */
export const list = (values: ReadonlyArray<string | number | null | undefined>): string =>
  `{${values.map((value) => (value === undefined || value === null ? "null" : JSON.stringify(String(value)))).join(",")}}`

export const allocateMany = (
  session: Session,
  requestId: string,
  slots: ReadonlyArray<SlotRequest>,
): Promise<Array<Answer>> =>
  answers(session, "allocate_many('default', $1, $2::text[], $3::text[], $4::inet[])", [
    requestId,
    list(slots.map((one) => one.slot)),
    list(slots.map((one) => one.pool)),
    list(slots.map((one) => one.address)),
  ])

export const confirm = (session: Session, requestId: string, slot = "default"): Promise<Answer> =>
  only(answers(session, "confirm('default', $1, $2)", [requestId, slot]))

export const extend = (session: Session, requestId: string, ttlSeconds: number): Promise<Answer> =>
  only(answers(session, "extend('default', $1, 'default', $2)", [requestId, ttlSeconds]))

export const release = (session: Session, requestId: string, slot = "default", vrf = "default"): Promise<Answer> =>
  only(answers(session, "release($1, $2, $3)", [vrf, requestId, slot]))

export const releaseMany = (
  session: Session,
  requestId: string,
  slots: ReadonlyArray<string>,
): Promise<Array<Answer>> => answers(session, "release_many('default', $1, $2::text[])", [requestId, list(slots)])

/** The allocation or the tombstone of a key; `undefined` for an unknown key. */
export const get = async (session: Session, requestId: string): Promise<Answer | undefined> =>
  (await answers(session, "get('default', $1, 'default')", [requestId]))[0]

/** Creates a pool of one range or several, comma-separated: `10.1.0.0-10.1.0.3` or a prefix. Returns the outcome. */
export const createPool = async (
  owner: Session,
  name: string,
  range: string,
  options: { readonly cooldownSeconds?: number; readonly reserve?: string; readonly vrf?: string } = {},
): Promise<unknown> => {
  const [row] = await owner.rows("select outcome from ipam.create_pool($1, $2, $3::text[], $4::text[], 'none', $5)", [
    options.vrf ?? "default",
    name,
    list(range.split(",")),
    list(options.reserve === undefined ? [] : [options.reserve]),
    options.cooldownSeconds ?? 0,
  ])
  return row?.["outcome"]
}

/** The counters of the pool. */
export const counts = async (owner: Session, pool: string): Promise<Record<string, unknown> | undefined> =>
  (
    await owner.rows(
      "select held::int, free::int, cooling::int, reserved::int, size::int from ipam.get_pool('default', $1)",
      [pool],
    )
  )[0]

/** Resolves when so many sessions of the database wait for a lock that another one holds. */
export const untilBlocked = (owner: Session, sessions = 1): Promise<Record<string, unknown>> =>
  owner.until(
    "select 1 from pg_stat_activity where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0 having count(*) >= $1",
    [sessions],
  )

/** A whole round of upkeep, also of small pools; returns by how many rows it reduced them. */
export const upkeep = async (session: Session, maxRows = 2000): Promise<number> => {
  let fewer = 0
  let position: ReadonlyArray<string | null> = [null, null, null]
  do {
    const [step] = await session.rows(
      "select fewer, vrf, pool_id::text, host(last) as last from ipam.upkeep($1, $2, $3, $4, min_extents => 2)",
      [...position, maxRows],
    )
    if (step === undefined) throw new Error("a step of upkeep must return one row")
    fewer += Number(step["fewer"])
    position = [step["vrf"], step["pool_id"], step["last"]].map((value) => (typeof value === "string" ? value : null))
  } while (position[0] !== null)
  return fewer
}

/** Repairs each pool that the doctor names; returns what was wrong and what was done. */
export const repair = (session: Session): Promise<Array<Record<string, unknown>>> =>
  session.rows(`
    select r.check_name as "check", r.detail, r.done
    from (select distinct d.vrf, d.pool from ipam.doctor() d where d.pool is not null) named
      cross join lateral ipam.repair(named.vrf, named.pool) r
    order by r.check_name`)
