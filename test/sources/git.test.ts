/** Repositories on a real Git server, and servers that only pretend to be one. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { seconds } from '../../src/duration.ts'
import type { Resolve } from '../../src/outbound.ts'
import { fetchGit } from '../../src/sources/git.ts'
import { Http, type Reach } from '../../src/sources/http.ts'
import { sourceLimits } from '../../src/sources/limits.ts'
import { SourceError, type GitRequest } from '../../src/sources/source.ts'
import { startGitServer, type GitRepository, type TreeEntry } from '../support/git-server.ts'

const server = await startGitServer()
const elsewhere = await startGitServer()
const open: Reach = { hosts: [], plainHosts: ['127.0.0.1', '*.test'], networks: ['127.0.0.0/8'] }
const resolve: Resolve = async (host) =>
  host.startsWith('inside') ? [{ address: '10.0.0.7', family: 4 }] : [{ address: '127.0.0.1', family: 4 }]
const https: Http[] = []
afterAll(() => Promise.all(https.map((http) => http.close())))
afterEach(() => {
  server.intercept = server.authorization = elsewhere.intercept = elsewhere.authorization = undefined
  server.requests.length = elsewhere.requests.length = 0
})

const limits = { ...sourceLimits, entries: 100, fileBytes: 100_000, keptBytes: 200_000, time: seconds(5) }
interface Given extends Partial<Omit<GitRequest, 'url'>> {
  readonly known?: string
  readonly reach?: Partial<Reach>
  readonly time?: number
  readonly within?: Partial<typeof limits>
}

/** The revision and the texts, `unchanged`, or the fault and its message. */
async function fetched(url: string, given: Given = {}) {
  const { known, reach, time = 45_000, within, ...asked } = given
  const request: GitRequest = { kind: 'git', url, ref: { kind: 'default' }, path: '', interval: seconds(60), ...asked }
  const http = new Http({ ...open, ...reach }, resolve)
  https.push(http)
  try {
    const found = await fetchGit(request, known, http, { ...limits, ...within }, AbortSignal.timeout(time))
    if (found === 'unchanged') return found
    const texts = [...found.files].map(([path, bytes]) => [path, Buffer.from(bytes).toString()])
    const files = Object.fromEntries(texts) as Record<string, string>
    return {
      revision: found.revision,
      files,
      ...(found.skipped.size > 0 && { skipped: Object.fromEntries(found.skipped) }),
    }
  } catch (error) {
    expect(error).toBeInstanceOf(SourceError)
    const { fault, message } = error as SourceError
    return `${fault}: ${message}`
  }
}

const template = { 'org.yaml': 'name: x', 'teams/dev.yaml': 'dev', 'README.md': 'read me' }
let made = 0
async function repository(files: Readonly<Record<string, string | Buffer>> = template) {
  const repo = await server.repository(`repo-${++made}.git`)
  return { repo, commit: await repo.commitFiles(files) }
}

describe('a repository', () => {
  it('is read at its default branch, in one shallow fetch', async () => {
    const { repo } = await repository({ old: 'gone' })
    const commit = await repo.commitFiles(template)
    expect(await fetched(repo.url)).toEqual({ revision: `main@sha1:${commit}`, files: template })
    expect(server.requests.filter(({ method }) => method === 'POST')).toHaveLength(2)
  })

  it('is read at a branch, a tag, a range of versions and a commit', async () => {
    const { repo, commit: first } = await repository()
    const next = await repo.commitFiles({ 'org.yaml': 'next' }, 'release/next')
    await repo.git(['tag', 'v1.0.0', first])
    await repo.git(['-c', 'user.name=T', '-c', 'user.email=t@example.com', 'tag', '-a', '-m', 'm', 'v1.4.0', next])
    await repo.git(['tag', 'v2.0.0', first])
    await repo.git(['tag', 'v1.9.0-rc.1', first])
    const at = async (kind: 'branch' | 'tag' | 'semver' | 'commit', name: string) => {
      const found = await fetched(repo.url, { ref: { kind, name } })
      return typeof found === 'string' ? found : `${found.revision} ${found.files['org.yaml']}`
    }
    expect(await at('branch', 'release/next')).toBe(`release/next@sha1:${next} next`)
    expect(await at('tag', 'v1.0.0')).toBe(`v1.0.0@sha1:${first} name: x`)
    expect(await at('tag', 'v1.4.0')).toBe(`v1.4.0@sha1:${next} next`)
    expect(await at('semver', '>=1.0.0 <2')).toBe(`v1.4.0@sha1:${next} next`)
    expect(await at('commit', next)).toBe(`sha1:${next} next`)
    expect(await at('semver', '>=3')).toMatch(/^SourceMissing: .*">=3"/)
    expect(await at('semver', 'newest')).toMatch(/^SourceInvalid: "newest" is not a range/)
    expect(await at('branch', 'release')).toMatch(/^SourceMissing: .*no branch "release"/)
    expect(await at('tag', 'v1')).toMatch(/^SourceMissing: .*no tag "v1"/)
    expect(await at('commit', 'a'.repeat(40))).toMatch(/^SourceMissing: /)
  })

  it('is read from one of its folders on', async () => {
    const { repo, commit } = await repository({
      'orgs/a/org.yaml': 'a',
      'orgs/b/org.yaml': 'b',
      big: 'x'.repeat(150_000),
    })
    expect(await fetched(repo.url, { path: 'orgs/b' })).toEqual({
      revision: `main@sha1:${commit}`,
      files: { 'org.yaml': 'b' },
    })
    expect(await fetched(repo.url, { path: 'orgs/c' })).toMatch(/^SourceMissing: .*"orgs\/c"/)
  })

  it('is not fetched again at the commit that is known', async () => {
    const { repo, commit } = await repository()
    expect(await fetched(repo.url, { known: `main@sha1:${commit}` })).toBe('unchanged')
    const next = await repo.commitFiles({ 'org.yaml': 'next' })
    expect(await fetched(repo.url, { known: `main@sha1:${commit}` })).toMatchObject({ revision: `main@sha1:${next}` })
  })

  it('may be large in deltas', async () => {
    const lines = (salt: number) =>
      Array.from({ length: 2000 }, (_, i) => `line ${i} ${i % 97 === salt ? salt : ''}`).join('\n')
    const files = Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`f${i}.md`, lines(i)]))
    const { repo } = await repository(files)
    await repo.git(['repack', '-a', '-d', '-q'])
    expect(await fetched(repo.url)).toMatchObject({ files })
  })

  it('that is empty, or none, is missing', async () => {
    const empty = await server.repository('empty.git')
    expect(await fetched(empty.url)).toMatch(/^SourceMissing: /)
    expect(await fetched(`${server.origin}/none.git`)).toMatch(/^SourceMissing: 127.0.0.1:\d+ answers 404/)
  })
})

describe('credentials', () => {
  const basic = { kind: 'basic', username: 'org', password: 'pass-w0rd' } as const

  it('open a repository, by password or token', async () => {
    const { repo, commit } = await repository()
    server.authorization = `Basic ${Buffer.from('org:pass-w0rd').toString('base64')}`
    expect(await fetched(repo.url, { credentials: basic })).toMatchObject({ revision: `main@sha1:${commit}` })
    expect(server.requests.every(({ url }) => !url.includes('pass-w0rd'))).toBe(true)
    server.authorization = 'Bearer t0ken'
    const bearer = { kind: 'bearer', token: 't0ken' } as const
    expect(await fetched(repo.url, { credentials: bearer })).toMatchObject({ revision: `main@sha1:${commit}` })
  })

  it('that are wrong or absent are told apart, and never shown', async () => {
    const { repo } = await repository()
    server.authorization = 'Bearer t0ken'
    const wrong = await fetched(repo.url, { credentials: basic })
    expect(wrong).toMatch(/^AuthFailed: .* refuses the credentials of secretRef/)
    expect(wrong).not.toContain('pass-w0rd')
    expect(await fetched(repo.url)).toMatch(/^AuthFailed: .* name credentials by secretRef/)
  })

  it('follow a redirect on the same host, and to no other', async () => {
    const { repo, commit } = await repository()
    server.authorization = `Basic ${Buffer.from('org:pass-w0rd').toString('base64')}`
    const redirect = (to: string) => {
      server.intercept = ({ url = '' }, response) => {
        if (!url.startsWith('/old/')) return false
        response.writeHead(301, { location: `${to}${url.replace('/old', '')}` }).end()
        return true
      }
    }
    const old = repo.url.replace(server.origin, `${server.origin}/old`)
    redirect('')
    expect(await fetched(old, { credentials: basic })).toMatchObject({ revision: `main@sha1:${commit}` })
    redirect(elsewhere.origin)
    await elsewhere.repository(repo.url.slice(server.origin.length + 1))
    await fetched(old, { credentials: basic })
    expect(elsewhere.requests.map(({ authorization }) => authorization)).toEqual([undefined, undefined])
  })
})

describe('the way out', () => {
  it.each([
    ['file:///etc', /^NotAllowed: .*not https: file:/],
    ['ssh://git@git.test/x', /^NotAllowed: .*not https: ssh:/],
    ['git://git.test/x', /^NotAllowed: .*not https: git:/],
    ['https://user:secret-1@git.test/x', /^NotAllowed: .*carries credentials/],
    ['http://plain.example/x', /^NotAllowed: http:\/\/plain.example, which is not encrypted/],
    ['http://10.0.0.1.nip.example/x', /^NotAllowed: .*not encrypted/],
    ['https://10.1.2.3/x', /^NotAllowed: 10.1.2.3 is an address/],
    ['https://169.254.169.254/latest', /^NotAllowed: 169.254.169.254 is an address/],
    ['https://[::1]/x', /^NotAllowed: .*::1/],
    ['http://inside.test/x', /^NotAllowed: inside.test is at 10.0.0.7/],
  ])('is closed to %s', async (url, rule) => {
    const found = await fetched(url)
    expect(found).toMatch(rule)
    expect(found).not.toContain('secret-1')
  })

  it('is closed to this host unless its network is open', async () => {
    const { repo } = await repository()
    expect(await fetched(repo.url, { reach: { networks: [] } })).toMatch(
      /^NotAllowed: 127.0.0.1 is an address.*SOURCE_NETWORKS/,
    )
    const byName = repo.url.replace('127.0.0.1', 'git.test')
    expect(await fetched(byName, { reach: { networks: [] } })).toMatch(/^NotAllowed: git.test is at 127.0.0.1/)
    expect(await fetched(byName)).toMatchObject({ files: template })
  })

  it('is open to listed hosts alone, once there is a list', async () => {
    const { repo } = await repository()
    const reach = { plainHosts: ['127.0.0.1'], hosts: ['git.example'] }
    expect(await fetched(repo.url, { reach })).toMatchObject({ files: template })
    expect(await fetched('https://other.example/x', { reach })).toMatch(
      /^NotAllowed: other.example, which is not among/,
    )
    expect(await fetched('https://git.example.evil.test/x', { reach })).toMatch(/^NotAllowed: .*not among/)
  })

  it.each([
    [
      'http://169.254.169.254/latest/meta-data',
      /NotAllowed: .* redirects to http:\/\/169.254.169.254, which is not encrypted/,
    ],
    ['https://169.254.169.254/latest/meta-data', /NotAllowed: 169.254.169.254 is an address/],
    ['http://inside.test/x', /NotAllowed: inside.test is at 10.0.0.7/],
    ['file:///etc/passwd', /NotAllowed: .* redirects to a URL that is not https: file:/],
    ['/loop?service=git-upload-pack', /SourceInvalid: .* redirects without end/],
  ])('judges a redirect to %s anew', async (location, rule) => {
    server.intercept = (_, response) => {
      response.writeHead(302, { location }).end()
      return true
    }
    expect(await fetched(`${server.origin}/x.git`)).toMatch(rule)
  })
})

describe('a server that is', () => {
  it('silent, or slow without end, is given up', async () => {
    server.intercept = () => true
    expect(await fetched(`${server.origin}/x.git`, { time: 500 })).toMatch(
      /^SourceUnreachable: .* no whole answer in time/,
    )
    server.intercept = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' })
      const drip = setInterval(() => response.write('0'), 20)
      response.on('close', () => clearInterval(drip))
      return true
    }
    expect(await fetched(`${server.origin}/x.git`, { time: 500 })).toMatch(
      /^SourceUnreachable: .* no whole answer in time/,
    )
  })

  it('without end in what it sends is cut off', async () => {
    const line = (text: string) => (text.length + 4).toString(16).padStart(4, '0') + text
    const refs = line(`${'a'.repeat(40)} refs/heads/one-of-many\n`).repeat(1000)
    server.intercept = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' })
      response.write(`${line('# service=git-upload-pack\n')}0000${line(`${'a'.repeat(40)} HEAD\0shallow\n`)}`)
      const flood = () => {
        if (response.destroyed) return
        response.write(refs)
        setImmediate(flood)
      }
      flood()
      return true
    }
    const within = { refsBytes: 1_000_000 }
    const found = await fetched(`${server.origin}/x.git`, { within })
    expect(found).toMatch(/^SourceTooLarge: .* sends more than 1000000 bytes/)
  })

  it.each([{ kind: 'default' }, { kind: 'branch', name: 'main' }, { kind: 'semver', name: '*' }] as const)(
    'too long in its list of branches and tags is cut off ($kind)',
    async (ref) => {
      const { repo } = await repository()
      expect(await fetched(repo.url, { ref, within: { refsBytes: 100 } })).toMatch(
        /^SourceTooLarge: .* sends more than 100 bytes/,
      )
    },
  )

  it('no Git server is told so, and nothing it says is passed on', async () => {
    server.intercept = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>secret-page</h1>')
      return true
    }
    const found = await fetched(`${server.origin}/x.git`)
    expect(found).toMatch(/^SourceInvalid: .* does not answer as a Git server should/)
    expect(found).not.toContain('secret-page')
    server.intercept = (_, response) => {
      response.writeHead(500).end('secret-page')
      return true
    }
    expect(await fetched(`${server.origin}/x.git`)).toMatch(/^SourceUnreachable: 127.0.0.1:\d+ answers 500$/)
  })

  it('not there is unreachable', async () => {
    expect(await fetched('http://127.0.0.1:1/x.git')).toMatch(/^SourceUnreachable: 127.0.0.1:1: .*ECONNREFUSED/)
  })
})

const blobOf = (repo: GitRepository, name: TreeEntry['name'], mode: TreeEntry['mode'] = '100644') =>
  repo.blob('x').then((oid): TreeEntry => ({ mode, name, oid }))

it('what is not supported in a commit is left out, and why is told', async () => {
  const repo = await server.repository(`odd-${++made}.git`)
  const [text, large] = [await blobOf(repo, 'org.yaml'), await repo.blob('x'.repeat(100_001))]
  const odd: readonly TreeEntry[] = [
    await blobOf(repo, 'a\nb'),
    await blobOf(repo, Buffer.from([0x61, 0xff])),
    await blobOf(repo, 'CLAUDE.md', '120000'),
    await blobOf(repo, 'ORG.YAML'),
    { mode: '100644', name: 'big', oid: large },
    { mode: '160000', name: 'lib', oid: 'a'.repeat(40) },
  ]
  await repo.commit(await repo.tree([text, ...odd]))
  expect(await fetched(repo.url)).toMatchObject({
    files: { 'org.yaml': 'x' },
    skipped: {
      'CLAUDE.md': 'it is a symbolic link',
      'ORG.YAML': 'it differs from "org.yaml" in upper and lower case alone',
      'a\ufffd': expect.stringContaining('not UTF-8') as string,
      'a?b': expect.stringContaining('control character') as string,
      big: 'it has more than 100000 bytes',
      lib: 'it is a submodule',
    },
  })
})

describe('a commit is refused whole', () => {
  const bad: Readonly<Record<string, [(repo: GitRepository) => Promise<string>, RegExp]>> = {
    'with ".." for a file': [async (repo) => repo.tree([await blobOf(repo, '..')]), /SourceInvalid: "\.\." is refused/],
    'with ".." for a folder': [
      async (repo) => repo.tree([{ mode: '40000', name: '..', oid: await repo.treeOf({ x: 'x' }) }]),
      /SourceInvalid: "\.\." is refused/,
    ],
    'with a path in a name': [
      async (repo) => repo.tree([await blobOf(repo, '../../etc/passwd')]),
      /SourceInvalid: .* may have such a name/,
    ],
    'with an absolute path': [
      async (repo) => repo.tree([await blobOf(repo, '/etc/passwd')]),
      /SourceInvalid: .* may have such a name/,
    ],
    'with one name twice': [
      async (repo) => repo.tree([await blobOf(repo, 'a'), await blobOf(repo, 'a')]),
      /"a" .* twice/,
    ],
    'with too much in all': [
      async (repo) => repo.treeOf({ a: 'a'.repeat(90_000), b: 'b'.repeat(90_000), c: 'c'.repeat(90_000) }),
      /SourceTooLarge: .* 200000 bytes in all/,
    ],
    'with too many files': [
      async (repo) => repo.treeOf(Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`f${i}`, 'x']))),
      /SourceTooLarge: .* 100 /,
    ],
    'that is too deep': [async (repo) => repo.treeOf({ [`${'d/'.repeat(33)}f`]: 'x' }), /32 folders deep/],
    'that holds one folder in another again and again': [
      async (repo) => {
        let tree = await repo.tree([])
        for (let level = 0; level < 10; level++)
          tree = await repo.tree(['a', 'b', 'c', 'd'].map((name) => ({ mode: '40000', name, oid: tree })))
        return tree
      },
      /SourceTooLarge: .* 100 files and folders/,
    ],
    'that is a bomb': [
      async (repo) => repo.treeOf({ zeros: Buffer.alloc(30 * 1024 * 1024) }),
      /SourceTooLarge: it unpacks to more than 100 times/,
    ],
  }
  it.each(Object.entries(bad))('%s', async (_, [treeOf, rule]) => {
    const repo = await server.repository(`bad-${++made}.git`)
    await repo.commit(await treeOf(repo))
    expect(await fetched(repo.url)).toMatch(rule)
  })
})

describe('a signature', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'molecule-test-keys-'))
  afterAll(() => rm(dir, { recursive: true, force: true }))
  const keyOf = async (name: string, ...type: string[]) => {
    const path = join(dir, name)
    await promisify(execFile)('ssh-keygen', ['-q', '-N', '', '-C', 'someone', '-f', path, '-t', ...type])
    return { path, text: await readFile(`${path}.pub`, 'utf8') }
  }
  const signedBy = async (path: string) => {
    const repo = await server.repository(`signed-${++made}.git`)
    const sign = ['-c', 'gpg.format=ssh', '-c', `user.signingkey=${path}`]
    return { repo, commit: await repo.commit(await repo.treeOf(template), 'main', sign) }
  }

  it.each([['ed25519'], ['rsa', '-b', '2048'], ['ecdsa', '-b', '256'], ['ecdsa', '-b', '521']])(
    'by %s holds for its key alone',
    async (...type) => {
      const [key, other] = [await keyOf(`key-${++made}`, ...type), await keyOf(`other-${made}`, ...type)]
      const { repo, commit } = await signedBy(key.path)
      const signers = `# who may\nsomeone@example.com ${key.text}`
      expect(await fetched(repo.url, { signers })).toMatchObject({ revision: `main@sha1:${commit}`, files: template })
      expect(await fetched(repo.url, { signers: other.text })).toBe(
        'VerificationFailed: the commit is signed by a key that is not trusted',
      )
      expect(await fetched(repo.url, { signers: 'nobody' })).toMatch(/^VerificationFailed: .*no public key/)
    },
  )

  it('is asked for in vain of a commit without one, or with another commit’s', async () => {
    const key = await keyOf('key', 'ed25519')
    const { repo: plain } = await repository()
    expect(await fetched(plain.url, { signers: key.text })).toBe('VerificationFailed: the commit is not signed')
    const { repo, commit } = await signedBy(key.path)
    const forged = (await repo.git(['cat-file', 'commit', commit])).replace('A commit', 'Another')
    const oid = await repo.git(['hash-object', '-t', 'commit', '-w', '--stdin'], `${forged}\n`)
    await repo.git(['update-ref', 'refs/heads/main', oid])
    expect(await fetched(repo.url, { signers: key.text })).toBe(
      'VerificationFailed: the signature does not fit the commit',
    )
  })
})
