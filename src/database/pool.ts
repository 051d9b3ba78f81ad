/**
 * The connections of one client, and who may use them when: first come, first served, one statement at a time on each.
 *
 * Every statement ends within its deadline, and one that is stopped has ended on the server too before its connection
 * serves anybody else, so a cancel request can never hit another caller's statement. Knows nothing of what is sent.
 */
import { makeConnection, sqlState, type Connection, type Parameter, type Row, type Running } from "./connection.ts"
import type { DatabaseSettings } from "./settings.ts"

/** The deadline passed. `sent` is false when no server has seen the statement: then it surely did nothing. */
export class DeadlinePassed extends Error {
  readonly sent: boolean
  constructor(sent: boolean) {
    super(sent ? "the server did not answer in time" : "no connection was ready in time")
    this.sent = sent
  }
}

/** The pool was closed before the statement was sent: then it surely did nothing. */
export class PoolClosed extends Error {
  constructor() {
    super("the connections were closed")
  }
}

export interface Pool {
  /**
   * Runs one statement and calls `done` once, with its rows or with what went wrong. The function returned stops it:
   * its promise resolves when the statement has ended on the server, or its connection was cut because that took too long.
   */
  readonly submit: (
    text: string,
    parameters: ReadonlyArray<Parameter> | undefined,
    timeoutMs: number,
    done: (error: unknown, rows: ReadonlyArray<Row>) => void,
  ) => () => Promise<void>
  /**
   * Refuses new statements at once, serves the others for five seconds, those that wait for a connection too, stops the rest,
   * and leaves no socket and no timer behind.
   */
  readonly close: () => Promise<void>
}

interface Job {
  readonly text: string
  readonly parameters: ReadonlyArray<Parameter> | undefined
  readonly done: (error: unknown, rows: ReadonlyArray<Row>) => void
  timer: NodeJS.Timeout | undefined
  connection: Connection | undefined
  running: Running | undefined
  expired: boolean
  settled: boolean
  stopping: Promise<void> | undefined
}

/** How long the server may take to end a statement that it was told to cancel. */
const stopBoundMs = 2000
/** How long `close` goes on serving what was submitted before. */
const closeBoundMs = 5000
const noRows: ReadonlyArray<Row> = []

export const makePool = (settings: DatabaseSettings): Pool => {
  const idle: Array<Connection> = []
  const connections = new Set<Connection>()
  const waiting = new Set<Job>()
  const busy = new Set<Job>()
  let closed = false
  /** Called whenever nobody waits and nothing runs. */
  let onDrained = ignore

  const open = (): Connection => {
    const connection = makeConnection(settings)
    connections.add(connection)
    return connection
  }

  const discard = (connection: Connection) => {
    connections.delete(connection)
    connection.destroy()
  }

  const start = (job: Job, connection: Connection) => {
    busy.add(job)
    job.connection = connection
    job.running = connection.run(job.text, job.parameters)
    job.running.rows.then(
      (rows) => ended(job, connection, undefined, rows),
      (error: unknown) => ended(job, connection, error, noRows),
    )
  }

  const ended = (job: Job, connection: Connection, error: unknown, rows: ReadonlyArray<Row>) => {
    // A script that failed may have left its transaction open.
    if (error !== undefined && (job.parameters === undefined || isBroken(error))) discard(connection)
    busy.delete(job)
    if (job.stopping === undefined) free(connection)
    finish(job, error !== undefined && job.expired ? new DeadlinePassed(true) : error, rows)
  }

  const free = (connection: Connection) => {
    const next = waiting.values().next().value
    if (next !== undefined) {
      waiting.delete(next)
      start(next, connections.has(connection) ? connection : open())
    } else if (connections.has(connection)) idle.push(connection)
  }

  const finish = (job: Job, error: unknown, rows: ReadonlyArray<Row>) => {
    if (job.settled) return
    job.settled = true
    clearTimeout(job.timer)
    job.done(error, rows)
    if (isDrained()) onDrained()
  }

  const isDrained = () => waiting.size === 0 && busy.size === 0

  const stop = (job: Job): Promise<void> => {
    if (job.settled) return Promise.resolve()
    const { connection, running } = job
    if (connection === undefined || running === undefined) {
      waiting.delete(job)
      finish(job, job.expired ? new DeadlinePassed(false) : new PoolClosed(), noRows)
      return Promise.resolve()
    }
    return (job.stopping ??= cancelUntilEnded(job, connection, running))
  }

  /**
   * The request is repeated: one that arrives between two messages of a statement is without effect. One that is not known to
   * have arrived costs the connection: it may be on its way, and would hit the statement that comes next.
   */
  const cancelUntilEnded = async (job: Job, connection: Connection, running: Running) => {
    const bound = performance.now() + stopBoundMs
    const leftMs = () => Math.max(0, bound - performance.now())
    const over = running.rows.then(ignore, ignore)
    await new Promise((resolve) => setImmediate(resolve))
    // Not delivered: it was not sent yet, the server cannot be reached, or does not react. None of these is worth a wait.
    let delivered = true
    for (let pauseMs = 10; !job.settled && delivered && leftMs() > 0; pauseMs *= 2) {
      delivered = (await within(leftMs(), running.cancel())) === true
      if (delivered) await within(Math.min(pauseMs, leftMs()), over)
    }
    if (!job.settled || !delivered) discard(connection)
    if (!job.settled) {
      await within(stopBoundMs, over)
      busy.delete(job)
      finish(job, new DeadlinePassed(true), noRows)
    }
    free(connection)
  }

  const expire = (job: Job) => {
    job.expired = true
    void stop(job)
  }

  return {
    submit: (text, parameters, timeoutMs, done) => {
      const job: Job = {
        text,
        parameters,
        done,
        timer: undefined,
        connection: undefined,
        running: undefined,
        expired: false,
        settled: false,
        stopping: undefined,
      }
      if (closed) {
        finish(job, new PoolClosed(), noRows)
        return () => Promise.resolve()
      }
      job.timer = setTimeout(expire, timeoutMs, job)
      const connection = idle.pop() ?? (connections.size < settings.max ? open() : undefined)
      if (connection === undefined) waiting.add(job)
      else start(job, connection)
      return () => stop(job)
    },
    close: async () => {
      closed = true
      if (!isDrained()) await within(closeBoundMs, new Promise<void>((resolve) => (onDrained = resolve)))
      // Those who wait come first, so that no connection that is freed starts one of them.
      await Promise.all([...waiting, ...busy].map(stop))
      await Promise.all([...connections].map((connection) => connection.close()))
    },
  }
}

const ignore = (): void => undefined

/** What the promise gives, or undefined when it takes longer. */
const within = async <A>(ms: number, promise: Promise<A>): Promise<A | undefined> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, ms, undefined)))
  const first = await Promise.race([promise, late])
  clearTimeout(timer)
  return first
}

/** Only the server's own errors leave a connection usable; 25006 comes from a server that is not the primary any more. */
const isBroken = (error: unknown): boolean => {
  const state = sqlState(error)
  return state === undefined || state === "25006" || /^(08|57P)/.test(state)
}
