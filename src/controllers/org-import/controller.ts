/** What makes a pass of an OrgImport: its own changes, its Workspaces, and what it reads. */
import { isDeepStrictEqual } from 'node:util'
import { keyOf, type Key, type KubeObject } from '../../api/meta.ts'
import type { OrgImport } from '../../api/org-import.ts'
import type { PluginInstall } from '../../api/plugin-install.ts'
import type { Runtime } from '../../api/runtime.ts'
import type { Workspace } from '../../api/workspace.ts'
import { milliseconds } from '../../duration.ts'
import type { Cache, Change } from '../../kube/client.ts'
import type { Controller, Source } from '../../kube/controller.ts'
import type { Followed } from '../../kube/followed.ts'
import type { Informer } from '../../kube/informer.ts'
import { splitKey } from '../../kube/raw.ts'
import { isStarting, type Fleet } from '../fleet.ts'
import { fluxKinds, type FluxKind, type FluxSource } from '../flux-sources.ts'
import type { DataKind, DataObject, References } from '../references.ts'
import { digestAnnotation, idAnnotation, importLabel, nodeAnnotation } from './marks.ts'
import type { Catalog } from './catalog.ts'
import type { OrgImportCollaborators } from './collaborators.ts'
import { Conflicts } from './conflicts.ts'
import { alike } from './standing.ts'
import { Turns } from './turns.ts'

/** UIDs of the imports that own an object. A label alone proves nothing: every tenant can write one. */
export const importIndex = ({ metadata }: KubeObject): readonly string[] =>
  (metadata.ownerReferences ?? []).flatMap(({ kind, uid }) => (kind === 'OrgImport' ? [uid] : []))

/** Indexes that the Workspace informer must be made with, beside those of the Workspace controller. */
export const childIndexes = {
  import: importIndex,
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
  /** The namespace of those that build around Workspaces of others. */
  ignoring: ({ metadata, spec }: OrgImport) => (spec.existing === 'Ignore' ? [metadata.namespace ?? ''] : []),
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
  }: Pick<OrgImportCollaborators, 'client' | 'metrics' | 'orphans' | 'sources'> & {
    /** Workspaces of imports that may be starting at once, in all namespaces together. */
    readonly maxStarting: number
  },
): Omit<OrgImportCollaborators, 'defaultBackend' | 'defaultHost'> => ({
  ...rest,
  workspace: (namespace, name) => workspaces.cache.get(`${namespace}/${name}`),
  result: (workspace) => fleet.of(workspace),
  siblings: (namespace, parent, displayName) =>
    workspaces.cache.byIndex('place', placeOf(namespace, parent, displayName)),
  owned: ({ metadata }) =>
    workspaces.cache.byIndex('import', metadata.uid).filter((live) => live.metadata.namespace === metadata.namespace),
  catalog: () => catalogOf([...runtimes.cache.values()]),
  installs: ({ metadata }) =>
    pluginInstalls.cache
      .byIndex('import', metadata.uid)
      .filter((live) => live.metadata.namespace === metadata.namespace),
  importOf: (uid) => orgImports.cache.byIndex('uid', uid)[0],
  onGone: (listener) =>
    orgImports.onChange(({ before, after }) => {
      if (before !== undefined && after === undefined) listener(before)
    }),
  configMap: (namespace, name) => data.ConfigMap.look(namespace, name),
  fluxSource: (kind, namespace, name) => flux[kind].look(namespace, name),
  references,
  turns: new Turns({ starting: startingByNamespace(workspaces, fleet), cap }),
  conflicts: new Conflicts(),
})

function catalogOf(runtimes: readonly Runtime[]): Catalog {
  const [only, ...others] = runtimes.filter(({ spec }) => spec.default).map(({ metadata }) => metadata.name)
  return {
    runtimes: new Map(runtimes.map(({ metadata, spec }) => [metadata.name, spec])),
    standard: others.length > 0 ? undefined : only,
  }
}

/** Counts those of any import that are starting, as changes come: an import asks at each of its passes. */
export function startingByNamespace(
  workspaces: Source<Change<Workspace>> & { readonly cache: Pick<Cache<Workspace>, 'get'> },
  fleet: Fleet,
): () => ReadonlyMap<string, number> {
  const starting = new Set<Key>()
  const counts = new Map<string, number>()
  const look = (key: Key) => {
    const live = workspaces.cache.get(key)
    const is = live !== undefined && importIndex(live).length > 0 && isStarting(live, fleet.of(live))
    if (is === starting.has(key)) return
    if (is) starting.add(key)
    else starting.delete(key)
    const [namespace = ''] = splitKey(key)
    const count = (counts.get(namespace) ?? 0) + (is ? 1 : -1)
    if (count === 0) counts.delete(namespace)
    else counts.set(namespace, count)
  }
  workspaces.onChange(({ key }) => look(key))
  fleet.onChange((workspace) => look(keyOf(workspace)))
  return () => counts
}

/** Passes by what happened around an import. */
export function watchAroundOrgImports(
  controller: Controller<OrgImport>,
  { orgImports, workspaces, pluginInstalls, runtimes, data, flux, fleet }: Sources,
  { turns, conflicts }: Pick<OrgImportCollaborators, 'turns' | 'conflicts'>,
): void {
  const keys = (index: keyof typeof orgImportIndexes, value: string) =>
    orgImports.cache.byIndex(index, value).map(keyOf)
  /** Imports that own it, or may show it; in its own namespace, whatever owner it names. */
  const concerned = (object: KubeObject | undefined): Key[] => {
    if (object === undefined) return []
    const { namespace = '' } = object.metadata
    const owners = importIndex(object).flatMap((uid) => keys('uid', uid))
    return [...owners.filter((owner) => splitKey(owner)[0] === namespace), ...keys('ignoring', namespace)]
  }
  const soon = (...objects: readonly (KubeObject | undefined)[]) => {
    for (const key of new Set(objects.flatMap(concerned))) {
      const uid = orgImports.cache.get(key)?.metadata.uid ?? ''
      controller.enqueueAfter(key, calm(workspaces.cache.countByIndex('import', uid)))
    }
  }

  workspaces.onChange(({ key, before, after }) => {
    if (before === undefined || after === undefined) for (const org of keys('above', key)) controller.enqueue(org)
    if (before !== undefined && after !== undefined && sameMeaning(before, after)) return
    soon(before, after)
  })
  fleet.onChange((live, before, after) => {
    if (!alike(before, after)) soon(live)
    // One that has come up, or is gone, may leave its place to another.
    const cameUp = isStarting(live, before) && (after === undefined || !isStarting(live, after))
    if (cameUp) for (const org of turns.waiting) controller.enqueue(org)
  })
  pluginInstalls.onChange(({ before, after }) => {
    if (before?.metadata.generation === after?.metadata.generation) return
    soon(before, after)
  })
  // One that comes, or has other models, may be what an import waits for.
  controller.watch(runtimes, ({ before, after }) =>
    before?.metadata.generation === after?.metadata.generation ? [] : [...orgImports.cache.values()].map(keyOf),
  )
  // What goes, is given away or takes another place may have been in the way.
  const freed = (namespace = '') => {
    for (const key of conflicts.in(namespace)) controller.enqueueAfter(key, calm(0))
  }
  workspaces.onChange(({ before, after }) => {
    if (before === undefined) return
    const moved = before.metadata.generation !== after?.metadata.generation
    if (after === undefined || moved || !sameOwners(before, after)) freed(before.metadata.namespace)
  })
  orgImports.onChange(({ before, after }) => {
    if (before !== undefined && after === undefined) freed(before.metadata.namespace)
  })
  for (const kind of ['Secret', 'ConfigMap'] as const) {
    controller.watch(data[kind], ({ key, mark }): Iterable<Key> => {
      const [namespace] = splitKey(key)
      if (kind === 'ConfigMap') freed(namespace)
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

/** How it stands is told by its passes, whatever its status says. */
function sameMeaning(before: Workspace, after: Workspace): boolean {
  const [was, is] = [before.metadata, after.metadata]
  return (
    was.uid === is.uid &&
    was.generation === is.generation &&
    was.deletionTimestamp === is.deletionTimestamp &&
    was.labels?.[importLabel] === is.labels?.[importLabel] &&
    sameOwners(before, after) &&
    marks.every((mark) => was.annotations?.[mark] === is.annotations?.[mark])
  )
}
