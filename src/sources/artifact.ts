/** Reads what Flux keeps: a tar.gz behind a URL that its status names, believed only when its digest is right. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readArchive } from './archive.ts'
import type { Http } from './http.ts'
import type { SourceLimits } from './limits.ts'
import { SourceError, type ArtifactRequest, type Fetched } from './source.ts'

const algorithms = new Set(['sha256', 'sha384', 'sha512'])

/** Throws a SourceError. */
export async function fetchArtifact(
  { url, digest, revision, path }: ArtifactRequest,
  http: Http,
  limits: SourceLimits,
  signal: AbortSignal,
): Promise<Fetched> {
  const [algorithm = '', wanted = ''] = digest.split(':')
  if (!algorithms.has(algorithm))
    throw new SourceError('SourceInvalid', `the artifact's digest is not one of ${[...algorithms].join(', ')}`)
  const answer = await http.send({ method: 'GET', url, origin: '', maxBytes: limits.packedBytes, signal })
  const hash = createHash(algorithm)
  const chunks: Uint8Array[] = []
  for await (const chunk of answer.body) {
    hash.update(chunk)
    chunks.push(chunk)
  }
  const [found, given] = [hash.digest(), Buffer.from(wanted, 'hex')]
  if (found.length !== given.length || !timingSafeEqual(found, given))
    throw new SourceError(
      'SourceInvalid',
      `what the artifact's URL gives does not have the digest ${algorithm} that its status names`,
    )
  return { revision, ...(await readArchive(Buffer.concat(chunks), path, limits, signal)) }
}
