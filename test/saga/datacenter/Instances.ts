/**
 * The table of instances of the sagas of the tests, as a control plane would have its own: `reference.instance`. An instance is
 * recorded before anything is done for it, with the operation that does it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CallError } from "../../../src/database/Database.ts"
import { Database, type Statement } from "../../../src/database/Database.ts"

/** `gone` stays: it bars a recording that comes late. */
export interface Instance {
  readonly id: string
  readonly operationId: string
  readonly state: "creating" | "running" | "gone"
}

export class Instances extends Context.Service<
  Instances,
  {
    /** Records an instance that an operation is about to create; the same operation again changes nothing. False: another one has the id. */
    readonly record: (vrf: string, id: string, operationId: string) => Effect.Effect<boolean, CallError>
    readonly markRunning: (vrf: string, id: string, operationId: string) => Effect.Effect<void, CallError>
    /** Of this operation only; recorded before or not. */
    readonly markGone: (vrf: string, id: string, operationId: string) => Effect.Effect<void, CallError>
    /** The instance of the id that is not gone. */
    readonly find: (vrf: string, id: string) => Effect.Effect<Instance | null, CallError>
    readonly all: Effect.Effect<ReadonlyArray<Instance & { readonly vrf: string }>, CallError>
  }
>()("saga-ipam/test/Instances") {
  /** Makes the table where it is missing. */
  static readonly layer: Layer.Layer<Instances, CallError, Database> = Layer.effect(
    Instances,
    Effect.gen(function* () {
      const { query } = yield* Database
      const run = (call: string, text: string, parameters: ReadonlyArray<string> = []) =>
        query(repeatable(text), parameters, { call: `reference.${call}` })
      yield* run("create", create)
      const find = (vrf: string, id: string) =>
        Effect.map(run("find", `${select} where vrf = $1 and id = $2 and state <> 'gone'`, [vrf, id]), ([row]) =>
          row === undefined ? null : (row as unknown as Instance),
        )
      return Instances.of({
        record: (vrf, id, operationId) =>
          Effect.map(
            run("record", "select reference.record($1, $2, $3) as recorded", [vrf, id, operationId]),
            ([row]) => row?.["recorded"] === true,
          ),
        markRunning: (vrf, id, operationId) => Effect.asVoid(run("mark_running", markRunning, [vrf, id, operationId])),
        markGone: (vrf, id, operationId) => Effect.asVoid(run("mark_gone", markGone, [vrf, id, operationId])),
        find,
        all: Effect.map(run("all", `${select} order by vrf, id, operation_id`), (rows) => [
          ...(rows as unknown as ReadonlyArray<Instance & { readonly vrf: string }>),
        ]),
      })
    }),
  )
}

const repeatable = (text: string): Statement => ({ text, repeatable: true })

// Several workers may start at once, and `if not exists` alone does not keep two of them from meeting.
const create = `do $$
begin
  perform pg_advisory_xact_lock(hashtextextended('saga-ipam reference.instance', 0));
  if to_regprocedure('reference.record(text, text, uuid)') is null then
    create schema if not exists reference;
    create table if not exists reference.instance (
      vrf text not null,
      id text not null,
      operation_id uuid not null,
      state text not null check (state in ('creating', 'running', 'gone')),
      primary key (vrf, id, operation_id)
    );
    create unique index if not exists instance_id on reference.instance (vrf, id) where state <> 'gone';
    create function reference.record(_vrf text, _id text, _operation_id uuid) returns boolean language plpgsql as $record$
    begin
      -- One recording of an id at a time: the next one sees whose it is.
      perform pg_advisory_xact_lock(hashtextextended(format('reference.record %L %L', _vrf, _id), 0));
      if exists (
        select from reference.instance
        where vrf = _vrf and id = _id and state <> 'gone' and operation_id <> _operation_id
      ) then
        return false;
      end if;
      insert into reference.instance (vrf, id, operation_id, state) values (_vrf, _id, _operation_id, 'creating')
      on conflict (vrf, id, operation_id) do nothing;
      return (
        select state <> 'gone' from reference.instance where vrf = _vrf and id = _id and operation_id = _operation_id
      );
    end $record$;
  end if;
end $$`
const select = `select vrf, id, operation_id as "operationId", state from reference.instance`
const markRunning = `update reference.instance set state = 'running'
where vrf = $1 and id = $2 and operation_id = $3 and state = 'creating'`
const markGone = `insert into reference.instance (vrf, id, operation_id, state) values ($1, $2, $3, 'gone')
on conflict (vrf, id, operation_id) do update set state = 'gone'`
