/** From spec.source.git and its Secrets to a request. Pure: looks into caches. */
import type { OrgImport } from '../../api/org-import.ts'
import { parseDuration } from '../../duration.ts'
import type { Credentials, GitRef, GitRequest } from '../../sources/source.ts'
import { labelSecret, openNamespace, tooMuchReferred, type Found, type References } from '../references.ts'
import { isObstacle, type Obstacle } from './obstacle.ts'
import { sourceObstacle } from './source-read.ts'

export type GitSource = NonNullable<OrgImport['spec']['source']['git']>

export function gitRequest(org: OrgImport, git: GitSource, references: References): GitRequest | Obstacle {
  const credentials = credentialsOf(org, git, references)
  if (credentials !== undefined && isObstacle(credentials)) return credentials
  const signers = signersOf(org, git, references)
  if (typeof signers === 'object') return signers
  return {
    kind: 'git',
    url: git.url.replace(/\/+$/, ''),
    ref: refOf(git.ref ?? {}),
    path: git.path ?? '',
    credentials,
    signers,
    interval: parseDuration(git.interval),
  }
}

function refOf(ref: NonNullable<GitSource['ref']>): GitRef {
  for (const kind of ['commit', 'semver', 'tag', 'branch'] as const) {
    const name = ref[kind]
    if (name !== undefined) return { kind, name }
  }
  return { kind: 'default' }
}

export function credentialsOf(
  { metadata }: OrgImport,
  { secretRef }: Pick<GitSource, 'secretRef'>,
  references: References,
): Credentials | Obstacle | undefined {
  if (secretRef === undefined) return undefined
  const found = secretOf(metadata.namespace ?? '', secretRef.name, references)
  if (isObstacle(found)) return found
  const text = (key: string) =>
    Buffer.from(found.value(key) ?? [])
      .toString()
      .replace(/\r?\n$/, '')
  const [token, username, password] = [text('bearerToken'), text('username'), text('password')]
  const refuse = (what: string) => sourceObstacle('AuthFailed', `Secret "${secretRef.name}" ${what}`)
  // A value that no header can hold would be refused by the HTTP client, whose error might quote it.
  if (!/^[\x21-\x7e]*$/.test(token)) return refuse('has a bearerToken with spaces or characters that no token has')
  if (token !== '') return { kind: 'bearer', token }
  if (username !== '' && password !== '') return { kind: 'basic', username, password }
  const ssh = found.keys.includes('identity') ? ': SSH keys are of no use to a URL that begins with https' : ''
  return refuse(`has neither username and password nor bearerToken${ssh}`)
}

/** The keys of which one must have signed what is read; undefined where none need to. */
export function signersOf(
  { metadata }: OrgImport,
  { verify }: Pick<GitSource, 'verify'>,
  references: References,
): string | Obstacle | undefined {
  if (verify === undefined) return undefined
  const found = secretOf(metadata.namespace ?? '', verify.secretRef.name, references)
  if (isObstacle(found)) return found
  return found.keys.map((key) => Buffer.from(found.value(key) ?? []).toString()).join('\n')
}

function secretOf(
  namespace: string,
  name: string,
  references: References,
): Extract<Found, { state: 'found' }> | Obstacle {
  const seen = references.look('Secret', namespace, name)
  switch (seen.state) {
    case 'found':
      return seen
    case 'missing':
      return sourceObstacle('SecretMissing', `Secret "${name}" does not exist in namespace ${namespace}: create it`)
    case 'forbidden':
      return sourceObstacle('SecretForbidden', openNamespace('Secret', namespace))
    case 'unlabelled':
      return sourceObstacle('SecretForbidden', labelSecret(name))
    case 'syncing':
      return sourceObstacle('Progressing', `Secret "${name}" of namespace ${namespace} is being read`, true)
    case 'exceeded':
      return sourceObstacle('QuotaExceeded', tooMuchReferred('Secret', name, namespace, seen.limit))
  }
}
