/**
 * A pool of connections. Statements are served first come, first served, one at a time on each connection.
 *
 * Those that may travel together form queues (`Together`): while a statement of a queue is in flight, the next ones gather, and go as one
 * when it has ended, or beside it once they are half as many as travel in it: while one runs on the server, the answers of the other are
 * read. A statement alone in its queue goes at once.
 *
 * Every statement ends within its deadline. A cancelled statement has ended on the server before its connection serves the next one,
 * so that a cancel request never hits another caller's statement. One that was sent together with others cannot be cancelled by itself:
 * its caller learns that its outcome is unknown, and the others go on. When the last of them gives up, all of it is cancelled. Knows
 * nothing about the statements themselves.
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

/** How a statement travels together with others. */
export interface Together {
  /** Those of the same queue travel together. */
  readonly queue: string
  /** The statement for all of them. Each of its rows answers the one whose position `n` says, from 1 on; one without a row is sent alone. */
  readonly text: string
  readonly join: (calls: ReadonlyArray<ReadonlyArray<Parameter>>) => ReadonlyArray<Parameter>
}

export interface Pool {
  /**
   * Runs one statement and calls `done` once, with its rows or an error. The returned function cancels the statement; its promise
   * resolves when the statement has ended on the server, or its connection has been cut because that took too long, or at once if
   * others that were sent together with it go on.
   */
  readonly submit: (
    text: string,
    parameters: ReadonlyArray<Parameter> | undefined,
    timeoutMs: number,
    done: (error: unknown, rows: ReadonlyArray<Row>) => void,
    together?: Together,
  ) => () => Promise<void>
  /**
   * Refuses new statements at once, serves those already submitted for up to five seconds, and cancels the rest. Leaves no socket
   * and no timer behind.
   */
  readonly close: () => Promise<void>
}

/** A statement that a caller submitted. */
interface Job {
  readonly text: string
  readonly parameters: ReadonlyArray<Parameter> | undefined
  readonly done: (error: unknown, rows: ReadonlyArray<Row>) => void
  readonly queue: Queue | undefined
  timer: NodeJS.Timeout | undefined
  run: Run | undefined
  expired: boolean
  settled: boolean
}

/** A statement on its connection: of one job, or of several that travel together. */
interface Run {
  readonly jobs: ReadonlyArray<Job>
  readonly queue: Queue | undefined
  readonly connection: Connection
  readonly running: Running
  ended: boolean
  stopping: Promise<void> | undefined
}

/** Jobs that travel together. */
interface Queue {
  readonly together: Together
  readonly jobs: Set<Job>
  /** How many of its statements run or wait for a connection, and how many jobs travel in those that run. */
  turns: number
  travelling: number
  /** Whether it takes a turn when this turn of the event loop is over. */
  gathering: boolean
}

/** The next statement of a queue: of those that are in it when a connection is free. */
interface Turn {
  readonly queue: Queue
}

/** How many statements of a queue run at a time at most. */
const maxTurns = 2
/** How many jobs travel together at most. */
const maxTogether = 256
/** How long the server may take to end a statement that is cancelled. */
const cancelTimeoutMs = 2000
/** How long `close` serves statements that were submitted before. */
const closeTimeoutMs = 5000
const noRows: ReadonlyArray<Row> = []

export const makePool = (settings: DatabaseSettings): Pool => {
  const idle: Array<Connection> = []
  const connections = new Set<Connection>()
  /** What waits for a connection: a job, or the turn of a queue. */
  const waiting = new Set<Job | Turn>()
  const queues = new Map<string, Queue>()
  /** All that are not settled. */
  const jobs = new Set<Job>()
  let closed = false
  /** Called whenever all jobs are settled. */
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

  const place = (next: Job | Turn) => {
    const connection = idle.pop() ?? (connections.size < settings.max ? open() : undefined)
    if (connection === undefined) waiting.add(next)
    else serve(next, connection)
  }

  const serve = (next: Job | Turn, connection: Connection) => {
    if ("done" in next) return start([next], next.text, next.parameters, connection, undefined)
    const { queue } = next
    const sent: Array<Job> = []
    for (const job of queue.jobs) {
      if (sent.length === maxTogether) break
      queue.jobs.delete(job)
      sent.push(job)
    }
    const [first] = sent
    queue.travelling += sent.length
    if (first === undefined) {
      endTurn(queue, 0)
      free(connection)
    } else if (sent.length === 1) start(sent, first.text, first.parameters, connection, queue)
    else {
      const { text, join } = queue.together
      start(sent, text, join(sent.map(({ parameters = [] }) => parameters)), connection, queue)
    }
  }

  const takeTurn = (queue: Queue) => {
    queue.turns++
    place({ queue })
    gather(queue)
  }

  const endTurn = (queue: Queue, travelled: number) => {
    queue.turns--
    queue.travelling -= travelled
    gather(queue)
  }

  /** Not beside a much larger statement: it would cost as much as that one, for a few jobs, time and again. */
  const mayTakeTurn = ({ jobs: { size }, turns, travelling }: Queue) =>
    size > 0 && (turns === 0 || (turns < maxTurns && size * 2 >= travelling))

  /**
   * Takes a turn as soon as everything has been submitted that what happens now leads to: those that were answered together then
   * travel together again.
   */
  const gather = (queue: Queue) => {
    if (queue.gathering) return
    if (mayTakeTurn(queue)) {
      queue.gathering = true
      setImmediate(() => {
        queue.gathering = false
        if (mayTakeTurn(queue)) takeTurn(queue)
        else gather(queue)
      })
    } else if (queue.turns === 0) queues.delete(queue.together.queue)
  }

  const enqueue = (job: Job, queue: Queue) => {
    queue.jobs.add(job)
    if (queue.turns === 0 && !queue.gathering) takeTurn(queue)
    else gather(queue)
  }

  const queueOf = (together: Together): Queue => {
    const known = queues.get(together.queue)
    if (known !== undefined) return known
    const queue: Queue = { together, jobs: new Set(), turns: 0, travelling: 0, gathering: false }
    queues.set(together.queue, queue)
    return queue
  }

  const start = (
    sent: ReadonlyArray<Job>,
    text: string,
    parameters: ReadonlyArray<Parameter> | undefined,
    connection: Connection,
    queue: Queue | undefined,
  ) => {
    const running = connection.run(text, parameters)
    const run: Run = { jobs: sent, queue, connection, running, ended: false, stopping: undefined }
    for (const job of sent) job.run = run
    const ended = (error: unknown, rows: ReadonlyArray<Row>) => {
      // A failed script may have left its transaction open.
      if (error !== undefined && (parameters === undefined || isBroken(error))) discard(connection)
      if (run.stopping === undefined) free(connection)
      if (sent.length > 1) settleTogether(sent, error, rows)
      else
        for (const job of sent) finish(job, error !== undefined && job.expired ? new DeadlinePassed(true) : error, rows)
      end(run)
    }
    running.rows.then(
      (rows) => ended(undefined, rows),
      (error: unknown) => ended(error, noRows),
    )
  }

  const end = (run: Run) => {
    if (run.ended) return
    run.ended = true
    if (run.queue !== undefined) endTurn(run.queue, run.jobs.length)
  }

  /** Where the server refused the statement for all of them, nothing of it was executed, and each gets an answer of its own. */
  const settleTogether = (sent: ReadonlyArray<Job>, error: unknown, rows: ReadonlyArray<Row>) => {
    const answers = new Map(rows.map((row) => [Number(row["n"]), row]))
    for (const [index, job] of sent.entries()) {
      const row = answers.get(index + 1)
      if (row !== undefined) finish(job, undefined, [row])
      else if (error !== undefined && isBroken(error)) finish(job, error, noRows)
      else if (!job.settled) {
        job.run = undefined
        place(job)
      }
    }
  }

  const free = (connection: Connection) => {
    const next = waiting.values().next().value
    if (next !== undefined) {
      waiting.delete(next)
      serve(next, connections.has(connection) ? connection : open())
    } else if (connections.has(connection)) idle.push(connection)
  }

  const finish = (job: Job, error: unknown, rows: ReadonlyArray<Row>) => {
    if (job.settled) return
    job.settled = true
    jobs.delete(job)
    clearTimeout(job.timer)
    job.done(error, rows)
    if (jobs.size === 0) onDrained()
  }

  const stop = (job: Job): Promise<void> => {
    if (job.settled) return Promise.resolve()
    const { run } = job
    if (run === undefined) {
      waiting.delete(job)
      job.queue?.jobs.delete(job)
      finish(job, job.expired ? new DeadlinePassed(false) : new PoolClosed(), noRows)
      return Promise.resolve()
    }
    if (run.jobs.length > 1) finish(job, new DeadlinePassed(true), noRows)
    // Nobody waits for it any more.
    if (run.jobs.every((one) => one.settled || one === job)) return (run.stopping ??= cancelUntilEnded(run))
    return Promise.resolve()
  }

  /**
   * Repeats the cancel request, since one that arrives between two messages of a statement has no effect. If it is not known
   * whether a request has arrived, the connection is discarded: the request might still hit the next statement.
   */
  const cancelUntilEnded = async (run: Run) => {
    const { connection, running } = run
    const deadline = performance.now() + cancelTimeoutMs
    const leftMs = () => Math.max(0, deadline - performance.now())
    const settled = running.rows.then(ignore, ignore)
    await new Promise((resolve) => setImmediate(resolve))
    // Not delivered: the statement has not been sent yet, or the server cannot be reached or does not react. Waiting would not help.
    let delivered = true
    for (let pauseMs = 10; !run.ended && delivered && leftMs() > 0; pauseMs *= 2) {
      delivered = (await within(leftMs(), running.cancel())) === true
      if (delivered) await within(Math.min(pauseMs, leftMs()), settled)
    }
    if (!run.ended || !delivered) discard(connection)
    if (!run.ended) {
      await within(cancelTimeoutMs, settled)
      for (const job of run.jobs) finish(job, new DeadlinePassed(true), noRows)
      end(run)
    }
    free(connection)
  }

  const expire = (job: Job) => {
    job.expired = true
    void stop(job)
  }

  return {
    submit: (text, parameters, timeoutMs, done, together) => {
      if (closed) {
        done(new PoolClosed(), noRows)
        return () => Promise.resolve()
      }
      const job: Job = {
        text,
        parameters,
        done,
        queue: together === undefined ? undefined : queueOf(together),
        timer: undefined,
        run: undefined,
        expired: false,
        settled: false,
      }
      jobs.add(job)
      job.timer = setTimeout(expire, timeoutMs, job)
      if (job.queue === undefined) place(job)
      else enqueue(job, job.queue)
      return () => stop(job)
    },
    close: async () => {
      closed = true
      if (jobs.size > 0) await within(closeTimeoutMs, new Promise<void>((resolve) => (onDrained = resolve)))
      // Waiting statements first, so that a connection which becomes free does not start one of them.
      const open = [...jobs]
      await Promise.all([...open.filter(({ run }) => run === undefined), ...open].map(stop))
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
