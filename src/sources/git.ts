/**
 * Reads one commit of a repository over smart HTTP, shallow and in memory. The library (pure JavaScript, so that the
 * image needs no git program and no writable disk) speaks the protocol; every byte comes through http.ts, what is packed
 * is read by pack.ts, and every name goes through intake.ts.
 */
import type { HttpClient } from 'isomorphic-git'
import { reasonOf } from '../errors.ts'
import { commitOf, filesOf } from './commit.ts'
import { gitHttp } from './git-http.ts'
import { findCommit, type Found, type GitLibrary } from './git-refs.ts'
import type { Http } from './http.ts'
import type { SourceLimits } from './limits.ts'
import { memoryFolder } from './memory-folder.ts'
import { readPack } from './pack.ts'
import { SourceError, type Fetched, type GitRequest } from './source.ts'
import { verifyCommit } from './verify.ts'

const gitdir = '/repository'

/** What the ref stands for now; `unchanged` when that is the revision `known`. Throws a SourceError. */
export async function fetchGit(
  request: GitRequest,
  known: string | undefined,
  http: Http,
  limits: SourceLimits,
  signal: AbortSignal,
): Promise<Fetched | 'unchanged'> {
  // Loaded by the first who needs it: it costs memory that an operator without Git sources can spare.
  const git: GitLibrary = await import('isomorphic-git')
  // The library leaves answers half read when it fails: they end with this.
  const over = new AbortController()
  const client = gitHttp(request, http, limits, AbortSignal.any([signal, over.signal]))
  try {
    // The library takes credentials out of URLs, and would use them.
    http.check(request.url)
    const found = await findCommit(git, client, request)
    if (found.revision === known) return 'unchanged'
    const pack = await fetchPack(git, client, request.url, found.want)
    return await alone(() => readCommit(pack, request, found, limits, signal))
  } catch (error) {
    throw asSourceError(error, request, signal)
  } finally {
    over.abort()
  }
}

/** Thrown through the library, which would go on to read the pack itself. */
class Taken extends Error {
  readonly pack: Buffer
  constructor(pack: Buffer) {
    super('the pack is here')
    this.pack = pack
  }
}

async function fetchPack(git: GitLibrary, http: HttpClient, url: string, want: string): Promise<Buffer> {
  const fs = memoryFolder((pack) => {
    throw new Taken(pack)
  })
  await git.init({ fs, gitdir, bare: true })
  await git.addRemote({ fs, gitdir, remote: 'origin', url })
  try {
    const shallow = { depth: 1, singleBranch: true, tags: false }
    await git.fetch({ fs, gitdir, http, url, ref: want, remoteRef: want, ...shallow })
  } catch (error) {
    if (error instanceof Taken) return error.pack
    throw error
  }
  throw new SourceError('SourceMissing', 'the server has nothing to send of that commit')
}

let last: Promise<unknown> = Promise.resolve()

/** One commit at a time is unpacked: many at once would need the memory of all. */
async function alone<T>(act: () => Promise<T>): Promise<T> {
  const turn = last.then(act)
  last = turn.catch(() => undefined)
  return await turn
}

async function readCommit(
  pack: Buffer,
  { path, signers }: GitRequest,
  { want, revision }: Found,
  limits: SourceLimits,
  signal: AbortSignal,
): Promise<Fetched> {
  const objects = await readPack(pack, limits, signal)
  const { id, content, tree } = commitOf(objects, want)
  if (!revision.endsWith(`sha1:${id}`))
    throw new SourceError('SourceInvalid', 'the tag points at another commit than the server said')
  if (signers !== undefined) verifyCommit(content, signers)
  return { revision, ...(await filesOf(objects, tree, path, limits)) }
}

/** The library's own errors quote what the server said; only their kind is passed on. */
function asSourceError(error: unknown, { url }: GitRequest, signal: AbortSignal): SourceError {
  if (error instanceof SourceError) return error
  const { host } = new URL(url)
  if (signal.aborted) return new SourceError('SourceUnreachable', `${host}: no whole answer in time`, { cause: error })
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (/not our ref|unadvertised object/i.test(reasonOf(error)))
    return new SourceError('SourceMissing', `${host} has no such commit, or gives out heads of branches and tags alone`)
  const kind = code === '' ? (error instanceof Error ? error.name : 'Error') : code
  return new SourceError('SourceInvalid', `${host} does not answer as a Git server should (${kind})`, { cause: error })
}
