import { expect, it } from 'vitest'
import { owner } from '../../../test/support/org-plan.ts'
import { createReferences } from '../references.ts'
import { gitRequest, type GitSource } from './git-source.ts'

const secrets: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  token: { bearerToken: 't0ken\n' },
  odd: { bearerToken: 'two words' },
  login: { username: 'org', password: 'pass-word\r\n' },
  half: { username: 'org' },
  ssh: { identity: 'key' },
  signers: { ada: 'ssh-ed25519 AAAA', bob: 'ssh-rsa BBBB' },
}
const references = createReferences((_kind, _namespace, name) => {
  const data = secrets[name]
  if (data === undefined) return { state: 'missing' }
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
  return { state: 'found', object: { data: Object.fromEntries(encoded) } as never }
})
const request = (git: Partial<GitSource>) =>
  gitRequest(owner(), { url: 'https://git.example/a', interval: '5m', ...git }, references)
const named = (name: string) => ({ name })

it('is the repository at its default branch, unless more is said', () => {
  expect(request({ url: 'https://git.example/a//' })).toEqual({
    kind: 'git',
    url: 'https://git.example/a',
    ref: { kind: 'default' },
    path: '',
    credentials: undefined,
    signers: undefined,
    interval: 300_000,
  })
  expect(request({ ref: { semver: '>=1' }, path: 'orgs/a' })).toMatchObject({
    ref: { kind: 'semver', name: '>=1' },
    path: 'orgs/a',
  })
})

it.each([
  ['token', { kind: 'bearer', token: 't0ken' }],
  ['login', { kind: 'basic', username: 'org', password: 'pass-word' }],
])('opens it with %s, without the end of its line', (name, credentials) => {
  expect(request({ secretRef: named(name) })).toMatchObject({ credentials })
})

it('trusts every line of every key of the Secret of verify', () => {
  expect(request({ verify: { secretRef: named('signers') } })).toMatchObject({
    signers: 'ssh-ed25519 AAAA\nssh-rsa BBBB',
  })
})

it.each([
  ['a token that no header holds', { secretRef: named('odd') }, 'AuthFailed', 'spaces or characters that no token has'],
  ['a name without a password', { secretRef: named('half') }, 'AuthFailed', 'neither username and password nor'],
  ['a key of SSH', { secretRef: named('ssh') }, 'AuthFailed', 'SSH keys are of no use'],
  ['no Secret', { secretRef: named('none') }, 'SecretMissing', '"none" does not exist in namespace ns'],
  ['no signers', { verify: { secretRef: named('none') } }, 'SecretMissing', '"none" does not exist'],
])('refuses %s, and shows nothing of it', (_what, git, reason, text) => {
  const found = request(git)
  expect(found).toMatchObject({ condition: 'SourceReady', reason, message: expect.stringContaining(text) })
  expect(JSON.stringify(found)).not.toMatch(/two words|pass-word/)
})
