/** Brings the repositories that a template refers to (`!external`), each at the commit that it names. */
import type { OrgImport } from '../../api/org-import.ts'
import { minutes } from '../../duration.ts'
import type { External } from '../../orgs/externals.ts'
import { OrgError } from '../../orgs/org-error.ts'
import { externalsNeeded, type OrgSource } from '../../orgs/source.ts'
import type { Credentials, GitRequest, SourceError } from '../../sources/source.ts'
import type { References } from '../references.ts'
import { credentialsOf } from './git-source.ts'
import { isObstacle, type Obstacle } from './obstacle.ts'
import { faulty, sourceObstacle, type Look, type SourceRead } from './source-read.ts'

type Files = Extract<OrgSource, { kind: 'files' }>

/** All that the files of a template refer to, directly or not: found out once, and again when a tag has moved. */
const known = new WeakMap<Files['files'], { readonly externals: readonly External[]; readonly revisions: string }>()

export function bringExternals(
  org: OrgImport,
  read: SourceRead,
  references: References,
  look: Look,
): SourceRead | Obstacle {
  const { source } = read
  if (source.kind === 'inline') return read
  const externals = new Map<string, Files['files']>()
  const all: External[] = []
  const skipped = new Map(source.skipped)
  const whole = { ...source, externals, skipped, revisions: new Map<string, string>() }
  const before = known.get(source.files)
  const revisions = () => JSON.stringify([...whole.revisions])
  try {
    for (let needed = before?.externals ?? externalsNeeded(whole); needed.length > 0;) {
      const obstacle = bring(org, needed, references, look, whole)
      if (obstacle !== undefined) return obstacle
      all.push(...needed)
      // One without any file that can be read stays needed: rendering says so.
      needed =
        before?.revisions === revisions() ? [] : externalsNeeded(whole).filter(({ folder }) => !externals.has(folder))
    }
  } catch (error) {
    // Rendering meets the same fault, and says where it stands.
    if (error instanceof OrgError) return read
    throw error
  }
  known.set(source.files, { externals: all, revisions: revisions() })
  const tags = all.filter(({ ref }) => ref.kind === 'tag').map(({ folder }) => whole.revisions.get(folder))
  return all.length === 0 ? read : { ...read, source: whole, identity: [read.identity, ...tags].join(' ') }
}

function bring(
  org: OrgImport,
  needed: readonly External[],
  references: References,
  look: Look,
  into: {
    readonly externals: Map<string, Files['files']>
    readonly skipped: Map<string, string>
    readonly revisions: Map<string, string>
  },
): Obstacle | undefined {
  // All are asked for before the first is waited for.
  const sights = needed.map((external) => ({ external, request: requestOf(org, external, references) }))
  const seen = sights.map(({ external, request }) => ({
    external,
    sight: isObstacle(request) ? request : look(request, external.folder),
  }))
  for (const { external, sight } of seen) {
    if (isObstacle(sight)) return sight
    if (sight.state === 'failed') return lacking(external, sight.error)
    if (sight.state === 'fetching')
      return sourceObstacle('Progressing', `the repository that ${external.askedAt} refers to is being read`, true)
    into.revisions.set(external.folder, sight.folder.identity)
    into.externals.set(external.folder, sight.folder.texts)
    for (const [path, why] of sight.folder.skipped) into.skipped.set(`${external.folder}/${path}`, why)
  }
  return undefined
}

function lacking({ askedAt, ref }: External, { fault, message }: SourceError): Obstacle {
  const hint = fault === 'SourceMissing' && ref.kind === 'tag' ? ': !external takes a tag or a whole commit id' : ''
  return faulty({ fault, message: `${message}${hint}` }, askedAt)
}

function requestOf(org: OrgImport, { url, ref }: External, references: References): GitRequest | Obstacle {
  const credentials = ownCredentials(org, url, references)
  if (credentials !== undefined && isObstacle(credentials)) return credentials
  // A commit never changes, and a tag hardly ever: looking again serves little but to mend a failure.
  return { kind: 'git', url, ref, path: '', credentials, interval: minutes(60) }
}

/**
 * The import's own, for the repository that it named itself and for those that it says they are for. Not for all of the
 * host: who may write the template would read by it whatever the import's token may.
 */
function ownCredentials(org: OrgImport, url: string, references: References): Credentials | Obstacle | undefined {
  const { git } = org.spec.source
  if (git === undefined) return undefined
  const own = git.url.replace(/\/+$/, '').replace(/\.git$/, '') === url
  const meant = own || (git.credentialsFor ?? []).some((prefix) => isBelow(url, prefix))
  return meant ? credentialsOf(org, git, references) : undefined
}

/** Whole parts of the path: https://git.example/acme is not above https://git.example/acme-other. */
function isBelow(url: string, prefix: string): boolean {
  const folder = prefix.replace(/\/+$/, '').replace(/\.git$/, '')
  return url === folder || url.startsWith(`${folder}/`)
}
