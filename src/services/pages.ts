/** Lists that are read page by page, each from where the one before ended. */
import * as Effect from "effect/Effect"

interface Paged {
  readonly after?: object | undefined
  readonly pageSize: number
}

/** One page where its size was asked for, else everything, in pages that are no common snapshot. */
export const everyPage = Effect.fnUntraced(function* <Request extends Paged, A, E>(
  request: Request,
  asked: { readonly pageSize?: number | undefined },
  read: (request: Request) => Effect.Effect<ReadonlyArray<A>, E>,
  placeOf: (last: A) => Request["after"],
) {
  const found: Array<A> = []
  let place = request
  for (;;) {
    const page = yield* read(place)
    found.push(...page)
    const last = page.at(-1)
    if (asked.pageSize !== undefined || page.length < request.pageSize || last === undefined) return found
    place = { ...request, after: placeOf(last) }
  }
})
