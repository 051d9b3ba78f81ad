/** The command: what it says and how it ends, in a process of its own as users run it, or in one that runs many. */
import { expect } from "vitest"
import type { TestDatabase, TestRole } from "../harness/database.ts"
import { startProgram, type Program } from "../harness/programs.ts"
import type { Asked } from "./host.ts"

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Started {
  readonly child: Program
  readonly ended: Promise<Ended>
  /** Resolves once stderr has the text; rejects when the command ends without it. */
  readonly said: (text: string) => Promise<void>
}

/** Starts the command on no database; killed after the last test of the file at the latest. */
export const start = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Started => {
  const child = startProgram("src/cli/main.ts", args, { DATABASE_URL: "", ...env })
  let out = ""
  let err = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
  const ended = new Promise<Ended>((done) => child.on("close", (code) => done({ code, out, err })))
  const said = (text: string) =>
    new Promise<void>((done, fail) => {
      const look = () => {
        if (err.includes(text)) done()
      }
      child.stderr.on("data", look)
      void ended.then(() => fail(new Error(`ended without ${JSON.stringify(text)}: ${err}`)))
      look()
    })
  return { child, ended, said }
}

/** Runs commands in one process, which starts with the first of them. */
const useHost = (): ((words: ReadonlyArray<string>) => Promise<Ended>) => {
  let host: Program | undefined
  let asked = 0
  const waiting = new Map<number, PromiseWithResolvers<Ended>>()
  const startHost = () => {
    const child = startProgram("test/cli/host.ts", [], { DATABASE_URL: "" }, true)
    child.on("message", ({ id, ended }: { readonly id: number; readonly ended: Ended }) =>
      waiting.get(id)?.resolve(ended),
    )
    child.on("exit", () => {
      for (const { reject } of waiting.values()) reject(new Error("the process that runs commands is gone"))
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => console.error(text))
    return child
  }
  return (words) => {
    host ??= startHost()
    asked += 1
    const ended = Promise.withResolvers<Ended>()
    waiting.set(asked, ended)
    host.send({ id: asked, words } satisfies Asked)
    return ended.promise
  }
}

/** Commands on a database, by `--url`, as the role or as the owner. */
export const useCommand = (database: () => TestDatabase, role?: TestRole) => {
  const run = useHost()
  /** A call that goes on, in a process of its own. */
  const begin = (...args: ReadonlyArray<string>): Started => start([...args, "--url", database().url(role)])

  const cli = (...args: ReadonlyArray<string>): Promise<Ended> => run([...args, "--url", database().url(role)])

  /** What is on stdout under `--json`; the call must succeed and say nothing else. */
  const answer = async (...args: ReadonlyArray<string>): Promise<unknown> => {
    const { code, out, err } = await cli(...args, "--json")
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out.trimEnd()).not.toContain("\n")
    return JSON.parse(out)
  }

  /** The error on stderr under `--json`, with the exit code; stdout stays empty. */
  const refusal = async (...args: ReadonlyArray<string>): Promise<Record<string, unknown>> => {
    const { code, out, err } = await cli(...args, "--json")
    expect(out).toBe("")
    const error: Record<string, unknown> = JSON.parse(err)
    expect(err.trimEnd()).not.toContain("\n")
    return { code, ...error }
  }

  return { begin, cli, answer, refusal }
}
