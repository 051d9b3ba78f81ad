/** The programs of the demo as people start them, on a database of the server of this run. */
import { beforeAll } from "vitest"
import { useDatabase, type Session } from "../harness/database.ts"
import { startProgram } from "../harness/programs.ts"

export const database = useDatabase()
let owner: Session

beforeAll(() => {
  owner = database().session()
})

/** Starts the program of `npm run demo`, or another one. */
export const start = (args: ReadonlyArray<string>, program = "src/demo/main.ts") => {
  const child = startProgram(program, args, { DATABASE_URL: database().url() })
  let out = ""
  let err = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
  const ended = new Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>((done) => {
    child.on("close", (code) => done({ code, out, err }))
  })
  return { child, ended, printed: () => out }
}

/** The databases of demos that are there. */
export const databases = () => owner.rows("select datname from pg_database where datname like 'saga\\_ipam\\_demo\\_%'")
