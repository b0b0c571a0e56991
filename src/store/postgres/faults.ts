/** What PostgreSQL's errors mean for us, from its table of codes (appendix A of its manual). */
import { DatabaseError } from 'pg'
import { seconds } from '../../duration.ts'
import { Fenced, reasonOf, RetryAfter, Terminal } from '../../errors.ts'

/**
 * - `connection`: lost, refused, shut down, or silent. The statement may or may not have taken effect.
 * - `clash`: met another transaction and lost; nothing was written; again is right.
 * - `conflict`: one row contradicts another that was not there when we looked; on the next look it is.
 * - `slow`: out of time or room; nothing was written; again at once would make it worse.
 * - `row`: a value that no table takes. It is in one row, and only that row's caller can mend it.
 * - `other`: not PostgreSQL's, or a mistake of ours.
 */
export type Fault = 'connection' | 'clash' | 'conflict' | 'slow' | 'row' | 'other'

const byCode: Readonly<Record<string, Fault>> = {
  '40001': 'clash', // serialization_failure
  '40P01': 'clash', // deadlock_detected
  '23505': 'conflict', // unique_violation
  '23503': 'conflict', // foreign_key_violation
  '57014': 'slow', // query_canceled, by statement_timeout
  '55P03': 'slow', // lock_not_available, by lock_timeout
  '57P01': 'connection', // admin_shutdown
  '57P02': 'connection', // crash_shutdown
  '57P03': 'connection', // cannot_connect_now
  '57P05': 'connection', // idle_session_timeout
  '25P03': 'connection', // idle_in_transaction_session_timeout
  '25006': 'connection', // read_only_sql_transaction: a former primary
}
const byClass: Readonly<Record<string, Fault>> = {
  '08': 'connection',
  '22': 'row', // data_exception
  '23': 'row', // integrity_constraint_violation
  '54': 'row', // program_limit_exceeded: a name too long for its index
  '53': 'slow', // insufficient_resources: connections, memory, disk
}
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

export function faultOf(error: unknown): Fault {
  if (error instanceof DatabaseError) {
    const code = error.code ?? ''
    return byCode[code] ?? byClass[code.slice(0, 2)] ?? 'other'
  }
  if (!(error instanceof Error) || error instanceof Fenced) return 'other'
  if ('code' in error && typeof error.code === 'string' && socketCodes.has(error.code)) return 'connection'
  // A host with several addresses fails with one error for each.
  if (error instanceof AggregateError)
    return error.errors.some((e) => faultOf(e) === 'connection') ? 'connection' : 'other'
  return driverSays.test(error.message) ? 'connection' : 'other'
}

/** What the caller of a store gets to see for an error that repetition did not cure. */
export function surfaced(error: unknown): unknown {
  switch (faultOf(error)) {
    case 'connection':
      return new RetryAfter(seconds(1), 'PostgreSQL is not reachable', { cause: error, reason: 'DatabaseUnavailable' })
    case 'clash':
    case 'conflict':
    case 'slow':
      return new RetryAfter(seconds(1), 'PostgreSQL is busy', { cause: error, reason: 'DatabaseUnavailable' })
    case 'row':
      return new Terminal('RowRefused', `PostgreSQL refuses the row: ${reasonOf(error)}`, { cause: error })
    case 'other':
      return error
  }
}
