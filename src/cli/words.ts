/** Errors in the words of the command line: where the library names a field of a request, the flag that was typed is named. Pure. */

/** The flag, or the argument, that a field of a request is typed as, where it is called otherwise. */
const renamed: Readonly<Record<string, string>> = {
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
  ranges: "range",
  includeNetworkAddresses: "include-network-addresses",
  allVrfs: "all-vrfs",
  allowReserved: "allow-reserved",
  allowCooling: "allow-cooling",
  allowDraining: "allow-draining",
}

const snake = (field: string): string => field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** By the field's name, and by the same with underscores, as the database spells it. */
const flags = new Map(
  Object.entries(renamed).flatMap(([field, flag]) => [[field, flag] as const, [snake(field), flag] as const]),
)
const spoken = new RegExp(String.raw`\b(${[...flags.keys()].join("|")})\b(\[\d+\])?`, "g")

interface Told {
  readonly message: string
  readonly [field: string]: unknown
}

/** The error as JSON, in these words; `typed` is the command line: what was no flag there is named as an argument. */
export const inFlags = <Error extends Told>(error: Error, typed: ReadonlyArray<string>): Error => {
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
  const message = named.replaceAll(spoken, (_, word: string) => dashed(flags.get(word) ?? word))
  return { ...error, message, ...(field === "" ? {} : { field: flag }) }
}
