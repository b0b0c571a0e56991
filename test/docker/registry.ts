import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { tarOf } from '../../src/backends/docker/tar.ts'

interface Registry {
  /** `address:port`. */
  readonly host: string
  /** Digest of the one image, which each repository has under the tag `1`. */
  readonly digest: string
  /** The path of everything that was asked of a manifest or layer. */
  readonly requests: string[]
  /** Gives what `slow` repositories hold back, from now on. */
  release(): void
  close(): Promise<void>
}

const digestOf = (content: Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`
const manifestType = 'application/vnd.docker.distribution.manifest.v2+json'

/** Who may read a repository that is `private`, by basic authentication. */
export const login = { username: 'reader', password: 'open-sesame-of-the-registry' }
const basic = `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`

/**
 * What a repository does: nothing special, hold its layer back until `release`, refuse everyone, have no image, or ask for
 * `login`. A registry with `private` ones alone asks at its root, as registries do.
 */
export type Manner = 'ready' | 'slow' | 'closed' | 'empty' | 'private'

/** A registry with one small image, whose repositories are named for their manner. */
export async function openRegistry(address: string, architecture: string, asks = false): Promise<Registry> {
  const layer = gzipSync(tarOf([{ path: 'etc/molecule', content: 'x', mode: 0o644, owner: 0 }]))
  const diff = digestOf(tarOf([{ path: 'etc/molecule', content: 'x', mode: 0o644, owner: 0 }]))
  const config = Buffer.from(
    JSON.stringify({
      architecture,
      os: 'linux',
      config: { Cmd: ['/none'] },
      rootfs: { type: 'layers', diff_ids: [diff] },
    }),
  )
  const part = (mediaType: string, content: Buffer) => ({
    mediaType,
    size: content.length,
    digest: digestOf(content),
  })
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: part('application/vnd.docker.container.image.v1+json', config),
      layers: [part('application/vnd.docker.image.rootfs.diff.tar.gzip', layer)],
    }),
  )
  const digest = digestOf(manifest)
  const blobs = new Map([config, layer].map((blob) => [digestOf(blob), blob]))
  const requests: string[] = []
  const released = Promise.withResolvers<void>()

  const answer = async (method: string, url: string, by: string, response: ServerResponse): Promise<void> => {
    const [, manner, kind, name = ''] = /^\/v2\/([a-z]+)[^/]*\/(manifests|blobs)\/(.+)$/.exec(url) ?? []
    const head = { 'docker-distribution-api-version': 'registry/2.0' }
    const refuse = (status: number, code: string) =>
      response.writeHead(status, head).end(JSON.stringify({ errors: [{ code, message: code.toLowerCase() }] }))
    if ((asks || manner === 'private') && by !== basic) {
      response.setHeader('www-authenticate', 'Basic realm="registry"')
      return void refuse(401, 'UNAUTHORIZED')
    }
    if (manner === undefined) return void response.writeHead(200, head).end('{}')
    requests.push(url)
    if (manner === 'closed') return void refuse(401, 'UNAUTHORIZED')
    const content = kind === 'blobs' ? blobs.get(name) : ['1', digest].includes(name) ? manifest : undefined
    if (manner === 'empty' || content === undefined) return void refuse(404, 'MANIFEST_UNKNOWN')
    if (manner === 'slow' && content === layer) await released.promise
    const type = kind === 'blobs' ? 'application/octet-stream' : manifestType
    const about = { ...head, 'content-type': type, 'docker-content-digest': digestOf(content) }
    response.writeHead(200, { ...about, 'content-length': content.length })
    response.end(method === 'HEAD' ? undefined : content)
  }
  const server = createServer(
    ({ method = '', url = '', headers }, response) => void answer(method, url, headers.authorization ?? '', response),
  )
  server.listen(0, address)
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('no port was given')
  return {
    host: `${address}:${bound.port}`,
    digest,
    requests,
    release: () => released.resolve(),
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
