/**
 * A pool of connections. Statements are served first come, first served, one at a time on each connection.
 *
 * Every statement ends within its deadline. A cancelled statement has ended on the server before its connection serves the next one,
 * so that a cancel request never hits another caller's statement. Knows nothing about the statements themselves.
 */
import type { Parameter, Row } from "../contract/row.ts"
import { makeConnection, sqlState, type Connection, type Running } from "./connection.ts"
import type { DatabaseSettings } from "./settings.ts"

/** The deadline passed. `sent` is false if the statement was never sent to a server, and therefore had no effect. */
export class DeadlinePassed extends Error {
  readonly sent: boolean
  constructor(sent: boolean) {
    super(sent ? "the server did not answer in time" : "no connection was ready in time")
    this.sent = sent
  }
}

/** The pool was closed before the statement was sent, which therefore had no effect. */
export class PoolClosed extends Error {
  constructor() {
    super("the connections were closed")
  }
}

export interface Pool {
  /**
   * Runs one statement and calls `done` once, with its rows or an error. The returned function cancels the statement; its promise
   * resolves when the statement has ended on the server, or its connection has been cut because that took too long.
   */
  readonly submit: (
    text: string,
    parameters: ReadonlyArray<Parameter> | undefined,
    timeoutMs: number,
    done: (error: unknown, rows: ReadonlyArray<Row>) => void,
  ) => () => Promise<void>
  /**
   * Refuses new statements at once, serves those already submitted for up to five seconds, and cancels the rest. Leaves no socket
   * and no timer behind.
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

/** How long the server may take to end a statement that is cancelled. */
const cancelTimeoutMs = 2000
/** How long `close` serves statements that were submitted before. */
const closeTimeoutMs = 5000
const noRows: ReadonlyArray<Row> = []

export const makePool = (settings: DatabaseSettings): Pool => {
  const idle: Array<Connection> = []
  const connections = new Set<Connection>()
  const waiting = new Set<Job>()
  const busy = new Set<Job>()
  let closed = false
  /** Called whenever no statement waits and none runs. */
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
    // A failed script may have left its transaction open.
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
   * Repeats the cancel request, since one that arrives between two messages of a statement has no effect. If it is not known
   * whether a request has arrived, the connection is discarded: the request might still hit the next statement.
   */
  const cancelUntilEnded = async (job: Job, connection: Connection, running: Running) => {
    const deadline = performance.now() + cancelTimeoutMs
    const leftMs = () => Math.max(0, deadline - performance.now())
    const settled = running.rows.then(ignore, ignore)
    await new Promise((resolve) => setImmediate(resolve))
    // Not delivered: the statement has not been sent yet, or the server cannot be reached or does not react. Waiting would not help.
    let delivered = true
    for (let pauseMs = 10; !job.settled && delivered && leftMs() > 0; pauseMs *= 2) {
      delivered = (await within(leftMs(), running.cancel())) === true
      if (delivered) await within(Math.min(pauseMs, leftMs()), settled)
    }
    if (!job.settled || !delivered) discard(connection)
    if (!job.settled) {
      await within(cancelTimeoutMs, settled)
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
      if (!isDrained()) await within(closeTimeoutMs, new Promise<void>((resolve) => (onDrained = resolve)))
      // Waiting statements first, so that a connection which becomes free does not start one of them.
      await Promise.all([...waiting, ...busy].map(stop))
      await Promise.all([...connections].map((connection) => connection.close()))
    },
  }
}

const ignore = (): void => undefined

/** The value of the promise, or `undefined` if it takes longer than `ms`. */
const within = async <A>(ms: number, promise: Promise<A>): Promise<A | undefined> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, ms, undefined)))
  const first = await Promise.race([promise, late])
  clearTimeout(timer)
  return first
}

/** Whether the connection must be discarded. Only errors of the server leave it usable, except 25006 from a server that is no longer the primary. */
const isBroken = (error: unknown): boolean => {
  const state = sqlState(error)
  return state === undefined || state === "25006" || /^(08|57P)/.test(state)
}
