import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { authFor, credentialsIn, registryOf } from './registry-credentials.ts'

const encoded = (text: string) => Buffer.from(text).toString('base64')
const file = JSON.stringify({
  auths: {
    'r.io': { auth: encoded('all:pass:word') },
    'r.io/team': { username: 'team', password: 'p' },
    'https://index.docker.io/v1/': { auth: encoded('hub:h') },
    'localhost:5000': { identitytoken: 'token' },
    'empty.io': { auth: '' },
    'null.io': { auth: null },
    'nothing.io': null,
    'half.io': { auth: null, username: 'half', password: 'h' },
    'wrong.io': { auth: 7 },
  },
})

test.each([
  ['r.io/agent:1', { username: 'all', password: 'pass:word', serveraddress: 'r.io' }],
  ['r.io/team/agent:1', { username: 'team', password: 'p', serveraddress: 'r.io' }],
  ['r.io/team:1', { username: 'team', password: 'p', serveraddress: 'r.io' }],
  ['r.io/teams/agent', { username: 'all', password: 'pass:word', serveraddress: 'r.io' }],
  ['docker.io/me/agent:1', { username: 'hub', password: 'h', serveraddress: 'docker.io' }],
  [`me/agent@sha256:${'0'.repeat(64)}`, { username: 'hub', password: 'h', serveraddress: 'docker.io' }],
  ['localhost:5000/agent:1', { identitytoken: 'token', serveraddress: 'localhost:5000' }],
  ['empty.io/agent', undefined],
  ['null.io/agent', undefined],
  ['nothing.io/agent', undefined],
  ['half.io/agent', { username: 'half', password: 'h', serveraddress: 'half.io' }],
  ['other.io/agent', undefined],
  ['r.io.evil.example/agent', undefined],
  ['r.io:5000/agent', undefined],
])('for %s the credentials are %j', (image, auth) => {
  expect(authFor(image, file)).toEqual(auth)
})

test('an entry that cannot be used is told to those alone who need it, without its value', () => {
  expect(() => authFor('wrong.io/agent', file)).toThrow(
    'the entry of wrong.io in the file of REGISTRY_AUTH_FILE is not of the form {"auth":"…"}',
  )
})

test('a registry is a first part with a dot or a port', () => {
  expect(['team/agent', 'agent:1', 'localhost/a', 'h:1/a', 'ghcr.io/a/b'].map(registryOf)).toEqual([
    'docker.io',
    'docker.io',
    'localhost',
    'h:1',
    'ghcr.io',
  ])
})

test('the file is read at each pull; one that cannot be used is a wait that never quotes it', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'molecule-auth-')), '.dockerconfigjson')
  const credentials = credentialsIn(path)
  expect(await credentialsIn(undefined)('r.io/a')).toBeUndefined()
  await expect(credentials('r.io/a')).rejects.toMatchObject({
    name: 'RetryAfter',
    message: /cannot be read \(ENOENT\)/,
  })
  writeFileSync(path, file)
  expect(await credentials('r.io/a')).toMatchObject({ username: 'all' })
  writeFileSync(path, JSON.stringify({ auths: { 'r.io': { auth: encoded('rotated:p') } } }))
  expect(await credentials('r.io/a')).toMatchObject({ username: 'rotated' })
  for (const broken of ['{"auths":{"r.io":{"auth":"c2VjcmV0"', '{"r.io":"c2VjcmV0"}']) {
    writeFileSync(path, broken)
    const failure = await credentials('r.io/a').catch((error: unknown) => error)
    expect(failure).toMatchObject({ name: 'RetryAfter', message: expect.stringContaining('REGISTRY_AUTH_FILE') })
    expect(String(failure)).not.toContain('c2Vj')
  }
})
