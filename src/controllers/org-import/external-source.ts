/** Brings the repositories that a template refers to (`!external`), each at the commit that it names. */
import type { OrgImport } from '../../api/org-import.ts'
import { minutes } from '../../duration.ts'
import { bareUrl, type External } from '../../orgs/externals.ts'
import { OrgError } from '../../orgs/org-error.ts'
import { externalsNeeded, type OrgSource } from '../../orgs/source.ts'
import type { Credentials, GitRequest, SourceError, TextFolder } from '../../sources/source.ts'
import type { References } from '../references.ts'
import { credentialsOf, signersOf } from './git-source.ts'
import { isObstacle, type Obstacle } from './obstacle.ts'
import { faulty, sourceObstacle, type Look, type SourceRead } from './source-read.ts'

type Files = Extract<OrgSource, { kind: 'files' }>

/** What a template refers to, directly or not, and what was read of it then. */
interface Known {
  readonly externals: readonly External[]
  readonly identities: string
}

/** Of files by their entry, since imports may share the files: found out once, and again when a tag has moved. */
const knownOf = new WeakMap<Files['files'], Map<string, Known>>()

/** What was brought so far, each by `External.folder`. */
class Brought {
  readonly all: External[] = []
  readonly externals = new Map<string, Files['files']>()
  readonly skipped: Map<string, string>
  readonly read = new Map<string, Pick<TextFolder, 'identity' | 'revision'>>()

  constructor(source: Files) {
    this.skipped = new Map(source.skipped)
  }

  get identities(): string {
    return JSON.stringify([...this.read].map(([folder, { identity }]) => [folder, identity]))
  }

  with(read: SourceRead, source: Files): SourceRead {
    if (this.all.length === 0) return read
    const tags = this.all.filter(({ ref }) => ref.kind === 'tag').map(({ folder }) => this.read.get(folder)?.identity)
    return {
      ...read,
      source: { ...source, externals: this.externals, skipped: this.skipped },
      identity: [read.identity, ...tags].join(' '),
      externals: this.all.map(({ url, folder }) => `${url} ${this.read.get(folder)?.revision}`),
    }
  }
}

export function bringExternals(
  org: OrgImport,
  read: SourceRead,
  references: References,
  look: Look,
): SourceRead | Obstacle {
  const { source } = read
  if (source.kind === 'inline') return read
  const known = knownOf.get(source.files) ?? new Map<string, Known>()
  const before = known.get(source.entry)
  if (before !== undefined) {
    const again = new Brought(source)
    const obstacle = bring(org, before.externals, references, look, again)
    if (obstacle === undefined && again.identities === before.identities) return again.with(read, source)
  }
  const brought = new Brought(source)
  const { externals, skipped } = brought
  try {
    for (let needed = externalsNeeded(source); needed.length > 0;) {
      const obstacle = bring(org, needed, references, look, brought)
      if (obstacle !== undefined) return obstacle
      // One without any file that can be read stays needed: rendering says so.
      needed = externalsNeeded({ ...source, externals, skipped }).filter(({ folder }) => !externals.has(folder))
    }
  } catch (error) {
    // Rendering meets the same fault, in the same files, and says where it stands.
    if (!(error instanceof OrgError)) throw error
  }
  // A fault is in these files for good, as what they refer to is: neither is looked for in them again.
  knownOf.set(source.files, known.set(source.entry, { externals: brought.all, identities: brought.identities }))
  return brought.with(read, source)
}

function bring(
  org: OrgImport,
  needed: readonly External[],
  references: References,
  look: Look,
  into: Brought,
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
    into.all.push(external)
    into.read.set(external.folder, sight.folder)
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
  // The id of a commit proves its content. A tag can be moved, by which the signatures that the import asks for would be
  // got round: what it points at must be signed, too.
  const signers = ref.kind === 'tag' ? signersOf(org, org.spec.source.git ?? {}, references) : undefined
  if (typeof signers === 'object') return signers
  // A commit never changes, and a tag hardly ever: looking again serves little but to mend a failure.
  return { kind: 'git', url, ref, path: '', credentials, signers, interval: minutes(60) }
}

/**
 * The import's own, for the repository that it named itself and for those that it says they are for. Not for all of the
 * host: who may write the template would read by it whatever the import's token may.
 */
function ownCredentials(org: OrgImport, url: string, references: References): Credentials | Obstacle | undefined {
  const { git } = org.spec.source
  if (git === undefined) return undefined
  const own = bareUrl(git.url) === bareUrl(url)
  const meant = own || (git.credentialsFor ?? []).some((prefix) => isBelow(url, prefix))
  return meant ? credentialsOf(org, git, references) : undefined
}

/** Whole parts of the path: https://git.example/acme is not above https://git.example/acme-other. */
function isBelow(url: string, prefix: string): boolean {
  const folder = bareUrl(prefix)
  return bareUrl(url) === folder || url.startsWith(`${folder}/`)
}
