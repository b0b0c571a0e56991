/** What specs refer to in their own namespace: Secrets and ConfigMaps. */
import { forAgents, type KubeObject } from '../api/meta.ts'
import type { Cache, Change, ResourceType } from '../kube/client.ts'
import type { FollowOptions } from '../kube/followed.ts'
import type { Lookup } from '../kube/followed-namespace.ts'
import type { Source } from '../kube/controller.ts'
import { splitKey } from '../kube/raw.ts'

export type DataKind = 'Secret' | 'ConfigMap'

/** What a look at a Secret or ConfigMap found. `forbidden`: nobody has opened the namespace to the operator. */
export type Found =
  | { readonly state: 'found'; readonly keys: readonly string[]; value(key: string): Uint8Array | undefined }
  | { readonly state: 'missing' | 'forbidden' | 'syncing' }
  /** A Secret without the label that this operator asks for. */
  | { readonly state: 'unlabelled' }
  /** More is referred to than the operator holds of a namespace, or of all; `limit` says which. */
  | { readonly state: 'exceeded'; readonly limit: string }

/** Looks into caches alone: what is not there yet is read from the first look on. */
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

export function createReferences(
  look: (kind: DataKind, namespace: string, name: string) => Lookup<DataObject>,
  labelledSecretsOnly = false,
): References {
  return {
    look(kind, namespace, name) {
      const seen = look(kind, namespace, name)
      if (seen.state === 'found')
        return labelledSecretsOnly && kind === 'Secret' && seen.object.metadata.labels?.[forAgents] !== 'true'
          ? { state: 'unlabelled' }
          : found(kind, seen.object)
      if (seen.state === 'exceeded') return seen
      return { state: seen.state === 'noKind' ? 'forbidden' : seen.state }
    },
  }
}

function found(kind: DataKind, object: DataObject): Found {
  const { data = {}, binaryData = {} } = object
  return {
    state: 'found',
    keys: [...Object.keys(data), ...Object.keys(binaryData)].sort(),
    value(key) {
      // Own keys alone: "constructor" is a valid key of a Secret.
      if (Object.hasOwn(data, key)) return Buffer.from(data[key] ?? '', kind === 'Secret' ? 'base64' : 'utf8')
      return Object.hasOwn(binaryData, key) ? Buffer.from(binaryData[key] ?? '', 'base64') : undefined
    },
  }
}

/** What to do about a namespace that nobody has opened. */
export const openNamespace = (kind: DataKind, namespace: string): string =>
  `the operator may not read ${kind}s in namespace ${namespace}: create there the RoleBinding molecule-references for ClusterRole molecule-references (examples/open-namespace.yaml)`

/** What to do about a Secret that is not meant for agents. */
export const labelSecret = (name: string): string =>
  `Secret "${name}" may not be referred to: this operator gives out those alone that are labelled ${forAgents}=true`

/** What to do about a namespace that refers to more than is held. */
export const tooMuchReferred = (kind: DataKind, name: string, namespace: string, limit: string): string =>
  `${kind} "${name}" is not read: what is referred to in namespace ${namespace} exceeds the limit of ${limit}; refer to less, or make it smaller`

interface Referrer extends Source<Change<KubeObject>> {
  readonly cache: Pick<Cache<KubeObject>, 'byIndex' | 'countByIndex'>
}

/** Workspaces and Runtimes, with the indexes `reference` and `referring`, and OrgImports, with `reference`, `namespace` and `uid`. */
export interface Referrers {
  readonly workspaces: Referrer
  readonly runtimes: Referrer
  readonly orgImports: Referrer
}

/** What of a kind is to be held: what a spec names, and what an OrgImport of the same namespace has made. */
export function interestIn(
  kind: string,
  { workspaces, runtimes, orgImports }: Referrers,
): Pick<FollowOptions<KubeObject>, 'referred' | 'concerned'> {
  const ofImports = orgImports.cache
  return {
    referred: (key, mark) =>
      workspaces.cache.countByIndex('reference', `${kind}/${key}`) > 0 ||
      runtimes.cache.countByIndex('reference', `${kind}/${key}`) > 0 ||
      ofImports.countByIndex('reference', `${kind}/${key}`) > 0 ||
      (mark !== undefined &&
        ofImports.byIndex('uid', mark).some(({ metadata }) => metadata.namespace === splitKey(key)[0])),
    concerned: (namespace) =>
      workspaces.cache.countByIndex('referring', `${kind}/${namespace}`) > 0 ||
      runtimes.cache.countByIndex('referring', `${kind}/${namespace}`) > 0 ||
      ofImports.countByIndex('namespace', namespace) > 0,
  }
}

/** Tells of the namespaces in which references may have gone: of a Runtime it is `home`, the operator's own. */
export function onReferencesGone(
  { workspaces, runtimes, orgImports }: Referrers,
  home: string,
  tell: (namespace: string) => void,
): void {
  const listen = ({ before, after }: Change<KubeObject>) => {
    if (before === undefined || before.metadata.generation === after?.metadata.generation) return
    tell(before.metadata.namespace ?? home)
  }
  workspaces.onChange(listen)
  runtimes.onChange(listen)
  orgImports.onChange(listen)
}
