/** Writes `docs/reference.md` from the declarations of the calls. */
import { writeFileSync } from "node:fs"
import { referencePage } from "./referencePage.ts"

writeFileSync(new URL("../docs/reference.md", import.meta.url), referencePage())
