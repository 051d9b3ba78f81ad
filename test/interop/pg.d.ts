/** What the declarations of DBOS name of `pg`, which brings none of its own; nothing of it is used here. */
declare module "pg" {
  export class ClientBase {
    private readonly opaque: never
  }
  export class PoolClient extends ClientBase {}
  export class Pool {
    private readonly opaque: never
  }
  export class DatabaseError extends Error {}
}
