import { DatabaseError } from 'pg'
import { expect, test } from 'vitest'
import { seconds } from '../../duration.ts'
import { RetryAfter } from '../../errors.ts'
import { startFault, withDatabase } from './start-faults.ts'

const coded = (code: string, message: string) => Object.assign(new Error(message), { code })
const refused = (code: string, message: string) => {
  const error = new DatabaseError(message, message.length, 'error')
  error.code = code
  return error
}

test.each([
  [coded('ENOTFOUND', 'getaddrinfo ENOTFOUND db'), /^the name of its host does not resolve \(getaddrinfo/],
  [coded('ECONNREFUSED', 'connect ECONNREFUSED 10.0.0.1:5432'), /^nothing listens at this address \(connect/],
  [new Error('timeout expired'), /^there is no answer from this address \(timeout expired\)$/],
  [
    coded('SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain'),
    /authority that is not known here: name the file .*sslrootcert=\/path\/ca\.pem in DATABASE_URL.*\(self-signed/,
  ],
  [coded('UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify the first certificate'), /sslrootcert=/],
  [coded('CERT_HAS_EXPIRED', 'certificate has expired'), /^its certificate has expired/],
  [coded('ERR_TLS_CERT_ALTNAME_INVALID', "Hostname/IP does not match certificate's altnames"), /for another name than/],
  [new Error('The server does not support SSL connections'), /^it does not encrypt: .*sslmode=disable/],
  [
    refused('28000', 'pg_hba.conf rejects connection for host "10.0.0.2", user "op", database "d", no encryption'),
    /^it takes encrypted connections alone: add sslmode=verify-full .*\(pg_hba\.conf rejects/,
  ],
  [refused('28P01', 'password authentication failed for user "op"'), /^it refuses the user or the password/],
  [new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string'), /DATABASE_URL has none/],
  [refused('3D000', 'database "d" does not exist'), /^the database has to be made first/],
  [refused('42501', 'permission denied for schema public'), /GRANT CREATE ON SCHEMA public.*permission denied/],
  [refused('57P03', 'the database system is starting up'), /^it does not take connections yet/],
  [refused('53300', 'sorry, too many clients already'), /^it has no connection left/],
  [refused('25006', 'cannot execute INSERT in a read-only transaction'), /DATABASE_URL has to name the primary/],
  [refused('XX000', 'something else'), /^something else$/],
])('%s: what to do, and what was said', (error, words) => {
  expect(startFault(error)).toMatch(words)
})

test('the error that others are about counts, also where a host has several addresses', () => {
  const each = coded('ECONNREFUSED', 'connect ECONNREFUSED ::1:5432')
  const all = Object.assign(new AggregateError([each, each]), { code: 'ECONNREFUSED' })
  expect(startFault(all)).toBe('nothing listens at this address (connect ECONNREFUSED ::1:5432)')
  const wrapped = new RetryAfter(seconds(1), 'PostgreSQL is not reachable', { cause: all })
  expect(startFault(wrapped)).toBe(startFault(all))
})

test('PostgreSQL is named by its host, never by its password', async () => {
  const fails = withDatabase('postgres://op:hunter2@db.example/d', () => Promise.reject(new Error('timeout expired')))
  await expect(fails).rejects.toThrow(
    /^PostgreSQL at db\.example:5432: there is no answer from this address \(timeout expired\)$/,
  )
  expect(await withDatabase('postgres://h/d', () => Promise.resolve(7))).toBe(7)
})
