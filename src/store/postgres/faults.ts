/** What PostgreSQL's errors mean for us, from its table of codes (appendix A of its manual). */
import { DatabaseError } from 'pg'
import { seconds } from '../../duration.ts'
import { Fenced, reasonOf, Terminal, Unavailable } from '../../errors.ts'

/**
 * - `connection`: lost, refused, shut down, or silent. The statement may or may not have taken effect; again is right.
 * - `unavailable`: the server answers, and serves nobody or writes nothing; nothing was written, and again at once would
 *   only meet the same.
 * - `clash`: met another transaction and lost; nothing was written; again is right.
 * - `conflict`: one row contradicts another that was not there when we looked; on the next look it is.
 * - `slow`: out of time; nothing was written; again at once would make it worse.
 * - `occupied`: every connection of ours is in use; nothing was sent; again at once would only join the same line.
 * - `row`: a value that no table takes. It is in one row, and only that row's caller can mend it.
 * - `other`: not PostgreSQL's, or a mistake of ours.
 */
export type Fault = 'connection' | 'unavailable' | 'clash' | 'conflict' | 'slow' | 'occupied' | 'row' | 'other'

/**
 * What is wrong with the database as a whole, and how people read it, tenants among them: what the server says itself names
 * users, hosts and databases, and goes to the operator's log alone. A closed set: each is the value of a metric's label.
 */
export const troubles = {
  unreachable: 'PostgreSQL is not reachable',
  starting: 'PostgreSQL is starting, stopping or recovering',
  credentials: "PostgreSQL refuses the operator's user or password",
  closed: "PostgreSQL takes no connections to the operator's database",
  read_only: 'PostgreSQL is read-only',
  connections: 'PostgreSQL has no connection left',
  resources: 'PostgreSQL is out of disk or memory',
  schema: "PostgreSQL lacks the operator's tables, or its rights to them",
  busy: 'PostgreSQL is busy',
  pool: "all of the operator's connections to PostgreSQL are in use",
  other: 'PostgreSQL failed',
} as const
export type Trouble = keyof typeof troubles

type Meaning = readonly [fault: Fault, trouble: Trouble]

const byCode: Readonly<Record<string, Meaning>> = {
  '25006': ['connection', 'read_only'], // read_only_sql_transaction: a standby, or a former primary
  '25P03': ['connection', 'unreachable'], // idle_in_transaction_session_timeout
  '3D000': ['unavailable', 'closed'], // invalid_catalog_name: there is no such database
  '3F000': ['unavailable', 'schema'], // invalid_schema_name
  '40001': ['clash', 'busy'], // serialization_failure
  '40P01': ['clash', 'busy'], // deadlock_detected
  '42501': ['unavailable', 'schema'], // insufficient_privilege
  '42703': ['unavailable', 'schema'], // undefined_column: another version's migrations
  '42P01': ['unavailable', 'schema'], // undefined_table
  '53300': ['unavailable', 'connections'], // too_many_connections, also of a role or a database
  '55000': ['unavailable', 'closed'], // object_not_in_prerequisite_state: not currently accepting connections
  '55P03': ['slow', 'busy'], // lock_not_available, by lock_timeout
  '57014': ['slow', 'busy'], // query_canceled, by statement_timeout or by a person
  '57P01': ['connection', 'unreachable'], // admin_shutdown
  '57P02': ['connection', 'unreachable'], // crash_shutdown
  '57P03': ['connection', 'starting'], // cannot_connect_now
  '57P04': ['unavailable', 'closed'], // database_dropped
  '57P05': ['connection', 'unreachable'], // idle_session_timeout
  '23505': ['conflict', 'busy'], // unique_violation
  '23503': ['conflict', 'busy'], // foreign_key_violation
}
const byClass: Readonly<Record<string, Meaning>> = {
  '08': ['connection', 'unreachable'], // connection_exception, and what PgBouncer says of itself
  '22': ['row', 'other'], // data_exception
  '23': ['row', 'other'], // integrity_constraint_violation
  '26': ['connection', 'unreachable'], // invalid_sql_statement_name: another server answers behind this connection
  '28': ['unavailable', 'credentials'], // invalid_authorization_specification, 28P01 invalid_password
  '53': ['unavailable', 'resources'], // insufficient_resources: disk, memory
  '54': ['row', 'other'], // program_limit_exceeded: a name too long for its index
  '57': ['unavailable', 'closed'], // operator_intervention
  '58': ['unavailable', 'resources'], // system_error: files and disks of the server
}
const lost: Meaning = ['connection', 'unreachable']
const unknown: Meaning = ['other', 'other']
const socketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
])
/** What the driver says in words alone, without a code. */
const driverSays = /connection terminated|connection ended|timeout exceeded|query read timeout|not queryable|closed/i

/** No connection could be had: the cause says why, in whatever words; of TLS and names as of sockets. */
export class NotConnected extends Error {
  override readonly name = 'NotConnected'
  constructor(cause: unknown) {
    super('no connection to PostgreSQL', { cause })
  }
}

/** All connections stand and answer, and none became free in time: nothing is wrong with the server. */
export class PoolOccupied extends Error {
  override readonly name = 'PoolOccupied'
  constructor(cause: unknown) {
    super('no connection to PostgreSQL became free in time', { cause })
  }
}

function meaningOf(error: unknown): Meaning {
  if (error instanceof PoolOccupied) return ['occupied', 'pool']
  if (error instanceof NotConnected) return error.cause instanceof DatabaseError ? meaningOf(error.cause) : lost
  if (error instanceof DatabaseError) {
    const code = error.code ?? ''
    return byCode[code] ?? byClass[code.slice(0, 2)] ?? unknown
  }
  if (!(error instanceof Error) || error instanceof Fenced) return unknown
  if ('code' in error && typeof error.code === 'string' && socketCodes.has(error.code)) return lost
  // A host with several addresses fails with one error for each.
  if (error instanceof AggregateError) return error.errors.some((e) => meaningOf(e) === lost) ? lost : unknown
  return driverSays.test(error.message) ? lost : unknown
}

export const faultOf = (error: unknown): Fault => meaningOf(error)[0]

/** Undefined for what is no fault of the database: a row that cannot be, a race that was lost, a fence. */
export function troubleOf(error: unknown): Trouble | undefined {
  const [fault, trouble] = meaningOf(error)
  if (fault === 'row' || fault === 'clash' || fault === 'conflict') return undefined
  return fault === 'other' && !(error instanceof DatabaseError) ? undefined : trouble
}

/** Between two tries of one caller. Steady, so that all goes on soon after the database is back; callers spread it. */
const pause = seconds(2)

/** What the caller of a store gets to see for an error that repetition did not cure. */
export function surfaced(error: unknown): unknown {
  const [fault, trouble] = meaningOf(error)
  switch (fault) {
    case 'connection':
    case 'unavailable':
      return new Unavailable(pause, troubles[trouble], { cause: error, reason: 'DatabaseUnavailable' })
    case 'clash':
    case 'conflict':
    case 'slow':
      return new Unavailable(seconds(1), troubles.busy, { cause: error, reason: 'DatabaseBusy' })
    case 'occupied':
      return new Unavailable(pause, troubles[trouble], { cause: error, reason: 'DatabaseBusy' })
    case 'row':
      return new Terminal('RowRefused', `PostgreSQL refuses the row: ${reasonOf(error)}`, { cause: error })
    case 'other':
      return error
  }
}
