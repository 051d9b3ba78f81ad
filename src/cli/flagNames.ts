/** Rewrites errors of the library for the command line: a field of a request is named as the flag that sets it. Pure. */

/** The flag or argument of each field whose flag has another name. */
const flagOfField: Readonly<Record<string, string>> = {
  requestId: "request",
  operationId: "operation",
  ttlSeconds: "ttl",
  cooldownSeconds: "cooldown",
  graceSeconds: "grace",
  settleSeconds: "settle",
  sourceTimeoutSeconds: "owners-timeout",
  perSecond: "rate",
  maxShare: "max-share",
  maxRows: "limit",
  pageSize: "limit",
  servers: "server",
  ranges: "range",
  includeNetworkAddresses: "include-network-addresses",
  allVrfs: "all-vrfs",
  allowReserved: "allow-reserved",
  allowCooling: "allow-cooling",
  allowDraining: "allow-draining",
}

const snakeCase = (field: string): string => field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** By the field's name, in camel case as in the library and in snake case as in the database. */
const flags = new Map(
  Object.entries(flagOfField).flatMap(([field, flag]) => [[field, flag] as const, [snakeCase(field), flag] as const]),
)
const fieldPattern = new RegExp(String.raw`\b(${[...flags.keys()].join("|")})\b(\[\d+\])?`, "g")

interface ErrorJson {
  readonly message: string
  readonly [field: string]: unknown
}

/** The JSON of an error with the fields renamed. A name without a dash counts as a flag only if the command line `typed` has that flag. */
export const withFlagNames = <Error extends ErrorJson>(error: Error, typed: ReadonlyArray<string>): Error => {
  const dashed = (flag: string): string => {
    const isFlag = flag.includes("-") || typed.some((word) => word === `--${flag}` || word.startsWith(`--${flag}=`))
    return isFlag ? `--${flag}` : flag
  }
  const field = typeof error["field"] === "string" ? error["field"] : ""
  const [base = ""] = field.split(/[.[]/)
  const flag = flags.get(base) ?? (base === field || base === "owner" || base === "after" ? base : field)
  const named = error.message.startsWith(`${field}: `)
    ? `${dashed(flag)}${error.message.slice(field.length)}`
    : error.message
  const message = named.replaceAll(fieldPattern, (_, word: string) => dashed(flags.get(word) ?? word))
  return { ...error, message, ...(field === "" ? {} : { field: flag }) }
}
