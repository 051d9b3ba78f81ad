/** `npm run bench [-- NAME ...] [--short]`: runs the benches named, or all. What each number means stands in bench/README.md. */
import { onServer, type Bench } from "./database.ts"
import { exhaustion } from "./exhaustion.ts"
import { floor } from "./floor.ts"

const benches: Readonly<Record<string, (bench: Bench) => Promise<void>>> = { exhaustion, floor }

const words = process.argv.slice(2)
const named = words.filter((word) => !word.startsWith("--"))
const unknown = named.find((name) => !(name in benches))
if (unknown !== undefined) {
  console.error(`no bench ${unknown}; there are: ${Object.keys(benches).join(", ")}`)
  process.exitCode = 2
} else {
  for (const [name, run] of Object.entries(benches)) {
    if (named.length > 0 && !named.includes(name)) continue
    console.log(`\n## ${name}\n`)
    await onServer(words.includes("--short"), run)
  }
}
