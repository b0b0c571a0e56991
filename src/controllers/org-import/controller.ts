/** What makes a pass of an OrgImport: its own changes, its Workspaces, and what it reads. */
import { isDeepStrictEqual } from 'node:util'
import { keyOf, type Key, type KubeObject } from '../../api/meta.ts'
import type { OrgImport } from '../../api/org-import.ts'
import type { PluginInstall } from '../../api/plugin-install.ts'
import type { Runtime } from '../../api/runtime.ts'
import type { Workspace } from '../../api/workspace.ts'
import { milliseconds } from '../../duration.ts'
import type { Cache } from '../../kube/client.ts'
import type { Controller } from '../../kube/controller.ts'
import type { Followed } from '../../kube/followed.ts'
import type { Informer } from '../../kube/informer.ts'
import { splitKey } from '../../kube/raw.ts'
import { isStarting, type Fleet } from '../fleet.ts'
import { fluxKinds, type FluxKind, type FluxSource } from '../flux-sources.ts'
import type { DataKind, DataObject, References } from '../references.ts'
import { digestAnnotation, idAnnotation, importLabel, nodeAnnotation } from './marks.ts'
import type { OrgImportCollaborators } from './collaborators.ts'
import { standing } from './standing.ts'
import { Turns } from './turns.ts'

/** UIDs of the imports that own an object. A label alone proves nothing: anybody can write one. */
export const importIndex = ({ metadata }: KubeObject): readonly string[] =>
  (metadata.ownerReferences ?? []).flatMap(({ kind, uid }) => (kind === 'OrgImport' ? [uid] : []))

/** Indexes that the Workspace informer must be made with, beside those of the Workspace controller. */
export const childIndexes = {
  import: importIndex,
  /** Those of any import. */
  imported: (live: Workspace) => (importIndex(live).length > 0 ? ['all'] : []),
  place: (live: Workspace) => [
    placeOf(live.metadata.namespace ?? '', live.spec.parentRef?.name, live.spec.displayName ?? live.metadata.name),
  ],
} as const

const placeOf = (namespace: string, parent: string | undefined, displayName: string) =>
  `${namespace}/${parent ?? ''}/${displayName}`

/** Indexes that the OrgImport informer must be made with. */
export const orgImportIndexes = {
  uid: ({ metadata }: OrgImport) => [metadata.uid],
  /** `Secret/namespace/name` and the like: what it reads. */
  reference: (org: OrgImport) =>
    referencesOf(org).map(({ kind, name }) => `${kind}/${org.metadata.namespace ?? ''}/${name}`),
  namespace: ({ metadata }: OrgImport) => [metadata.namespace ?? ''],
  /** `namespace/name` of the Workspace under which the tree goes. */
  above: ({ metadata, spec }: OrgImport) =>
    spec.target?.parentRef === undefined ? [] : [`${metadata.namespace ?? ''}/${spec.target.parentRef.name}`],
} as const

type Reference = { readonly kind: DataKind | FluxKind; readonly name: string }

function referencesOf({ spec }: OrgImport): Reference[] {
  const { configMapRef, git, sourceRef } = spec.source
  const refs = [
    { configMapRef, secretRef: undefined },
    { configMapRef: undefined, secretRef: git?.secretRef },
    { configMapRef: undefined, secretRef: git?.verify?.secretRef },
    ...(spec.env?.from ?? []),
    ...(spec.secretsFrom ?? []).map(({ secretRef }) => ({ secretRef, configMapRef: undefined })),
  ]
  const data = refs.flatMap(({ secretRef, configMapRef }): Reference[] => {
    if (secretRef) return [{ kind: 'Secret', name: secretRef.name }]
    return configMapRef ? [{ kind: 'ConfigMap', name: configMapRef.name }] : []
  })
  return sourceRef === undefined ? data : [...data, sourceRef]
}

interface Sources {
  readonly orgImports: Informer<OrgImport>
  readonly workspaces: Informer<Workspace>
  readonly pluginInstalls: Informer<PluginInstall>
  readonly runtimes: Informer<Runtime>
  readonly data: Readonly<Record<DataKind, Followed<DataObject>>>
  readonly flux: Readonly<Record<FluxKind, Followed<FluxSource>>>
  readonly references: References
  readonly fleet: Fleet
}

/** The reconciler's view of caches. */
export const orgImportViews = (
  { orgImports, workspaces, pluginInstalls, runtimes, data, flux, references, fleet }: Sources,
  {
    maxStarting: cap,
    ...rest
  }: Pick<OrgImportCollaborators, 'client' | 'metrics' | 'sources'> & {
    /** Workspaces of imports that may be starting at once, in all namespaces together. */
    readonly maxStarting: number
  },
): OrgImportCollaborators => ({
  ...rest,
  workspace: (namespace, name) => workspaces.cache.get(`${namespace}/${name}`),
  siblings: (namespace, parent, displayName) =>
    workspaces.cache.byIndex('place', placeOf(namespace, parent, displayName)),
  owned: ({ metadata }) =>
    workspaces.cache.byIndex('import', metadata.uid).filter((live) => live.metadata.namespace === metadata.namespace),
  runtimes: () => new Set([...runtimes.cache.values()].map(({ metadata }) => metadata.name)),
  installs: ({ metadata }) =>
    pluginInstalls.cache
      .byIndex('import', metadata.uid)
      .filter((live) => live.metadata.namespace === metadata.namespace),
  importOf: (uid) => orgImports.cache.byIndex('uid', uid)[0],
  configMap: (namespace, name) => data.ConfigMap.look(namespace, name),
  fluxSource: (kind, namespace, name) => flux[kind].look(namespace, name),
  references,
  turns: new Turns({ starting: () => startingByNamespace(workspaces.cache, fleet), cap }),
})

function startingByNamespace(cache: Cache<Workspace>, fleet: Fleet): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const live of cache.byIndex('imported', 'all')) {
    const { namespace = '' } = live.metadata
    if (isStarting(live, fleet.of(live))) counts.set(namespace, (counts.get(namespace) ?? 0) + 1)
  }
  return counts
}

/** Passes by what happened around an import. */
export function watchAroundOrgImports(
  controller: Controller<OrgImport>,
  { orgImports, workspaces, pluginInstalls, runtimes, data, flux, fleet }: Sources,
  turns: Turns,
): void {
  const keys = (index: keyof typeof orgImportIndexes, value: string) =>
    orgImports.cache.byIndex(index, value).map(keyOf)
  const soon = (uid: string) => {
    for (const key of keys('uid', uid))
      controller.enqueueAfter(key, calm(workspaces.cache.byIndex('import', uid).length))
  }

  workspaces.onChange(({ key, before, after }) => {
    if (before === undefined || after === undefined) for (const org of keys('above', key)) controller.enqueue(org)
    if (before !== undefined && after !== undefined && sameMeaning(before, after)) return
    for (const uid of new Set([before, after].flatMap((each) => (each ? importIndex(each) : [])))) soon(uid)
  })
  fleet.onChange((live, before, after) => {
    // One that has come up, or is gone, may leave its place to another.
    const cameUp = isStarting(live, before) && (after === undefined || !isStarting(live, after))
    if (cameUp) for (const org of turns.waiting) controller.enqueue(org)
  })
  pluginInstalls.onChange(({ before, after }) => {
    if (before?.metadata.generation === after?.metadata.generation) return
    for (const uid of new Set([before, after].flatMap((each) => (each ? importIndex(each) : [])))) soon(uid)
  })
  // One that comes may be what an import waits for.
  controller.watch(runtimes, ({ before }) => (before === undefined ? [...orgImports.cache.values()].map(keyOf) : []))
  for (const kind of ['Secret', 'ConfigMap'] as const) {
    controller.watch(data[kind], ({ key, mark }): Iterable<Key> => {
      const [namespace] = splitKey(key)
      // Anybody can write the label, and must not wake the imports of other namespaces.
      const owners = mark === undefined ? [] : keys('uid', mark).filter((owner) => splitKey(owner)[0] === namespace)
      return [...keys('reference', `${kind}/${key}`), ...owners]
    })
    data[kind].onState((namespace) => {
      for (const key of keys('namespace', namespace)) controller.enqueue(key)
    })
  }
  for (const kind of fluxKinds) {
    controller.watch(flux[kind], ({ key }) => keys('reference', `${kind}/${key}`))
    flux[kind].onState((namespace) => {
      for (const key of keys('namespace', namespace)) controller.enqueue(key)
    })
  }
}

/** Many children come up at once: their import looks at them together, the more of them the less often. */
const calm = (children: number) => milliseconds(Math.min(1000, 100 + children))

const marks = [digestAnnotation, nodeAnnotation, idAnnotation]
const sameOwners = (before: Workspace, after: Workspace) =>
  isDeepStrictEqual(before.metadata.ownerReferences, after.metadata.ownerReferences)

/** Heartbeats and the like change nothing that an import shows. */
function sameMeaning(before: Workspace, after: Workspace): boolean {
  const [was, is] = [before.metadata, after.metadata]
  const [stood, stands] = [standing(before), standing(after)]
  return (
    was.uid === is.uid &&
    was.generation === is.generation &&
    was.deletionTimestamp === is.deletionTimestamp &&
    was.labels?.[importLabel] === is.labels?.[importLabel] &&
    sameOwners(before, after) &&
    marks.every((mark) => was.annotations?.[mark] === is.annotations?.[mark]) &&
    before.status?.phase === after.status?.phase &&
    before.status?.parts?.schedules === after.status?.parts?.schedules &&
    before.status?.parts?.channels === after.status?.parts?.channels &&
    stood.state === stands.state &&
    stood.message === stands.message
  )
}
