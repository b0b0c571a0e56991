/** The ConfigMaps that an import made, or is about to make. */
import type { OrgImport } from '../../api/org-import.ts'
import type { Lookup } from '../../kube/followed-namespace.ts'
import { openNamespace, tooMuchReferred, type DataObject } from '../references.ts'
import type { Obstacle } from './obstacle.ts'
import { mapNames, planMapName } from './packing.ts'

export type LookAtConfigMap = (namespace: string, name: string) => Lookup<DataObject>

/** All names that the ConfigMaps of an import can have, and what is known of each. */
export interface OwnMaps {
  readonly get: (name: string) => DataObject | undefined
  /** Why what is known is not the whole; undefined when it is. */
  readonly lack: 'syncing' | 'forbidden' | { readonly name: string; readonly limit: string } | undefined
}

export function ownMaps({ metadata: { uid, name: own, namespace = '' } }: OrgImport, look: LookAtConfigMap): OwnMaps {
  const found = new Map<string, DataObject>()
  let lack: OwnMaps['lack']
  for (const name of [...mapNames(uid, own), planMapName(uid, own)]) {
    const seen = look(namespace, name)
    switch (seen.state) {
      case 'found':
        found.set(name, seen.object)
        break
      case 'missing':
        break
      case 'forbidden':
      case 'noKind':
        return { get: () => undefined, lack: 'forbidden' }
      case 'exceeded':
        lack = { name, limit: seen.limit }
        break
      case 'syncing':
        lack ??= 'syncing'
    }
  }
  return { get: (name) => found.get(name), lack }
}

/** What the import says of it. */
export function lackOfMaps(lack: NonNullable<OwnMaps['lack']>, namespace: string): Obstacle {
  const obstacle = (reason: Obstacle['reason'], message: string, waits: boolean): Obstacle => ({
    condition: 'Applied',
    reason,
    message,
    waits,
  })
  if (lack === 'syncing') return obstacle('Progressing', 'the ConfigMaps of the import are being read', true)
  if (lack === 'forbidden') return obstacle('ConfigMapForbidden', openNamespace('ConfigMap', namespace), false)
  return obstacle('QuotaExceeded', tooMuchReferred('ConfigMap', lack.name, namespace, lack.limit), false)
}
