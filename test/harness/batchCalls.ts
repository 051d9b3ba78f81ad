/** The calls for several independent keys in one statement, with the answers of those that it has settled. */
import { columns, list, type Answer } from "./calls.ts"
import type { Session } from "./database.ts"

export interface Asked {
  readonly id: string
  readonly slot?: string
  readonly owner?: readonly [kind: string | null, id: string | null]
  readonly ttl?: number
}

/** The answers in the order asked; `undefined` where the batch left a request out. */
const send = async (
  session: Session,
  call: string,
  asked: ReadonlyArray<Asked>,
  before: ReadonlyArray<string>,
  lists: ReadonlyArray<string>,
): Promise<ReadonlyArray<Answer | undefined>> => {
  const placeholders = [...before, ...lists].map((_, index) => `$${index + 1}`).join(", ")
  const rows = await session.rows(
    `select n, ${columns} from (select b.n, (b.answer).* from ipam.${call}(${placeholders}) b) answered`,
    [...before, ...lists],
  )
  const answers = new Map(rows.map(({ n, ...answer }) => [Number(n), answer as unknown as Answer]))
  if (answers.size !== rows.length) throw new Error(`${call} answered a request twice`)
  return asked.map((_, index) => answers.get(index + 1))
}

const idsOf = (asked: ReadonlyArray<Asked>) => list(asked.map(({ id }) => id))
const slotsOf = (asked: ReadonlyArray<Asked>) => list(asked.map(({ slot = "default" }) => slot))

export const allocateBatch = (session: Session, pool: string, asked: ReadonlyArray<Asked>) =>
  send(
    session,
    "allocate_batch",
    asked,
    ["default", pool],
    [
      idsOf(asked),
      slotsOf(asked),
      list(asked.map((one) => one.owner?.[0])),
      list(asked.map((one) => one.owner?.[1])),
      list(asked.map(({ ttl }) => ttl)),
    ],
  )

const keysBatch = (call: string) => (session: Session, asked: ReadonlyArray<Asked>) =>
  send(session, call, asked, ["default"], [idsOf(asked), slotsOf(asked)])

export const releaseBatch = keysBatch("release_batch")
export const confirmBatch = keysBatch("confirm_batch")
