/**
 * A process that runs commands one after the other, each as `saga-ipam` would in a process of its own: most of the time of a command
 * is its start. Gets the words as messages, and answers with what was said and the exit code.
 */
import * as Effect from "effect/Effect"
import { run } from "../../src/cli/run.ts"

export interface Asked {
  readonly id: number
  readonly words: ReadonlyArray<string>
}

/** Gathers what is written from now on. */
const gather = (stream: NodeJS.WriteStream) => {
  let said = ""
  stream.write = (chunk: string | Uint8Array, ...rest: ReadonlyArray<unknown>) => {
    said += String(chunk)
    const written = rest.find((one) => typeof one === "function")
    if (written !== undefined) queueMicrotask(() => written())
    return true
  }
  return () => said
}

let last: Promise<unknown> = Promise.resolve()
process.on("message", ({ id, words }: Asked) => {
  last = last.then(async () => {
    const [out, err] = [gather(process.stdout), gather(process.stderr)]
    const code = await Effect.runPromise(run(words))
    process.send?.({ id, ended: { code, out: out(), err: err() } })
  })
})
