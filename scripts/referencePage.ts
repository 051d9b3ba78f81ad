/**
 * The text of `docs/reference.md`: every call as it is declared, with the comment that stands at its declaration. Reads nothing but the
 * declarations.
 */
import { readFileSync } from "node:fs"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { allocationCalls } from "../src/contract/allocationCalls.ts"
import type { Outcomes, RequestSchema, Sent } from "../src/contract/call.ts"
import { operationCalls } from "../src/contract/operationCalls.ts"
import { poolCalls } from "../src/contract/poolCalls.ts"
import { doctorCalls } from "../src/contract/upkeepCalls.ts"
import { errorFacts } from "../src/errors/errorFacts.ts"

interface Declared {
  readonly request: RequestSchema
  readonly functions: ReadonlyArray<Sent<never, unknown, unknown>>
}

interface Group {
  readonly title: string
  readonly file: string
  readonly calls: Readonly<Record<string, object>>
}

const groups: ReadonlyArray<Group> = [
  { title: "Keys", file: "allocationCalls.ts", calls: allocationCalls },
  { title: "Pools", file: "poolCalls.ts", calls: poolCalls },
  { title: "Operations", file: "operationCalls.ts", calls: operationCalls },
  { title: "Doctor", file: "upkeepCalls.ts", calls: doctorCalls },
]

const declared = (one: object): Declared => {
  const { request, among = [one] } = one as { request: RequestSchema; among?: Declared["functions"] }
  // A function may be called in two ways.
  const bySqlName = new Map((among as Declared["functions"]).map((sent) => [sent.sqlName, sent]))
  return { request, functions: [...bySqlName.values()] }
}

/** The comment before each entry of the object that a file declares its calls in. */
const commentsIn = (file: string): ReadonlyMap<string, string> => {
  const text = readFileSync(new URL(`../src/contract/${file}`, import.meta.url), "utf8")
  return new Map(
    [...text.matchAll(/\n {2}\/\*\*((?:(?!\*\/)[^])*)\*\/\n {2}(\w+): /g)].map(([, comment = "", name = ""]) => [
      name,
      comment.replaceAll(/\s*\n\s*\* ?/g, " ").trim(),
    ]),
  )
}

/** A type as TypeScript would write it. */
const typeText = (ast: SchemaAST.AST): string => {
  if (SchemaAST.isString(ast)) return "string"
  if (SchemaAST.isNumber(ast)) return "number"
  if (SchemaAST.isBoolean(ast)) return "boolean"
  if (SchemaAST.isBigInt(ast)) return "bigint"
  if (SchemaAST.isNull(ast)) return "null"
  if (SchemaAST.isLiteral(ast)) return JSON.stringify(ast.literal)
  if (SchemaAST.isUnion(ast)) {
    const members = ast.types.filter((member) => !SchemaAST.isUndefined(member)).map(typeText)
    return [...new Set(members)].join(" \\| ")
  }
  if (SchemaAST.isArrays(ast)) return `list of ${ast.rest.map(typeText).join(", ")}`
  if (SchemaAST.isObjects(ast)) return `{ ${fieldsOf(ast).join(", ")} }`
  return "JSON"
}

const fieldsOf = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  SchemaAST.isObjects(ast)
    ? ast.propertySignatures.map(
        ({ name, type }) => `${String(name)}${SchemaAST.isOptional(type) ? "?" : ""}: ${typeText(type)}`,
      )
    : []

const code = (text: string): string => `\`${text}\``

/** Outcomes that become the same stand in one row. */
const outcomeRows = (functions: Declared["functions"]): ReadonlyArray<string> => {
  const ofSlots = functions.some(({ answer }) => answer.rows === "one a slot")
  const outcomes = Object.entries<Outcomes[string]>(
    Object.assign({}, ...functions.map(({ answer }) => answer.outcomes)),
  ).filter(([, { kind }]) => ofSlots || kind !== "withheld")
  const becomes = ([, outcome]: (typeof outcomes)[number]): string => {
    switch (outcome.kind) {
      case "value":
        return "the answer"
      case "refusal":
        return code(outcome.error.identifier)
      case "withheld":
        return "nothing of its own: a slot beside it was refused"
    }
  }
  return [...Map.groupBy(outcomes, becomes)].map(
    ([meaning, same]) => `| ${same.map(([name]) => code(name)).join(", ")} | ${meaning} |`,
  )
}

const signatureOf = (sqlName: string, parameters: Sent<never, unknown, unknown>["parameters"]): string =>
  code(`ipam.${sqlName}(${parameters.map(([parameter, type]) => `${parameter} ${type}`).join(", ")})`)

const callSection = (name: string, comment: string, { request, functions }: Declared): ReadonlyArray<string> => {
  const fields = fieldsOf(Schema.toEncoded(request).ast).map(code)
  const several = functions.some(({ answer }) =>
    answer.errors.some(({ identifier }) => identifier === "AmbiguousIdentity"),
  )
  const rows = outcomeRows(functions)
  return [
    `### ${name}`,
    "",
    comment,
    "",
    `- Request: ${fields.length === 0 ? "none" : fields.join(", ")}`,
    ...functions.flatMap(({ sqlName, parameters, answer, role, repeatable, batch }) => {
      const again = repeatable ? "" : "; not sent again by itself while its outcome is unknown"
      return [
        `- SQL: ${signatureOf(sqlName, parameters)}, for ${code(`ipam_${role}`)}; rows: ${answer.rows}${again}`,
        ...(batch === undefined ? [] : [`- Several at once: ${signatureOf(batch.sqlName, batch.parameters)}`]),
      ]
    }),
    ...(several ? [`- Several rows: ${code("AmbiguousIdentity")}`] : []),
    ...(rows.length === 0 ? [] : ["", "| outcome | becomes |", "|---|---|", ...rows]),
    "",
  ]
}

const groupSection = ({ title, file, calls }: Group): ReadonlyArray<string> => {
  const comments = commentsIn(file)
  return [
    `## ${title}`,
    "",
    ...Object.entries(calls).flatMap(([name, one]) => {
      const comment = comments.get(name)
      if (comment === undefined) throw new Error(`${name} has no comment in ${file}`)
      return callSection(name, comment, declared(one))
    }),
  ]
}

const errorSection = (): ReadonlyArray<string> => [
  "## Errors",
  "",
  "Besides its own refusals, every call may fail with `InvalidInput` and with what the database or the way to it say: `Contended`, `DatabaseUnavailable`,",
  "`DatabaseUnreachable`, `DiskFull`, `NotPermitted`, `DatabaseMisconfigured`, `SchemaTooOld`, `SchemaTooNew` and `Drifted`. A read that names a VRF which",
  "does not exist, and finds nothing, fails with `UnknownVrf`.",
  "",
  "| error | caller | saga | exit code |",
  "|---|---|---|---|",
  ...Object.entries(errorFacts).map(
    ([name, { caller, saga, exit }]) => `| ${code(name)} | ${caller} | ${saga} | ${exit} |`,
  ),
  "",
]

/** The whole page. */
export const referencePage = (): string =>
  [
    "# Reference",
    "",
    "Every call, under the one name that it has in the services of `saga-ipam`, in `saga-ipam/promise` and in `saga-ipam/sql`. Written from the declarations in",
    "`src/contract` by `npm run reference`. A field with `?` may be left out; what each field means, an editor shows at the call. Outcomes are the",
    "column `outcome` of the rows; [SQL](sql.md#outcomes) says what each of them means.",
    "",
    ...groups.flatMap(groupSection),
    ...errorSection(),
  ]
    .join("\n")
    .trimEnd()
    .concat("\n")
