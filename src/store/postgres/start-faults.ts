/** What kept a command from working with the database, in the words of the person who can mend it. */
import { DatabaseError } from 'pg'
import { reasonOf } from '../../errors.ts'
import { databaseHost } from './database-url.ts'

/** Runs `work`, all of which speaks to the database; what it throws says so, and what to do. */
export async function withDatabase<T>(databaseUrl: string, work: () => Promise<T>): Promise<T> {
  // Without the error as its cause, which would be said a second time.
  let fault: string
  try {
    return await work()
  } catch (error) {
    fault = startFault(error)
  }
  throw new Error(`PostgreSQL at ${databaseHost(databaseUrl)}: ${fault}`)
}

/** By the code of PostgreSQL (appendix A of its manual), of a socket, or of TLS in Node.js. */
const adviceByCode: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name of its host does not resolve',
  EAI_AGAIN: 'the name of its host cannot be resolved now',
  ECONNREFUSED: 'nothing listens at this address',
  ECONNRESET: 'the connection was cut',
  EHOSTUNREACH: 'there is no way to this address',
  ENETUNREACH: 'there is no way to this address',
  ETIMEDOUT: 'there is no answer from this address',
  ENOENT: 'there is no socket there',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: compare the clocks',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name than the host in DATABASE_URL',
  '28P01': 'it refuses the user or the password in DATABASE_URL',
  '3D000': 'the database has to be made first: CREATE DATABASE',
  '42501':
    'the user of DATABASE_URL lacks rights: it has to own the schema and its tables, or to be granted them (GRANT CREATE ON SCHEMA public)',
  '57P03': 'it does not take connections yet, or no longer',
  '53300': 'it has no connection left: each replica takes seven, and one more while it migrates',
  '25006': 'it only reads, as a standby does: DATABASE_URL has to name the primary',
}

/** OpenSSL has a code for each place in the chain where trust ends; to the user they are one. */
const untrusted = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
])
const trust =
  'its certificate is signed by an authority that is not known here: name the file of that authority, sslrootcert=/path/ca.pem in DATABASE_URL (sslmode=require verifies, too)'

/** What the driver, or the server, says in words alone. */
const adviceByWords: readonly (readonly [RegExp, string])[] = [
  [
    /no encryption|SSL off/i,
    'it takes encrypted connections alone: add sslmode=verify-full to DATABASE_URL, and sslrootcert=/path/ca.pem where its authority is not known here',
  ],
  [
    /server does not support SSL/i,
    'it does not encrypt: turn ssl on there, or set sslmode=disable in DATABASE_URL to do without',
  ],
  [/password must be a string/i, 'it asks for a password, and DATABASE_URL has none'],
  [/timeout expired|timeout exceeded/i, 'there is no answer from this address'],
]

/** One line: what to do, and what was said. */
export function startFault(error: unknown): string {
  const root = rootOf(error)
  const said = reasonOf(root)
  const code = codeOf(root)
  const advice =
    adviceByWords.find(([words]) => words.test(said))?.[1] ??
    (code === undefined ? undefined : untrusted.has(code) ? trust : adviceByCode[code])
  return advice === undefined ? said : `${advice} (${said})`
}

/** The error that the others are about. */
function rootOf(error: unknown): unknown {
  // A host with several addresses fails with one error for each.
  if (error instanceof AggregateError) return rootOf(error.errors[0])
  if (!(error instanceof Error) || error instanceof DatabaseError || error.cause === undefined) return error
  return rootOf(error.cause)
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
