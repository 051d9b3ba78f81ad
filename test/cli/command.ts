/** Runs `saga-ipam` in tests: in a process of its own, as users do, or faster, in one process that runs many commands. */
import { expect } from "vitest"
import type { TestDatabase, TestRole } from "../harness/database.ts"
import { startProgram, type Program } from "../harness/programs.ts"
import type { HostRequest } from "./host.ts"

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Started {
  readonly child: Program
  readonly ended: Promise<Ended>
  /** Resolves once stderr contains the text; rejects if the command ends without it. */
  readonly said: (text: string) => Promise<void>
}

/** Starts a command without a database. It is killed after the last test of the file at the latest. */
export const start = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Started => {
  const child = startProgram("src/cli/main.ts", args, { DATABASE_URL: "", ...env })
  let out = ""
  let err = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
  const ended = new Promise<Ended>((done) => child.on("close", (code) => done({ code, out, err })))
  const said = (text: string) =>
    new Promise<void>((done, fail) => {
      const check = () => {
        if (err.includes(text)) done()
      }
      child.stderr.on("data", check)
      void ended.then(() => fail(new Error(`ended without ${JSON.stringify(text)}: ${err}`)))
      check()
    })
  return { child, ended, said }
}

/** Runs commands in one process, which is started by the first of them. */
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
      for (const { reject } of waiting.values()) reject(new Error("the process that runs commands has ended"))
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => console.error(text))
    return child
  }
  return (words) => {
    host ??= startHost()
    asked += 1
    const ended = Promise.withResolvers<Ended>()
    waiting.set(asked, ended)
    host.send({ id: asked, words } satisfies HostRequest)
    return ended.promise
  }
}

/** Runs commands on a database, as the role, or as the owner. */
export const useCommand = (database: () => TestDatabase, role?: TestRole) => {
  const run = useHost()
  /** Starts a long-running command in a process of its own. */
  const begin = (...args: ReadonlyArray<string>): Started => beginWith({}, ...args)
  const beginWith = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>): Started =>
    start([...args, "--url", database().url(role)], env)

  const cli = (...args: ReadonlyArray<string>): Promise<Ended> => run([...args, "--url", database().url(role)])

  /** Runs a command with `--json`, which must succeed and print nothing on stderr; returns its answer. */
  const answer = async (...args: ReadonlyArray<string>): Promise<unknown> => {
    const { code, out, err } = await cli(...args, "--json")
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out.trimEnd()).not.toContain("\n")
    return JSON.parse(out)
  }

  /** Runs a command with `--json`, which must print nothing on stdout; returns its error and its exit code. */
  const refusal = async (...args: ReadonlyArray<string>): Promise<Record<string, unknown>> => {
    const { code, out, err } = await cli(...args, "--json")
    expect(out).toBe("")
    const error: Record<string, unknown> = JSON.parse(err)
    expect(err.trimEnd()).not.toContain("\n")
    return { code, ...error }
  }

  return { begin, beginWith, cli, answer, refusal }
}
