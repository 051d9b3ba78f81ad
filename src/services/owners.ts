/** What a reconciler is told of owners, and how far it believes it. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Cause from "effect/Cause"
import { isIpamError } from "../errors/errorFacts.ts"
import { OwnersUnreadable } from "../errors/errors.ts"
import type { Orphan } from "./orphans.ts"

/** An owner, with the VRF of what is held for it: two networks may both have a machine 7. */
export interface OwnerAsked {
  readonly vrf: string
  readonly kind: string
  readonly id: string
}

/** Whether an owner is there. */
export interface OwnerAnswer extends OwnerAsked {
  readonly exists: boolean
}

/**
 * Asks the caller's system whether these owners are there, at most 1,000 at a time, each named once; none at all, where nothing is
 * old enough and it has only to show that it answers. It must answer for each of them, in any order; an owner that it does not
 * know does not exist. Whatever it cannot tell it must fail for.
 */
export type OwnerSource<E = unknown, R = never> = (
  owners: ReadonlyArray<OwnerAsked>,
) => Effect.Effect<ReadonlyArray<OwnerAnswer>, E, R>

const nameOf = ({ vrf, kind, id }: OwnerAsked): string => JSON.stringify([vrf, kind, id])

/**
 * Parts allocations by whether their owner is there. Any doubt about the source is an `OwnersUnreadable`, also where there is
 * nobody to ask about: a source that cannot answer is told before it matters.
 */
export const asker = <E, R>(source: OwnerSource<E, R>, timeoutSeconds: number) => {
  let answered = false
  return Effect.fnUntraced(function* (held: ReadonlyArray<Orphan>) {
    const asked = new Map(held.map(({ owner }) => [nameOf(owner), owner]))
    if (asked.size === 0 && answered) return { absent: [], present: [] }
    const answers = yield* Effect.suspend(() => source([...asked.values()])).pipe(
      Effect.timeout(Duration.seconds(timeoutSeconds)),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.fail(unreadable(cause, timeoutSeconds)),
      ),
    )
    answered = true
    const known = new Map<string, boolean>()
    for (const answer of answers) {
      const name = nameOf(answer)
      if (typeof answer.exists !== "boolean" || (known.get(name) ?? answer.exists) !== answer.exists) {
        return yield* new OwnersUnreadable({ reason: `it does not say whether ${answer.kind}/${answer.id} exists` })
      }
      known.set(name, answer.exists)
    }
    const missing = [...asked.keys()].filter((name) => !known.has(name)).length
    if (missing > 0) {
      return yield* new OwnersUnreadable({ reason: `it left out ${missing} of the ${asked.size} owners asked about` })
    }
    const isThere = ({ owner }: Orphan) => known.get(nameOf(owner)) === true
    return { absent: held.filter((one) => !isThere(one)), present: held.filter(isThere) }
  })
}

const unreadable = (cause: Cause.Cause<unknown>, timeoutSeconds: number): OwnersUnreadable => {
  const error = Cause.squash(cause)
  if (Cause.isTimeoutError(error)) {
    return new OwnersUnreadable({ reason: `it did not answer within ${timeoutSeconds} s` })
  }
  // Of an error of the database only its reason: what it advises is about another call than this one.
  if (isIpamError(error) && "reason" in error) return new OwnersUnreadable({ reason: error.reason })
  return new OwnersUnreadable({ reason: error instanceof Error ? error.message : String(error) })
}
