/**
 * A process that runs commands one after another, because starting a process takes most of the time of a command. It receives command
 * lines as messages, and answers with the output and the exit code of each.
 */
import * as Effect from "effect/Effect"
import { run } from "../../src/cli/run.ts"

export interface HostRequest {
  readonly id: number
  readonly words: ReadonlyArray<string>
}

/** Captures what is written to the stream from now on. */
const capture = (stream: NodeJS.WriteStream) => {
  let captured = ""
  stream.write = (chunk: string | Uint8Array, ...rest: ReadonlyArray<unknown>) => {
    captured += String(chunk)
    const written = rest.find((one) => typeof one === "function")
    if (written !== undefined) queueMicrotask(() => written())
    return true
  }
  return () => captured
}

let last: Promise<unknown> = Promise.resolve()
process.on("message", ({ id, words }: HostRequest) => {
  last = last.then(async () => {
    const [out, err] = [capture(process.stdout), capture(process.stderr)]
    const code = await Effect.runPromise(run(words))
    process.send?.({ id, ended: { code, out: out(), err: err() } })
  })
})
