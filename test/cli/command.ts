/** The command as users run it: a process of its own, with what it says and how it ends. */
import { expect } from "vitest"
import type { TestDatabase } from "../harness/database.ts"
import { startProgram, type Program } from "../harness/programs.ts"

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

/** Commands on a database, by `--url`. */
export const useCommand = (database: () => TestDatabase) => {
  /** A call that goes on. */
  const begin = (...args: ReadonlyArray<string>): Started => start([...args, "--url", database().url()])

  const cli = (...args: ReadonlyArray<string>): Promise<Ended> => begin(...args).ended

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
