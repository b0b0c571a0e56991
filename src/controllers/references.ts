/** What specs refer to in their own namespace: Secrets and ConfigMaps. */
import type { Key, KubeObject } from '../api/meta.ts'
import type { ResourceType } from '../kube/client.ts'

export type DataKind = 'Secret' | 'ConfigMap'

/** What a look at a Secret or ConfigMap found. `forbidden`: nobody has opened the namespace to the operator. */
export type Found =
  | { readonly state: 'found'; readonly keys: readonly string[]; value(key: string): Uint8Array | undefined }
  | { readonly state: 'missing' }
  | { readonly state: 'forbidden' }
  | { readonly state: 'syncing' }

/** Looks into caches alone: a namespace is followed from the first look on. */
export interface References {
  look(kind: DataKind, namespace: string, name: string): Found
}

/** A Secret or ConfigMap: `data` (base64 in Secrets) and a ConfigMap's `binaryData`. */
export interface DataObject extends KubeObject<undefined, Record<string, never>> {
  readonly data?: Readonly<Record<string, string>>
  readonly binaryData?: Readonly<Record<string, string>>
}

const dataType = (kind: DataKind, plural: string): ResourceType<DataObject> => ({
  group: '',
  version: 'v1',
  kind,
  plural,
  namespaced: true,
  parse: (raw) => raw as DataObject,
})
export const dataTypes: Readonly<Record<DataKind, ResourceType<DataObject>>> = {
  Secret: dataType('Secret', 'secrets'),
  ConfigMap: dataType('ConfigMap', 'configmaps'),
}

/** What `informers.follow` gives: a cache of one kind in one namespace, and whether it can be believed. */
export interface Followed {
  readonly state: 'syncing' | 'synced' | 'forbidden' | 'missing'
  readonly cache: { get(key: Key): DataObject | undefined }
}

export function createReferences(follow: (kind: DataKind, namespace: string) => Followed): References {
  return {
    look(kind, namespace, name) {
      const { state, cache } = follow(kind, namespace)
      if (state === 'syncing') return { state }
      if (state !== 'synced') return { state: 'forbidden' }
      const object = cache.get(`${namespace}/${name}`)
      return object === undefined ? { state: 'missing' } : found(kind, object)
    },
  }
}

function found(kind: DataKind, object: DataObject): Found {
  const { data = {}, binaryData = {} } = object
  return {
    state: 'found',
    keys: [...Object.keys(data), ...Object.keys(binaryData)].sort(),
    value(key) {
      const text = data[key]
      if (text !== undefined) return Buffer.from(text, kind === 'Secret' ? 'base64' : 'utf8')
      const bytes = binaryData[key]
      return bytes === undefined ? undefined : Buffer.from(bytes, 'base64')
    },
  }
}

/** What to do about a namespace that nobody has opened. */
export const openNamespace = (kind: DataKind, namespace: string): string =>
  `the operator may not read ${kind}s in namespace ${namespace}: create there the RoleBinding molecule-references for ClusterRole molecule-references (examples/open-namespace.yaml)`
