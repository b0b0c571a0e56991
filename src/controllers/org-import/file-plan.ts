/** What has to happen to the ConfigMaps that hold an import's files. Pure. */
import { isDeepStrictEqual } from 'node:util'
import type { OrgImport } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { Manifest } from '../../kube/client.ts'
import type { DataObject } from '../references.ts'
import { ownerOf } from './children.ts'
import { importLabel } from './marks.ts'
import { mapNames, mostBytes, planMapName, type Packed } from './packing.ts'

export interface FilePlan {
  readonly apply: readonly Manifest[]
  /** Of this import, and referred to by none of its Workspaces any more. */
  readonly remove: readonly DataObject[]
  /** Names of ConfigMaps that are not of this import. */
  readonly taken: readonly string[]
}

/** The ConfigMaps of this import that are there. */
export function ownedMaps(owner: OrgImport, get: (name: string) => DataObject | undefined): DataObject[] {
  const { uid, name } = owner.metadata
  return [...mapNames(uid, name), planMapName(uid, name)].flatMap((each) => {
    const live = get(each)
    return live?.metadata.labels?.[importLabel] === uid ? [live] : []
  })
}

/**
 * A key that a Workspace still refers to stays until that Workspace has been told otherwise: between the two writes no
 * agent may miss a file. `frozen` Workspaces keep the texts they have.
 */
export function planFiles(
  owner: OrgImport,
  packed: Packed,
  get: (name: string) => DataObject | undefined,
  owned: readonly Workspace[],
  frozen: ReadonlySet<string> = new Set(),
): FilePlan {
  const needed = new Map<string, Set<string>>()
  for (const { spec } of owned)
    for (const { configMapKeyRef } of spec.files ?? []) {
      const keys = needed.get(configMapKeyRef.name) ?? new Set()
      needed.set(configMapKeyRef.name, keys.add(configMapKeyRef.key))
    }
  const apply: Manifest[] = []
  const taken: string[] = []
  for (const [name, wanted] of packed.maps) {
    const live = get(name)
    if (live !== undefined && live.metadata.labels?.[importLabel] !== owner.metadata.uid) {
      taken.push(name)
      continue
    }
    const texts = live?.data ?? {}
    const data = withNeeded(withFrozen(wanted, texts, frozen), texts, needed.get(name) ?? new Set())
    if (live === undefined || !isDeepStrictEqual({ ...live.data }, data)) apply.push(mapManifest(owner, name, data))
  }
  const remove = ownedMaps(owner, get).filter(
    ({ metadata }) => !packed.maps.has(metadata.name) && !needed.has(metadata.name),
  )
  return { apply, remove, taken }
}

function withFrozen(
  wanted: Readonly<Record<string, string>>,
  live: Readonly<Record<string, string>>,
  frozen: ReadonlySet<string>,
): Readonly<Record<string, string>> {
  if (frozen.size === 0) return wanted
  const texts = Object.entries(wanted).flatMap(([key, text]): [string, string][] => {
    // Names have no dots: what is before the first one is the Workspace.
    if (!frozen.has(key.slice(0, key.indexOf('.')))) return [[key, text]]
    const present = live[key]
    return present === undefined ? [] : [[key, present]]
  })
  return Object.fromEntries(texts)
}

function withNeeded(
  wanted: Readonly<Record<string, string>>,
  live: Readonly<Record<string, string>>,
  needed: ReadonlySet<string>,
): Record<string, string> {
  const kept = Object.entries(live).filter(([key]) => needed.has(key) && !Object.hasOwn(wanted, key))
  const data = { ...wanted, ...Object.fromEntries(kept) }
  const bytes = Object.entries(data).reduce((sum, [key, text]) => sum + key.length + Buffer.byteLength(text), 0)
  return bytes <= mostBytes ? data : { ...wanted }
}

/** A ConfigMap of the import's own. */
export const mapManifest = (owner: OrgImport, name: string, data: Record<string, string>): Manifest => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name,
    namespace: owner.metadata.namespace ?? '',
    labels: { [importLabel]: owner.metadata.uid },
    ownerReferences: [ownerOf(owner)],
  },
  data,
})
