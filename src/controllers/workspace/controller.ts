/** What makes a pass of a Workspace: its own changes, and those of everything it rests on. */
import { isDeepStrictEqual } from 'node:util'
import { keyOf, type Key } from '../../api/meta.ts'
import type { PluginInstall } from '../../api/plugin-install.ts'
import type { Runtime } from '../../api/runtime.ts'
import { workspaceType, type Workspace } from '../../api/workspace.ts'
import type { Backend } from '../../backends/backend.ts'
import { milliseconds } from '../../duration.ts'
import type { Cache, Change, Client } from '../../kube/client.ts'
import type { Controller } from '../../kube/controller.ts'
import type { Followed } from '../../kube/followed.ts'
import type { Informer } from '../../kube/informer.ts'
import type { WorkspaceStore } from '../../store/workspace-store.ts'
import { isPaused, type Fleet } from '../fleet.ts'
import type { DataKind, DataObject, References } from '../references.ts'
import { referencesOf } from './environment.ts'
import { configMapOf, type Catalog } from './template.ts'
import { peersOf, type Member } from './canaries.ts'
import type { WorkspaceCollaborators } from './reconcile.ts'
import type { Surroundings } from './resolve.ts'
import { WorkspaceQuota } from './quota.ts'
import { Rollout, type Group } from './rollout.ts'

const namespaceOf = ({ metadata }: Workspace) => metadata.namespace ?? ''
const siblingIndex = (ws: Workspace) =>
  `${namespaceOf(ws)}/${ws.spec.parentRef?.name ?? ''}/${ws.spec.displayName ?? ws.metadata.name}`

/** Whether the API server has this very object, in the generation and with the spec that the cache has, and not on its way out. */
export async function confirmed(client: Client, workspace: Workspace, signal: AbortSignal): Promise<boolean> {
  const found = await client.get(workspaceType, keyOf(workspace), signal)
  return (
    found?.metadata.uid === workspace.metadata.uid &&
    found.metadata.generation === workspace.metadata.generation &&
    found.metadata.deletionTimestamp === undefined &&
    isDeepStrictEqual(found.spec, workspace.spec)
  )
}

/** Indexes that the Workspace informer must be made with. */
export const workspaceIndexes = {
  parent: (ws: Workspace) => (ws.spec.parentRef ? [`${namespaceOf(ws)}/${ws.spec.parentRef.name}`] : []),
  sibling: (ws: Workspace) => [siblingIndex(ws)],
  /** The Runtime asked for; empty for the default one. */
  runtime: (ws: Workspace) => [ws.spec.runtime ?? ''],
  reference: (ws: Workspace) =>
    [...referencesOf(ws.spec)].map((reference) => reference.replace('/', `/${namespaceOf(ws)}/`)),
  namespace: (ws: Workspace) => [namespaceOf(ws)],
  /** `namespace/` and the Runtime asked for; nothing for the default one. */
  peers: (ws: Workspace) => [`${namespaceOf(ws)}/${ws.spec.runtime ?? ''}`],
  /** `Secret/namespace`: who has to look again when a namespace is opened. */
  referring: (ws: Workspace) => [
    ...new Set([...referencesOf(ws.spec)].map((reference) => `${reference.split('/')[0] ?? ''}/${namespaceOf(ws)}`)),
  ],
} as const

/** Indexes that the Runtime informer must be made with: `ConfigMap/namespace/name` of a template, in the operator's namespace. */
export const runtimeIndexes = (home: string) => ({
  reference: ({ spec }: Runtime) => {
    const name = configMapOf(spec.template?.ref)
    return name === undefined ? [] : [`ConfigMap/${home}/${name}`]
  },
  referring: ({ spec }: Runtime) => (configMapOf(spec.template?.ref) === undefined ? [] : [`ConfigMap/${home}`]),
})

interface Sources {
  readonly workspaces: Informer<Workspace>
  /** With the index `reference`. */
  readonly runtimes: Informer<Runtime>
  /** With the index `target`. */
  readonly pluginInstalls: Informer<PluginInstall>
  readonly data: Readonly<Record<DataKind, Followed<DataObject>>>
  readonly references: References
  readonly fleet: Fleet
  /** The operator's own namespace. */
  readonly home: string
}

type Views = Pick<
  WorkspaceCollaborators,
  'surroundings' | 'children' | 'onRecord' | 'descendants' | 'fleet' | 'rollout' | 'peers' | 'canaries' | 'installs'
>

/**
 * The reconciler's view of caches. `most`: how many Workspaces of a namespace are acted on. `wake` is called for those that
 * may be waiting for what another has just done.
 */
export function workspaceViews(
  { workspaces, runtimes, references, pluginInstalls, fleet, home }: Sources,
  most: number,
  wake: (key: Key) => void,
): Views {
  const catalog: Catalog = { namespace: home, look: (name) => references.look('ConfigMap', home, name) }
  const quota = new WorkspaceQuota(most, workspaces, wake)
  const { cache } = workspaces
  const childrenOf = (ws: Workspace) => cache.byIndex('parent', keyOf(ws))
  const members = ({ namespace, runtime }: Group): Member[] =>
    [runtime, ''].flatMap((asked) =>
      cache
        .byIndex('peers', `${namespace}/${asked}`)
        .map((workspace) => ({ workspace, result: fleet.of(workspace) }))
        // Of those that ask for the default Runtime, all but the ones that have got another.
        .filter(({ result }) => asked !== '' || result?.runtime === undefined || result.runtime === runtime),
    )
  /** Whose parent had no row when last asked. Most children of a new parent come with it, and need no second pass. */
  const orphaned = new Set<Key>()
  workspaces.onChange(({ key, after }) => void (after ?? orphaned.delete(key)))
  return {
    surroundings: (ws): Surroundings => ({
      runtimes: new Map([...runtimes.cache.values()].map((runtime) => [runtime.metadata.name, runtime])),
      sibling: (name) => workspaces.cache.get(`${namespaceOf(ws)}/${name}`),
      look: (kind, name) => references.look(kind, namespaceOf(ws), name),
      catalog,
      quotaExceeded: quota.exceeded(ws) ? quota.limit : undefined,
    }),
    children: (ws) => {
      const results = childrenOf(ws).map((child) => fleet.of(child))
      const ready = results.filter((result) => result?.ready === true).length
      // After a start the count rises with each pass: until all have passed it does not fall below what was shown.
      const shown = results.includes(undefined) ? (ws.status?.children?.ready ?? 0) : 0
      return { total: results.length, ready: Math.max(ready, Math.min(shown, results.length)) }
    },
    onRecord: (ws, recorded) => {
      if (recorded.kind === 'parentMissing') orphaned.add(keyOf(ws))
      else orphaned.delete(keyOf(ws))
      if (recorded.kind !== 'recorded' || !recorded.changed) return
      for (const child of childrenOf(ws)) if (orphaned.has(keyOf(child))) wake(keyOf(child))
    },
    descendants: (ws) => below(cache, ws),
    fleet,
    rollout: new Rollout(wake),
    peers: (group) => peersOf(members(group)),
    installs: (target) => pluginInstalls.cache.byIndex('target', target),
    canaries: ({ namespace, runtime }) =>
      [namespace, ...canaryNamespaces(runtimes.cache.get(runtime), namespace)].flatMap((each) =>
        members({ namespace: each, runtime }).filter(({ workspace }) => workspace.spec.updateRing === 'canary'),
      ),
  }
}

/** All below one, at any depth; a cycle is walked once. */
function below(cache: Cache<Workspace>, top: Workspace): Workspace[] {
  const found = new Map<Key, Workspace>()
  const walk = (ws: Workspace) => {
    for (const child of cache.byIndex('parent', keyOf(ws))) {
      if (child === top || found.has(keyOf(child))) continue
      found.set(keyOf(child), child)
      walk(child)
    }
  }
  walk(top)
  return [...found.values()]
}

/** Those above one that are on their way out: a cascade waits for its leaves. */
function* endingAbove(cache: Cache<Workspace>, ws: Workspace): Iterable<Key> {
  const seen = new Set<Key>()
  for (let name = ws.spec.parentRef?.name; name !== undefined;) {
    const key: Key = `${namespaceOf(ws)}/${name}`
    const above = seen.has(key) ? undefined : cache.get(key)
    seen.add(key)
    if (above?.metadata.deletionTimestamp !== undefined) yield key
    name = above?.spec.parentRef?.name
  }
}

/** Passes by what happened around a Workspace. */
export function watchAround(
  controller: Controller<Workspace>,
  { workspaces, runtimes, pluginInstalls, data, fleet }: Sources,
): void {
  const cache = workspaces.cache
  /** Those that may have a template of a Runtime. */
  const usersOf = (index: 'reference' | 'referring', value: string) =>
    runtimes.cache
      .byIndex(index, value)
      .flatMap(({ metadata }) => keys('runtime', metadata.name).concat(keys('runtime', '')))
  const keys = (index: keyof typeof workspaceIndexes, value: string) => cache.byIndex(index, value).map(keyOf)

  controller.watch(workspaces, ({ key, before, after }) => {
    const freed = before !== undefined && (after === undefined || siblingIndex(before) !== siblingIndex(after))
    const cameOrWent = before?.metadata.uid !== after?.metadata.uid
    const concerned = freed ? keys('sibling', siblingIndex(before)) : []
    // All below follow what is asked of it.
    if (cameOrWent) concerned.push(...keys('parent', key))
    if (after !== undefined && asked(before) !== asked(after)) concerned.push(...below(cache, after).map(keyOf))
    if (before !== undefined && after === undefined) concerned.push(...endingAbove(cache, before))
    if (before !== undefined && after === undefined) fleet.forget(before)
    return concerned
  })
  fleet.onChange((workspace, before, after) => {
    // Children follow what their parent became.
    if (isPaused(before) !== isPaused(after))
      for (const key of keys('parent', keyOf(workspace))) controller.enqueue(key)
    const parent = parentOf(workspace)
    if (parent !== undefined && before?.ready !== after?.ready) controller.enqueueAfter(parent, untilTheSecond())
    const cameUp = after?.ready === true && before?.ready !== true
    if (!cameUp || workspace.spec.updateRing !== 'canary' || after.runtime === undefined) return
    // Others of its Runtime may be waiting for the canary.
    const runtime = runtimes.cache.get(after.runtime)
    const everywhere = runtime?.spec.canaryNamespaces?.includes(namespaceOf(workspace)) === true
    for (const asked of [after.runtime, '']) {
      const waiting = everywhere ? keys('runtime', asked) : keys('peers', `${namespaceOf(workspace)}/${asked}`)
      for (const key of waiting) controller.enqueue(key, 'resync')
    }
  })
  workspaces.onChange((change) => {
    for (const parent of parentsToRecount(change)) controller.enqueueAfter(parent, untilTheSecond())
  })
  controller.watch(runtimes, ({ key, before, after }) => {
    if (before !== undefined && after !== undefined && before.metadata.generation === after.metadata.generation)
      return []
    return [...keys('runtime', key), ...keys('runtime', '')]
  })
  controller.watch(pluginInstalls, ({ before, after }) =>
    before?.metadata.generation === after?.metadata.generation && before?.metadata.deletionTimestamp === undefined
      ? []
      : [before, after].flatMap((install) => (install === undefined ? [] : targetsOf(install, cache))),
  )
  for (const kind of ['Secret', 'ConfigMap'] as const) {
    controller.watch(data[kind], ({ key }) => {
      const reference = `${kind}/${key}`
      return [...keys('reference', reference), ...usersOf('reference', reference)]
    })
    data[kind].onState((namespace) => {
      const referring = `${kind}/${namespace}`
      for (const key of [...keys('referring', referring), ...usersOf('referring', referring)]) controller.enqueue(key)
    })
  }
}

/** Namespaces beside its own whose canaries a workspace waits for. */
const canaryNamespaces = (runtime: Runtime | undefined, own: string): readonly string[] =>
  (runtime?.spec.canaryNamespaces ?? []).filter((namespace) => namespace !== own)

/** Workspaces that a PluginInstall may be for: of a selector all of its namespace, who then look for themselves. */
function targetsOf(install: PluginInstall, cache: Cache<Workspace>): Key[] {
  const { namespace = '' } = install.metadata
  const named = (install.spec.targets.names ?? []).map((name): Key => `${namespace}/${name}`)
  if (install.spec.targets.selector === undefined) return named
  return [...named, ...cache.byIndex('namespace', namespace).map(keyOf)]
}

/** All of a spec that the power of descendants rests on. */
const asked = (ws: Workspace | undefined) =>
  ws && `${ws.spec.power} ${JSON.stringify(ws.spec.lifetime ?? {})} ${ws.spec.parentRef?.name ?? ''}`

/** All parents in the same moment, whose rows are then one statement. */
const untilTheSecond = () => milliseconds(1000 - (performance.now() % 1000))

const parentOf = (ws: Workspace | undefined): Key | undefined =>
  ws?.spec.parentRef && `${namespaceOf(ws)}/${ws.spec.parentRef.name}`

/** A parent shows how many children it has: it is told once a second, of many of them. */
function parentsToRecount({ before, after }: Change<Workspace>): readonly Key[] {
  const [was, is] = [parentOf(before), parentOf(after)]
  return was === is ? [] : [was, is].filter((key) => key !== undefined)
}

/** Passes by what instances and agents did, until the signal aborts. */
export async function followOutside(
  controller: Controller<Workspace>,
  workspaces: Informer<Workspace>,
  backends: Iterable<Backend>,
  rows: Pick<WorkspaceStore, 'changes'>,
  signal: AbortSignal,
): Promise<void> {
  const instances = [...backends].map(async (backend) => {
    for await (const { namespace, name } of backend.changes(signal)) controller.enqueue(`${namespace}/${name}`)
  })
  /** A row that was lost says nothing by itself. */
  const lookAtAll = () => {
    for (const workspace of workspaces.cache.values()) controller.enqueue(keyOf(workspace), 'resync')
  }
  const agents = async () => {
    for await (const { namespace, resourceName } of rows.changes(signal, lookAtAll))
      controller.enqueue(`${namespace}/${resourceName}`)
  }
  await Promise.all([...instances, agents()])
}
