/** Throws a `TypeError` that names what of a saga is no function: in JavaScript no compiler says so. */
export const checkFunctions = (saga: string, given: Readonly<Record<string, unknown>>): void => {
  for (const [name, value] of Object.entries(given)) {
    if (typeof value !== "function") throw new TypeError(`saga ${saga}: ${name} must be a function`)
  }
}
