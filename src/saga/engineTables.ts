/** Where the engine keeps what it knows, in the database of the allocator. */

/** The schema of its tables, and how their names begin: what tells its locks from another engine's in the database. */
export const SCHEMA = "ipam_engine"
export const PREFIX = "engine"
/** What was sent to flows, and what they answered. */
export const MESSAGES = `${SCHEMA}.${PREFIX}_messages`
export const REPLIES = `${SCHEMA}.${PREFIX}_replies`
