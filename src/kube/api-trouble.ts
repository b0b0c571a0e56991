import { KubeError } from './kube-error.ts'

/** What is wrong with the API server, and how `/readyz` says it. A closed set: each is the value of a metric's label. */
export const apiTroubles = {
  connection: 'it is not reachable',
  timeout: 'it does not answer in time',
  tls: 'its certificate is not accepted, or ours is not',
  credentials: "the operator's credentials cannot be read",
  unauthorized: "it refuses the operator's credentials",
  forbidden: 'it refuses what the operator asks for',
  throttled: 'it asks for patience',
  server_error: 'it fails',
} as const
export type ApiTrouble = keyof typeof apiTroubles

/** Of a call without an answer; undefined where that says nothing of the API server. */
export function troubleOf(error: unknown): ApiTrouble | undefined {
  // A limit of the caller's own, as of the lease's renewal, is a deadline like any other.
  if (error instanceof DOMException) return error.name === 'TimeoutError' ? 'timeout' : undefined
  if (!(error instanceof KubeError) || error.isTooLarge || error.reason === 'CredentialsChanged') return undefined
  if (error.reason === 'Timeout') return 'timeout'
  return isOfTls(error) ? 'tls' : 'connection'
}

/** Of an answer by its code. */
export function troubleOfAnswer(code: number): ApiTrouble | undefined {
  if (code === 401) return 'unauthorized'
  if (code === 403) return 'forbidden'
  if (code === 429) return 'throttled'
  return code >= 500 ? 'server_error' : undefined
}

/** Codes of Node.js and of OpenSSL, in the error or in what caused it. */
const ofTls = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/

function isOfTls(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('code' in error && typeof error.code === 'string' && ofTls.test(error.code)) return true
  return isOfTls(error.cause)
}
