/** From a branch, tag, range of versions or commit to the one commit it stands for now. */
import type * as library from 'isomorphic-git'
import type { HttpClient, ServerRef } from 'isomorphic-git'
import semver from 'semver'
import { SourceError, type GitRef, type GitRequest } from './source.ts'

export type GitLibrary = typeof library

export interface Found {
  /** What to ask the server for: a commit, or the tag that points at it. */
  readonly want: string
  /** `main@sha1:<commit>`, or `sha1:<commit>`. */
  readonly revision: string
}

/** Throws a SourceError when there is nothing of that name. */
export async function findCommit(git: GitLibrary, http: HttpClient, { url, ref }: GitRequest): Promise<Found> {
  const list = async (prefix: string) =>
    await git.listServerRefs({ http, url, prefix, symrefs: true, peelTags: true, protocolVersion: 2 })
  switch (ref.kind) {
    case 'commit':
      return { want: ref.name, revision: `sha1:${ref.name}` }
    case 'default': {
      const head = (await list('HEAD')).find((each) => each.ref === 'HEAD')
      if (head === undefined) return missing('the repository has no default branch: it is empty')
      const branch = head.target?.replace(/^refs\/heads\//, '') ?? 'HEAD'
      return { want: head.oid, revision: `${branch}@sha1:${head.oid}` }
    }
    case 'branch':
      return exactly(await list(`refs/heads/${ref.name}`), `refs/heads/${ref.name}`, ref)
    case 'tag':
      return exactly(await list(`refs/tags/${ref.name}`), `refs/tags/${ref.name}`, ref)
    case 'semver':
      return newest(await list('refs/tags/'), ref.name)
  }
}

const missing = (message: string): never => {
  throw new SourceError('SourceMissing', message)
}

const found = ({ oid, peeled }: ServerRef, name: string): Found => ({
  want: oid,
  revision: `${name}@sha1:${peeled ?? oid}`,
})

function exactly(refs: readonly ServerRef[], full: string, { kind, name }: Extract<GitRef, { name: string }>): Found {
  const one = refs.find((each) => each.ref === full)
  return one === undefined ? missing(`the repository has no ${kind} "${name}"`) : found(one, name)
}

function newest(refs: readonly ServerRef[], range: string): Found {
  if (semver.validRange(range) === null)
    throw new SourceError('SourceInvalid', `"${range}" is not a range of versions: write it like ">=1.2.0 <2"`)
  const prefix = 'refs/tags/'
  const tags = refs.filter(
    (each) => each.ref.startsWith(prefix) && semver.valid(each.ref.slice(prefix.length)) !== null,
  )
  const best = semver.maxSatisfying(
    tags.map((each) => each.ref.slice(prefix.length)),
    range,
  )
  const one = tags.find((each) => each.ref === `${prefix}${best}`)
  return one === undefined ? missing(`the repository has no tag in the range "${range}"`) : found(one, String(best))
}
