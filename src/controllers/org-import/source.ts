/** Reads what an import is made from. Looks into caches, and never waits: what is not there yet wakes the import. */
import { keyOf } from '../../api/meta.ts'
import type { OrgImport } from '../../api/org-import.ts'
import { decodePath, encodePath, folderOf } from '../../orgs/source-path.ts'
import { OrgError } from '../../orgs/org-error.ts'
import type { Sight, SourceRequest, Sources, TextFolder } from '../../sources/source.ts'
import type { Lookup } from '../../kube/followed-namespace.ts'
import type { FluxKind, FluxSource } from '../flux-sources.ts'
import { openNamespace, tooMuchReferred, type DataObject, type References } from '../references.ts'
import { bringExternals } from './external-source.ts'
import { artifactRequest } from './flux-source.ts'
import { gitRequest } from './git-source.ts'
import { isObstacle, type Obstacle } from './obstacle.ts'
import { faulty, outside, sourceObstacle, type Look, type SourceRead } from './source-read.ts'

/** Where a source can be. */
export interface SourceViews {
  readonly configMap: (namespace: string, name: string) => Lookup<DataObject>
  readonly references: References
  readonly fluxSource: (kind: FluxKind, namespace: string, name: string) => Lookup<FluxSource>
  readonly sources: Sources
  /** Where repositories are that templates refer to without a host, `https://git.example`, if the operator's settings say so. */
  readonly defaultHost?: string | undefined
}

export function readSource(org: OrgImport, views: SourceViews): SourceRead | Obstacle {
  const slots = new Set<string>()
  const look = (request: SourceRequest, slot: string): Sight => {
    slots.add(slot)
    return views.sources.look(request, keyOf(org), slot)
  }
  const read = hosted(readOwn(org, views, look), org, views.defaultHost)
  const whole = isObstacle(read) ? read : bringExternals(org, read, views.references, look)
  // Of a source that could not be named this time, what was fetched is kept: a Secret may only be late.
  if (!isObstacle(read) || slots.size > 0) views.sources.retain(keyOf(org), slots)
  return whole
}

function readOwn(org: OrgImport, views: SourceViews, look: Look): SourceRead | Obstacle {
  const { inline, configMapRef, git, sourceRef } = org.spec.source
  if (inline !== undefined) {
    const revision = `generation ${org.metadata.generation}`
    return { source: { kind: 'inline', template: inline }, revision, identity: revision }
  }
  if (configMapRef !== undefined) return readConfigMap(org, configMapRef, views, look)
  const request =
    git !== undefined
      ? gitRequest(org, git, views.references)
      : sourceRef !== undefined
        ? artifactRequest(org, sourceRef, views.fluxSource)
        : sourceObstacle('SourceNotSupported', 'spec.source names nothing that can be read')
  if (isObstacle(request)) return request
  if (request.kind !== 'git') return fetched(look(request, ''), 'org.yaml', 'the artifact', byPath)
  const sight = look(request, '')
  if (sight.state !== 'failed' || sight.error.fault === 'SourceUnreachable' || !archive.test(request.url))
    return fetched(sight, 'org.yaml', 'the repository', byPath)
  const message = `${sight.error.message}; an archive is no repository: ${archiveWays}`
  return faulty({ fault: sight.error.fault, message }, 'the repository')
}

const archive = /\.(tgz|tar|tar\.[a-z0-9]+|zip)$/
const archiveWays =
  'put a tar.gz into a ConfigMap and name it by configMapRef.archiveKey, or let Flux fetch it for sourceRef'

/** With where repositories are that its template refers to without a host. */
function hosted(read: SourceRead | Obstacle, { spec }: OrgImport, standard: string | undefined): SourceRead | Obstacle {
  if (isObstacle(read) || read.source.kind === 'inline') return read
  const own = URL.parse(spec.source.git?.url ?? '')
  const home = own?.protocol === 'https:' ? own.origin : undefined
  return { ...read, source: { ...read.source, hosts: { standard, home } } }
}

/** What the sources have, as a template folder. `moved`: how to say that the template is in another folder. */
function fetched(sight: Sight, entry: string, what: string, moved: Moved): SourceRead | Obstacle {
  switch (sight.state) {
    case 'fetching':
      return sourceObstacle('Progressing', `${what} is being read`, true)
    case 'failed':
      return faulty(sight.error, what)
    case 'fetched': {
      const { revision, texts, skipped } = sight.folder
      if (!texts.has(entry)) return { ...withoutEntry(entry, what, sight.folder, moved), retryAfter: outside }
      return {
        source: { kind: 'files', files: texts, entry, skipped },
        revision,
        identity: `${sight.folder.identity} ${entry}`,
        ...(sight.trouble && { trouble: sight.trouble.message }),
      }
    }
  }
}

type Moved = (path: string) => string

function withoutEntry(entry: string, what: string, { texts, skipped }: TextFolder, moved: Moved): Obstacle {
  const why = skipped.get(entry)
  if (why !== undefined) return sourceObstacle('SourceInvalid', `${what}: ${entry} cannot be read: ${why}`)
  const lower = [...texts.keys()].filter((path) => path.endsWith(`/${entry}`))
  const [first] = lower.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))
  const hint = first === undefined ? ': it holds the template' : `, but ${first}: say ${moved(first)}`
  return sourceObstacle('SourceMissing', `${what} has no ${entry}${hint}`)
}

const byPath: Moved = (path) => `path: ${folderOf(path)}`

type ConfigMapRef = NonNullable<OrgImport['spec']['source']['configMapRef']>

function readConfigMap(
  { metadata }: OrgImport,
  { name, key, archiveKey }: ConfigMapRef,
  views: SourceViews,
  look: Look,
): SourceRead | Obstacle {
  const namespace = metadata.namespace ?? ''
  const seen = views.configMap(namespace, name)
  switch (seen.state) {
    case 'syncing':
      return sourceObstacle('Progressing', `ConfigMap "${name}" of namespace ${namespace} is being read`, true)
    case 'forbidden':
    case 'noKind':
      return sourceObstacle('SourceForbidden', openNamespace('ConfigMap', namespace))
    case 'missing':
      return sourceObstacle('SourceMissing', `ConfigMap "${name}" does not exist in namespace ${namespace}: create it`)
    case 'exceeded':
      return sourceObstacle('QuotaExceeded', tooMuchReferred('ConfigMap', name, namespace, seen.limit))
    case 'found':
      return archiveKey === undefined ? readKeys(seen.object, key) : readArchive(seen.object, key, archiveKey, look)
  }
}

function readArchive(object: DataObject, key: string, archiveKey: string, look: Look): SourceRead | Obstacle {
  const { name, uid, resourceVersion: revision } = object.metadata
  const { data = {}, binaryData = {} } = object
  const encoded = Object.hasOwn(binaryData, archiveKey) ? binaryData[archiveKey] : undefined
  if (encoded === undefined) {
    const elsewhere = Object.hasOwn(data, archiveKey) ? ': it is in data, which holds text alone' : ''
    return sourceObstacle('SourceMissing', `ConfigMap "${name}" has no binaryData "${archiveKey}"${elsewhere}`)
  }
  const bytes = () => Buffer.from(encoded, 'base64')
  try {
    // A path as it is names its folder as the top of the template; an encoded one, as keys are, is seen from the archive's.
    const entry = decodePath(key)
    const path = key.includes('/') ? folderOf(entry) : ''
    const request = { kind: 'archive', identity: `${uid} ${revision} ${archiveKey}`, revision, path, bytes } as const
    const file = path === '' ? entry : entry.slice(path.length + 1)
    const what = `"${archiveKey}" of ConfigMap "${name}"`
    return fetched(look(request, ''), file, what, (found) => `key: ${path === '' ? found : `${path}/${found}`}`)
  } catch (error) {
    if (error instanceof OrgError) return sourceObstacle('SourceInvalid', error.message)
    throw error
  }
}

function readKeys(object: DataObject, key: string): SourceRead | Obstacle {
  const { name, uid, resourceVersion } = object.metadata
  if (Object.hasOwn(object.binaryData ?? {}, key))
    return sourceObstacle(
      'SourceMissing',
      `key "${key}" of ConfigMap "${name}" is in binaryData, so no text: a tar.gz of the template folder is named by archiveKey, and its org.yaml by key`,
    )
  try {
    const files = filesOf(object)
    if (isObstacle(files)) return files
    const entry = decodePath(key)
    if (key.includes('/'))
      return sourceObstacle(
        'SourceMissing',
        `ConfigMap "${name}" has no key "${key}": a key has "__" for a slash, "${encodePath(entry)}"`,
      )
    if (!files.has(entry))
      return sourceObstacle('SourceMissing', `ConfigMap "${name}" has no key "${key}": it holds the template`)
    return {
      source: { kind: 'files', files, entry, skipped: binaryOf(object) },
      revision: resourceVersion,
      identity: `${uid} ${resourceVersion} ${key}`,
    }
  } catch (error) {
    if (error instanceof OrgError) return sourceObstacle('SourceInvalid', `ConfigMap "${name}": ${error.message}`)
    throw error
  }
}

/** Those of a ConfigMap as the cache holds it: passes follow every child, and what is known of files is known by them. */
const decoded = new WeakMap<DataObject, ReadonlyMap<string, string>>()

/** The keys of a ConfigMap as paths. Throws an OrgError. */
function filesOf(object: DataObject): ReadonlyMap<string, string> | Obstacle {
  const before = decoded.get(object)
  if (before !== undefined) return before
  const files = new Map<string, string>()
  for (const [encoded, text] of Object.entries(object.data ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const path = decodePath(encoded)
    if (files.has(path))
      return sourceObstacle('SourceInvalid', `two keys of ConfigMap "${object.metadata.name}" stand for "${path}"`)
    files.set(path, text)
  }
  decoded.set(object, files)
  return files
}

/** What is in binaryData is no text, or kubectl would have put it into data. */
function binaryOf({ binaryData = {} }: DataObject): ReadonlyMap<string, string> {
  return new Map(Object.keys(binaryData).map((key) => [pathOf(key), 'it is in binaryData, so not UTF-8 text']))
}

function pathOf(key: string): string {
  try {
    return decodePath(key)
  } catch (error) {
    if (error instanceof OrgError) return key
    throw error
  }
}
