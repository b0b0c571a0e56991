/** Artifacts behind a real HTTP server. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, expect, it } from 'vitest'
import { fetchArtifact } from '../../src/sources/artifact.ts'
import { Http, type Reach } from '../../src/sources/http.ts'
import { sourceLimits } from '../../src/sources/limits.ts'
import { SourceError } from '../../src/sources/source.ts'
import { archiveOf } from '../support/archives.ts'

const archive = await archiveOf({ 'orgs/a/org.yaml': 'name: A', 'README.md': 'x' })
const digestOf = (algorithm: string) => `${algorithm}:${createHash(algorithm).update(archive).digest('hex')}`
const server = createServer(({ url }, response) => {
  if (url === '/away') response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end()
  else if (url === '/a.tar.gz') response.end(archive)
  else response.writeHead(404).end()
})
await once(server.listen(0, '127.0.0.1'), 'listening')
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const open: Reach = { hosts: [], plainHosts: ['127.0.0.1'], networks: ['127.0.0.0/8'] }
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

async function read(given: {
  path?: string
  from?: string
  digest?: string
  reach?: Partial<Reach>
  packedBytes?: number
}) {
  const { path = '/a.tar.gz', digest = digestOf('sha256'), reach, packedBytes = 10_000, from = origin } = given
  const http = new Http({ ...open, ...reach }, async () => [])
  const request = {
    kind: 'artifact',
    url: `${from}${path}`,
    digest,
    revision: 'main@sha1:abc',
    path: 'orgs/a',
  } as const
  try {
    const limits = { ...sourceLimits, packedBytes }
    const { revision, files } = await fetchArtifact(request, http, limits, AbortSignal.timeout(45_000))
    return `${revision} ${[...files].map(([name, bytes]) => `${name}=${Buffer.from(bytes).toString()}`).join(' ')}`
  } catch (error) {
    expect(error).toBeInstanceOf(SourceError)
    const { fault, message } = error as SourceError
    return `${fault}: ${message}`
  } finally {
    await http.close()
  }
}

it.each(['sha256', 'sha384', 'sha512'])('is read when its %s is right', async (algorithm) => {
  expect(await read({ digest: digestOf(algorithm) })).toBe('main@sha1:abc org.yaml=name: A')
})

it.each([
  ['another digest', { digest: `sha256:${'0'.repeat(64)}` }, /^SourceInvalid: .* does not have the digest sha256/],
  ['half a digest', { digest: digestOf('sha256').slice(0, 40) }, /^SourceInvalid: .* does not have the digest sha256/],
  ['a weak digest', { digest: digestOf('md5') }, /^SourceInvalid: .* is not one of sha256/],
  ['no digest', { digest: '' }, /^SourceInvalid: .* is not one of sha256/],
  ['nothing behind its URL', { path: '/none' }, /^SourceMissing: 127.0.0.1:\d+ answers 404/],
  ['too many bytes', { packedBytes: 100 }, /^SourceTooLarge: .* sends more than 100 bytes/],
  ['a redirect to where nobody may go', { path: '/away' }, /^NotAllowed: .* redirects to http:\/\/169.254.169.254/],
  ['a host that is not trusted without TLS', { reach: { plainHosts: [] } }, /^NotAllowed: .* not encrypted/],
  [
    'a name that does not resolve, which may pass',
    { from: 'http://nowhere.example', reach: { plainHosts: ['nowhere.example'] } },
    /^SourceUnreachable: the name nowhere\.example (does not resolve|cannot be looked up at the moment)$/,
  ],
  ['an address that is not open', { reach: { networks: [] } }, /^NotAllowed: 127.0.0.1 is an address/],
])('is refused with %s', async (_, given, rule) => {
  expect(await read(given)).toMatch(rule)
})
