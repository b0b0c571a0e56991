/** What makes a pass of an OrgImport: its own changes, its Workspaces, and what it reads. */
import { keyOf, type Key } from '../../api/meta.ts'
import type { OrgImport } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import { milliseconds } from '../../duration.ts'
import type { Client } from '../../kube/client.ts'
import type { Controller } from '../../kube/controller.ts'
import type { Followed } from '../../kube/followed.ts'
import type { Informer } from '../../kube/informer.ts'
import type { DataKind, DataObject, References } from '../references.ts'
import { importLabel } from './children.ts'
import { standing } from './describe.ts'
import type { OrgImportCollaborators } from './reconcile.ts'

/** Index `import` of the Workspace informer: uids of the imports that a Workspace says it is from. */
export const importIndex = ({ metadata }: Workspace): readonly string[] => {
  const uid = metadata.labels?.[importLabel]
  return uid === undefined ? [] : [uid]
}

/** Indexes that the OrgImport informer must be made with. */
export const orgImportIndexes = {
  uid: ({ metadata }: OrgImport) => [metadata.uid],
  /** `Secret/namespace/name`: what it reads. */
  reference: (org: OrgImport) =>
    referencesOf(org).map(({ kind, name }) => `${kind}/${org.metadata.namespace ?? ''}/${name}`),
  namespace: ({ metadata }: OrgImport) => [metadata.namespace ?? ''],
} as const

function referencesOf({ spec }: OrgImport): { kind: DataKind; name: string }[] {
  const refs = [{ configMapRef: spec.source.configMapRef, secretRef: undefined }, ...(spec.env?.from ?? [])]
  return refs.flatMap(({ secretRef, configMapRef }): { kind: DataKind; name: string }[] => {
    if (secretRef) return [{ kind: 'Secret', name: secretRef.name }]
    return configMapRef ? [{ kind: 'ConfigMap', name: configMapRef.name }] : []
  })
}

interface Sources {
  readonly orgImports: Informer<OrgImport>
  readonly workspaces: Informer<Workspace>
  readonly data: Readonly<Record<DataKind, Followed<DataObject>>>
  readonly references: References
}

/** The reconciler's view of caches. */
export const orgImportViews = (
  { workspaces, data, references }: Omit<Sources, 'orgImports'>,
  client: Client,
): OrgImportCollaborators => ({
  client,
  workspace: (namespace, name) => workspaces.cache.get(`${namespace}/${name}`),
  labelled: (uid) => workspaces.cache.byIndex('import', uid),
  configMaps: (namespace) => data.ConfigMap.in(namespace),
  references,
})

/** Passes by what happened around an import. */
export function watchAroundOrgImports(
  controller: Controller<OrgImport>,
  { orgImports, workspaces, data }: Sources,
): void {
  const keys = (index: keyof typeof orgImportIndexes, value: string) =>
    orgImports.cache.byIndex(index, value).map(keyOf)
  const soon = (uid: string) => {
    for (const key of keys('uid', uid))
      controller.enqueueAfter(key, calm(workspaces.cache.byIndex('import', uid).length))
  }

  workspaces.onChange(({ before, after }) => {
    if (before !== undefined && after !== undefined && sameMeaning(before, after)) return
    for (const uid of new Set([before, after].flatMap((each) => (each ? importIndex(each) : [])))) soon(uid)
  })
  for (const kind of ['Secret', 'ConfigMap'] as const) {
    controller.watch(data[kind], ({ key, before, after }): Iterable<Key> => {
      const owner = (after ?? before)?.metadata.labels?.[importLabel]
      return [...keys('reference', `${kind}/${key}`), ...(owner === undefined ? [] : keys('uid', owner))]
    })
    data[kind].onState((namespace) => {
      for (const key of keys('namespace', namespace)) controller.enqueue(key)
    })
  }
}

/** Many children come up at once: their import looks at them together, the more of them the less often. */
const calm = (children: number) => milliseconds(Math.min(1000, 100 + children))

/** Heartbeats and the like change nothing that an import shows. */
function sameMeaning(before: Workspace, after: Workspace): boolean {
  const [was, is] = [before.metadata, after.metadata]
  const [stood, stands] = [standing(before), standing(after)]
  return (
    was.uid === is.uid &&
    was.generation === is.generation &&
    was.deletionTimestamp === is.deletionTimestamp &&
    was.labels?.[importLabel] === is.labels?.[importLabel] &&
    was.ownerReferences?.length === is.ownerReferences?.length &&
    before.status?.phase === after.status?.phase &&
    stood.state === stands.state &&
    stood.message === stands.message
  )
}
