import { expect, it } from 'vitest'
import type { OrgImport } from '../../api/org-import.ts'
import type { SourceRequest, Sight } from '../../sources/source.ts'
import { SourceError } from '../../sources/source.ts'
import { renderOrg } from '../../orgs/tree.ts'
import type { References } from '../references.ts'
import { bringExternals } from './external-source.ts'
import type { SourceRead } from './source-read.ts'

const [first, second] = ['a'.repeat(40), 'b'.repeat(40)]
const refer = (repo: string, commit: string) => `!external { repo: ${repo}, ref: ${commit}, path: team.yaml }`
const own = `name: X\nworkspaces:\n  - ${refer('https://git.example/acme/one', first)}\n`
const read = (files: Record<string, string>): SourceRead => ({
  source: { kind: 'files', files: new Map(Object.entries(files)), entry: 'org.yaml' },
  revision: 'r',
  identity: 'i',
})
const org = (git?: object) => ({ metadata: { namespace: 'ns' }, spec: { source: { git } } }) as unknown as OrgImport
const references: References = {
  look: () => ({ state: 'found', keys: ['bearerToken'], value: () => Buffer.from('t0ken') }),
}

/** What sources have, by `url commit`; the rest is being fetched. */
function looking(sights: Readonly<Record<string, Record<string, string> | SourceError>>) {
  const asked: { what: string; token: unknown }[] = []
  let moves = 0
  const look = (request: SourceRequest): Sight => {
    if (request.kind !== 'git' || request.ref.kind === 'default') throw new Error('not a commit or tag')
    const what = `${request.url} ${request.ref.name}`
    asked.push({ what, token: request.credentials?.kind === 'bearer' ? request.credentials.token : undefined })
    const found = sights[what]
    if (found === undefined) return { state: 'fetching' }
    if (found instanceof SourceError) return { state: 'failed', error: found }
    const folder = {
      revision: 'r',
      identity: `${what} ${moves}`,
      texts: new Map(Object.entries(found)),
      skipped: new Map([['link', 'it is a symbolic link']]),
    }
    return { state: 'fetched', folder, trouble: undefined }
  }
  return { look, asked, move: () => moves++ }
}
const one = `https://git.example/acme/one ${first}`
const two = `https://other.example/two ${second}`

it('asks for nothing where nothing is referred to', () => {
  const { look, asked } = looking({})
  const plain = read({ 'org.yaml': 'name: X\n' })
  expect(bringExternals(org(), plain, references, look)).toBe(plain)
  expect(asked).toEqual([])
})

it('brings what is referred to, and what that refers to', () => {
  const { look, asked } = looking({
    [one]: { 'team.yaml': `name: A\nchildren:\n  - ${refer('https://other.example/two', second)}\n` },
    [two]: { 'team.yaml': 'name: B\n' },
  })
  const template = read({ 'org.yaml': own })
  for (const again of [1, 2]) {
    const whole = bringExternals(org(), template, references, look)
    const source = 'source' in whole ? whole.source : undefined
    expect(source?.kind === 'files' && [...(source.externals?.keys() ?? [])]).toEqual([
      `.external/git.example/acme/one/@${first}`,
      `.external/other.example/two/@${second}`,
    ])
    expect(asked.map(({ what }) => what)).toHaveLength(2 * again)
  }
})

it('waits while one is being fetched, and says why one cannot be had', () => {
  const pending = looking({})
  expect(bringExternals(org(), read({ 'org.yaml': own }), references, pending.look)).toMatchObject({
    reason: 'Progressing',
    waits: true,
  })
  const failing = looking({ [one]: new SourceError('NotAllowed', 'git.example, which is not among SOURCE_HOSTS') })
  expect(bringExternals(org(), read({ 'org.yaml': own }), references, failing.look)).toMatchObject({
    condition: 'SourceReady',
    reason: 'NotAllowed',
    message: expect.stringMatching(/^org.yaml:3:\d+: git.example, which is not among/),
  })
})

const secretRef = { name: 'login' }
/** The tokens with which the two repositories are asked for by an import of `git`. */
function tokens(git: object) {
  const sights = {
    [one]: { 'team.yaml': `name: A\nchildren:\n  - ${refer('https://other.example/two', second)}\n` },
    [two]: { 'team.yaml': 'name: B\n' },
  }
  const { look, asked } = looking(sights)
  bringExternals(org(git), read({ 'org.yaml': own }), references, look)
  expect(asked.map(({ what }) => what)).toEqual([one, two])
  return asked.map(({ token }) => token)
}

it.each([
  ['another repository of its host', { url: 'https://git.example/acme/orgs', secretRef }],
  ['a repository whose name its own begins', { url: 'https://git.example/acme/on', secretRef }],
  [
    'what begins like one that it names',
    {
      url: 'https://x.example/o',
      secretRef,
      credentialsFor: [
        'https://git.example/ac',
        'https://git.example/acme/on',
        'https://other.example.org/',
        'https://other.example:8443/',
      ],
    },
  ],
])('never gives the import’s credentials to %s', (_what, git) => {
  expect(tokens(git)).toEqual([undefined, undefined])
})

it.each([
  ['its own repository', { url: 'https://git.example/acme/one', secretRef }, ['t0ken', undefined]],
  [
    'its own repository, written in another way',
    { url: 'https://git.example/acme/one.git/', secretRef },
    ['t0ken', undefined],
  ],
  [
    'what it names',
    { url: 'https://x.example/o', secretRef, credentialsFor: ['https://git.example/acme'] },
    ['t0ken', undefined],
  ],
  [
    'a whole host that it names',
    { url: 'https://x.example/o', secretRef, credentialsFor: ['https://other.example/'] },
    [undefined, 't0ken'],
  ],
])('gives the import’s credentials to %s', (_what, git, sent) => {
  expect(tokens(git)).toEqual(sent)
})

it('asks at the default host with no credentials but those that it would have if it was named', () => {
  const asks = (git: object) => {
    const { look, asked } = looking({})
    const { source, ...rest } = read({ 'org.yaml': own.replace('https://git.example/acme/one', 'acme/one') })
    const whole = { ...rest, source: { ...source, hosts: { standard: 'https://git.example' } } as SourceRead['source'] }
    bringExternals(org(git), whole, references, look)
    return asked
  }
  const what = one
  expect(asks({ url: 'https://git.example/acme/orgs', secretRef })).toEqual([{ what, token: undefined }])
  expect(asks({ url: 'https://x.example/acme/one', secretRef })).toEqual([{ what, token: undefined }])
  const credentialsFor = ['https://git.example/acme']
  expect(asks({ url: 'https://x.example/o', secretRef, credentialsFor })).toEqual([{ what, token: 't0ken' }])
})

it('asks for signatures where it asks for them of itself and a tag could be moved', () => {
  const signersOf = (git: object | undefined, ref: string) => {
    const requests: SourceRequest[] = []
    const look = (request: SourceRequest): Sight => {
      requests.push(request)
      return { state: 'fetching' }
    }
    bringExternals(org(git), read({ 'org.yaml': own.replace(first, ref) }), references, look)
    return requests.map((request) => request.kind === 'git' && request.signers)
  }
  const verified = { url: 'https://git.example/acme/orgs', verify: { secretRef: { name: 'signers' } } }
  expect(signersOf(verified, 'v1.0.0')).toEqual(['t0ken'])
  expect(signersOf(verified, first)).toEqual([undefined])
  expect(signersOf({ url: verified.url }, 'v1.0.0')).toEqual([undefined])
  expect(signersOf(undefined, 'v1.0.0')).toEqual([undefined])
})

it('says what was read of each, at which commit', () => {
  const { look } = looking({
    [one]: { 'team.yaml': `name: A\nchildren:\n  - ${refer('https://other.example/two', second)}\n` },
    [two]: { 'team.yaml': 'name: B\n' },
  })
  expect(bringExternals(org(), read({ 'org.yaml': own }), references, look)).toMatchObject({
    externals: ['https://git.example/acme/one r', 'https://other.example/two r'],
  })
  expect(bringExternals(org(), read({ 'org.yaml': 'name: X\n' }), references, look)).not.toHaveProperty('externals')
})

it('takes two templates of the same files for two', () => {
  const { look, asked } = looking({ [one]: { 'team.yaml': 'name: A\n' }, [two]: { 'team.yaml': 'name: B\n' } })
  const files = new Map([
    ['org.yaml', own],
    ['other.yaml', `workspaces:\n  - ${refer('https://other.example/two', second)}\n`],
  ])
  const broughtTo = (entry: string) => {
    asked.length = 0
    const read = { source: { kind: 'files', files, entry }, revision: 'r', identity: 'i' } as const
    const whole = bringExternals(org(), read, references, look)
    return [asked.map(({ what }) => what), 'source' in whole && whole.externals?.length]
  }
  for (const [entry, what] of [
    ['org.yaml', one],
    ['other.yaml', two],
    ['org.yaml', one],
  ] as const)
    expect(broughtTo(entry)).toEqual([[what], 1])
})

it('leaves a mistake in another repository to the rendering, which finds the file there', () => {
  const { look } = looking({ [one]: { 'team.yaml': 'name: [A' } })
  const whole = bringExternals(org(), read({ 'org.yaml': own }), references, look)
  if (!('source' in whole)) throw new Error(whole.message)
  expect(() => renderOrg(whole.source, { importUid: 'u' })).toThrow(
    expect.objectContaining({
      code: 'SyntaxError',
      message: expect.stringMatching(
        /^\.external\/git\.example\/acme\/one\/@a+\/team\.yaml:1:.*included from org\.yaml:3:/,
      ),
    }),
  )
})

it('leaves a broken template to whoever renders it', () => {
  const { look } = looking({})
  const broken = read({ 'org.yaml': 'a: !external { repo: nowhere' })
  expect(bringExternals(org(), broken, references, look)).toBe(broken)
})

it('reads a broken template once, and anew when what it refers to has changed', () => {
  /** Counts how often its texts are read. */
  class Counted extends Map<string, string> {
    reads = 0
    override values() {
      this.reads++
      return super.values()
    }
  }
  const { look, move } = looking({ [one]: { 'team.yaml': 'name: [A' } })
  const passes = (text: string) => {
    const files = new Counted([['org.yaml', text]])
    const template = { source: { kind: 'files', files, entry: 'org.yaml' }, revision: 'r', identity: 'i' } as const
    return () => {
      const before = files.reads
      const whole = bringExternals(org(), template, references, look)
      if (!('source' in whole)) throw new Error(whole.message)
      return [whole.externals?.length ?? 0, files.reads > before]
    }
  }
  const broken = passes('a: !external { repo: nowhere')
  expect([broken(), broken(), broken()]).toEqual([
    [0, true],
    [0, false],
    [0, false],
  ])
  const brokenElsewhere = passes(own)
  expect([brokenElsewhere(), brokenElsewhere()]).toEqual([
    [1, true],
    [1, false],
  ])
  move()
  expect(brokenElsewhere()).toEqual([1, true])
})

it('reads a template anew when a tag that it refers to has moved, and not before', () => {
  const sights: Record<string, Record<string, string> | SourceError> = {
    'https://git.example/acme/one v1.0.0': {
      'team.yaml': `name: A\nchildren:\n  - ${refer('https://other.example/two', second)}\n`,
    },
    [two]: { 'team.yaml': 'name: B\n' },
    [`https://other.example/three ${second}`]: { 'team.yaml': 'name: C\n' },
  }
  const { look, asked, move } = looking(sights)
  const template = read({ 'org.yaml': own.replace(first, 'v1.0.0') })
  const bring = () => {
    asked.length = 0
    const whole = bringExternals(org(), template, references, look)
    if (!('source' in whole)) throw new Error(whole.message)
    return { identity: whole.identity, asked: asked.map(({ what }) => what.replace(/ .*/, '')) }
  }
  const before = bring()
  expect(before.asked).toEqual(['https://git.example/acme/one', 'https://other.example/two'])
  expect(bring()).toEqual(before)
  sights['https://git.example/acme/one v1.0.0'] = {
    'team.yaml': `name: A\nchildren:\n  - ${refer('https://other.example/three', second)}\n`,
  }
  // What only the one before refers to is needed no more.
  sights[two] = new SourceError('SourceMissing', 'it is gone')
  move()
  const after = bring()
  expect(after.identity).not.toBe(before.identity)
  expect(after.asked).toContain('https://other.example/three')
  expect(bring().asked).toEqual(['https://git.example/acme/one', 'https://other.example/three'])
})

it('says what a ref may be where there is no such tag', () => {
  const { look } = looking({ 'https://git.example/acme/one main': new SourceError('SourceMissing', 'no tag "main"') })
  expect(bringExternals(org(), read({ 'org.yaml': own.replace(first, 'main') }), references, look)).toMatchObject({
    message: expect.stringMatching(/^org.yaml:3:\d+: no tag "main": !external takes a tag or a whole commit id$/),
  })
})

it('comes to an end where a repository has no file that can be read', () => {
  const { look, asked } = looking({ [one]: {} })
  bringExternals(org(), read({ 'org.yaml': own }), references, look)
  expect(asked).toHaveLength(1)
})
