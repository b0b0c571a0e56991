/** Reads what an import is made from. Pure: looks into caches. */
import type { OrgImport } from '../../api/org-import.ts'
import { decodePath } from '../../orgs/source-path.ts'
import { OrgError } from '../../orgs/org-error.ts'
import type { OrgSource } from '../../orgs/tree.ts'
import { openNamespace, type DataObject } from '../references.ts'
import type { Obstacle } from './obstacle.ts'

/** A namespace's ConfigMaps, and whether the cache of them can be believed. */
export interface ConfigMaps {
  readonly state: 'syncing' | 'synced' | 'forbidden' | 'missing'
  readonly cache: { get(key: string): DataObject | undefined }
}

export interface SourceRead {
  readonly source: OrgSource
  /** What people recognise it by: a resourceVersion, a generation. */
  readonly revision: string
  /** Changes whenever the source does. */
  readonly identity: string
  /** Keys that were not read as text. */
  readonly skipped: readonly string[]
}

const obstacle = (reason: Obstacle['reason'], message: string, waits = false): Obstacle => ({
  condition: 'SourceReady',
  reason,
  message,
  waits,
})

export function readSource({ spec, metadata }: OrgImport, configMaps: () => ConfigMaps): SourceRead | Obstacle {
  const { inline, configMapRef } = spec.source
  if (inline !== undefined) {
    const revision = `generation ${metadata.generation}`
    return { source: { kind: 'inline', template: inline }, revision, identity: revision, skipped: [] }
  }
  if (configMapRef === undefined || configMapRef.archiveKey !== undefined)
    return obstacle(
      'SourceNotSupported',
      'only source.inline and source.configMapRef without archiveKey can be read yet',
    )
  const namespace = metadata.namespace ?? ''
  const { state, cache } = configMaps()
  if (state === 'syncing')
    return obstacle('Progressing', `the ConfigMaps of namespace ${namespace} are being listed`, true)
  if (state !== 'synced') return obstacle('SourceForbidden', openNamespace('ConfigMap', namespace))
  const found = cache.get(`${namespace}/${configMapRef.name}`)
  if (found === undefined)
    return obstacle(
      'SourceMissing',
      `ConfigMap "${configMapRef.name}" does not exist in namespace ${namespace}: create it`,
      true,
    )
  return readConfigMap(found, configMapRef.key)
}

function readConfigMap(object: DataObject, key: string): SourceRead | Obstacle {
  const { name, uid, resourceVersion } = object.metadata
  const files = new Map<string, string>()
  try {
    for (const [encoded, text] of Object.entries(object.data ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const path = decodePath(encoded)
      if (files.has(path)) return obstacle('SourceInvalid', `two keys of ConfigMap "${name}" stand for "${path}"`)
      files.set(path, text)
    }
    const entry = decodePath(key)
    if (!files.has(entry))
      return obstacle('SourceMissing', `ConfigMap "${name}" has no key "${key}": it holds the template`, true)
    return {
      source: { kind: 'files', files, entry },
      revision: resourceVersion,
      identity: `${uid} ${resourceVersion} ${key}`,
      skipped: Object.keys(object.binaryData ?? {}),
    }
  } catch (error) {
    if (error instanceof OrgError) return obstacle('SourceInvalid', `ConfigMap "${name}": ${error.message}`)
    throw error
  }
}
