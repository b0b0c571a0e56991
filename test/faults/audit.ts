/** Who wrote what, by the API server's own account. Two with the same rights are told apart by their tokens. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'

interface AuditEvent {
  readonly verb: string
  readonly requestURI: string
  readonly requestReceivedTimestamp: string
  readonly responseStatus?: { readonly code?: number }
  readonly user: { readonly extra?: Readonly<Record<string, readonly string[]>> }
}

const writes = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])

/** The id of the token in a kubeconfig, as the audit names it. */
export async function tokenId(kubeconfig: string): Promise<string> {
  const { users } = parse(await readFile(kubeconfig, 'utf8')) as { users: [{ user: { token: string } }] }
  const claims = Buffer.from(users[0].user.token.split('.')[1] ?? '', 'base64url').toString()
  return `JTI=${(JSON.parse(claims) as { jti: string }).jti}`
}

/** Requests sent with that token since `from`, and those among them that wrote something. */
export async function requestsOf(auditLog: string, token: string, from = new Date(0)) {
  const lines = (await readFile(auditLog, 'utf8')).split('\n').filter(Boolean)
  const all = lines
    .map((line) => JSON.parse(line) as AuditEvent)
    .filter(({ user }) => user.extra?.['authentication.kubernetes.io/credential-id']?.includes(token) === true)
    .filter(({ requestReceivedTimestamp: at }) => new Date(at) >= from)
  const effects = all.filter(({ verb, responseStatus }) => writes.has(verb) && (responseStatus?.code ?? 0) < 300)
  return { count: all.length, effects: effects.map(({ verb, requestURI }) => `${verb} ${requestURI}`) }
}
