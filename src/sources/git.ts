/**
 * Reads one commit of a repository over smart HTTP, shallow and in memory. The library (pure JavaScript, so that the
 * image needs no git program and no writable disk) speaks the protocol and reads objects; every byte comes through
 * http.ts, every pack is weighed before it is opened, and every name goes through intake.ts.
 */
import { z } from 'zod'
import { reasonOf } from '../errors.ts'
import { gitHttp } from './git-http.ts'
import { findCommit, type Found, type GitLibrary } from './git-refs.ts'
import type { Http } from './http.ts'
import { Intake, refuse } from './intake.ts'
import type { SourceLimits } from './limits.ts'
import { memoryFolder } from './memory-folder.ts'
import { weighPack } from './pack.ts'
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
    const fs = memoryFolder((pack) => weighPack(pack, limits))
    const cache = {}
    await git.init({ fs, gitdir, bare: true })
    await git.addRemote({ fs, gitdir, remote: 'origin', url: request.url })
    const shallow = { depth: 1, singleBranch: true, tags: false }
    await git.fetch({
      fs,
      cache,
      gitdir,
      http: client,
      url: request.url,
      ref: found.want,
      remoteRef: found.want,
      ...shallow,
    })
    return await new Checkout(git, { fs, cache, gitdir }, limits, signal).read(request, found)
  } catch (error) {
    throw asSourceError(error, request, signal)
  } finally {
    over.abort()
  }
}

interface Repository {
  readonly fs: ReturnType<typeof memoryFolder>
  readonly cache: object
  readonly gitdir: string
}

class Checkout {
  readonly #git: GitLibrary
  readonly #repository: Repository
  readonly #limits: SourceLimits
  readonly #signal: AbortSignal
  readonly #intake: Intake
  readonly #files = new Map<string, Uint8Array>()

  constructor(git: GitLibrary, repository: Repository, limits: SourceLimits, signal: AbortSignal) {
    this.#git = git
    this.#repository = repository
    this.#limits = limits
    this.#signal = signal
    this.#intake = new Intake(limits)
  }

  async read({ path, signers }: GitRequest, { want, revision }: Found): Promise<Fetched> {
    const { oid, commit } = await this.#git.readCommit({ ...this.#repository, oid: want })
    if (!revision.endsWith(`sha1:${oid}`))
      throw new SourceError('SourceInvalid', 'the tag points at another commit than the server said')
    if (signers !== undefined) {
      const { object } = await this.#git.readObject({ ...this.#repository, oid, format: 'content' })
      if (!(object instanceof Uint8Array)) throw new SourceError('VerificationFailed', 'the commit cannot be read')
      verifyCommit(object, signers)
    }
    await this.#folder(await this.#descend(commit.tree, path), '')
    return { revision, files: this.#files }
  }

  /** The tree of the folder that was asked for. */
  async #descend(top: string, path: string): Promise<string> {
    let tree = top
    for (const part of path.split('/').filter((each) => each !== '' && each !== '.')) {
      const entries = await this.#entries(tree)
      const next = entries.find((each) => each.path === part && each.type === 'tree')
      if (next === undefined) throw new SourceError('SourceMissing', `the commit has no folder "${path}"`)
      tree = next.oid
    }
    return tree
  }

  async #folder(tree: string, at: string): Promise<void> {
    this.#signal.throwIfAborted()
    for (const { path: name, oid, mode, type } of await this.#entries(tree)) {
      const path = at === '' ? name : `${at}/${name}`
      // A tree names one thing at a time: a slash would lead past the rules of intake.
      if (name === '' || name === '.' || name.includes('/')) refuse(path, 'nothing in a commit may have such a name')
      if (type === 'tree') {
        this.#intake.folder(path)
        await this.#folder(oid, path)
      } else if (mode === '120000') refuse(path, 'it is a symbolic link')
      else if (type === 'commit') refuse(path, 'it is a submodule')
      else {
        const clean = this.#intake.file(path)
        const { blob } = await this.#git.readBlob({ ...this.#repository, oid })
        this.#intake.keep(path, blob.byteLength)
        // The library hands out views of larger buffers: a copy lets go of them.
        this.#files.set(clean, Uint8Array.from(blob))
      }
    }
  }

  async #entries(oid: string) {
    const { tree } = await this.#git.readTree({ ...this.#repository, oid })
    if (tree.length > this.#limits.entries)
      throw new SourceError('SourceTooLarge', `a folder of the commit has more than ${this.#limits.entries} entries`)
    return tree
  }
}

/** The library's own errors quote what the server said; only their kind is passed on. */
function asSourceError(error: unknown, { url, ref }: GitRequest, signal: AbortSignal): SourceError {
  if (error instanceof SourceError) return error
  const { host } = new URL(url)
  if (signal.aborted) return new SourceError('SourceUnreachable', `${host}: no whole answer in time`, { cause: error })
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  // Its own rules are those of Git: no slash, no backslash, no "..", nothing that some file system takes for ".git".
  if (code === 'UnsafeFilepathError') return refuse(pathIn(error), 'nothing in a commit may have such a name')
  const text = reasonOf(error)
  if (/not our ref|unadvertised object/i.test(text) || (code === 'NotFoundError' && ref.kind === 'commit'))
    return new SourceError('SourceMissing', `${host} has no such commit, or gives out heads of branches and tags alone`)
  const kind = code === '' ? (error instanceof Error ? error.name : 'Error') : code
  return new SourceError('SourceInvalid', `${host} does not answer as a Git server should (${kind})`, { cause: error })
}

const pathIn = (error: unknown): string =>
  z.object({ data: z.object({ filepath: z.string() }) }).parse(error).data.filepath
