/** One PluginInstall for each distinct plugin of a tree, and what has to happen to those that are there. Pure. */
import { apiVersion, finalizer } from '../../api/meta.ts'
import type { OrgImport } from '../../api/org-import.ts'
import type { PluginInstall } from '../../api/plugin-install.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { Manifest } from '../../kube/client.ts'
import { ownedName } from '../../orgs/names.ts'
import { splitRef } from '../../orgs/plugins.ts'
import { ownerOf, type Child } from './children.ts'
import { digestAnnotation, importLabel } from './marks.ts'
import { covers } from './covers.ts'
import { digestOf, stepOf } from './steps.ts'

/** As many targets as one PluginInstall may name. */
const mostTargets = 512

export type InstallAction =
  | {
      readonly kind: 'install'
      readonly name: string
      readonly source: string
      readonly manifest: Manifest
      readonly step: string
    }
  | {
      readonly kind: 'uninstall'
      readonly name: string
      readonly source: string
      readonly live: PluginInstall
      readonly step: string
    }

export interface InstallPlan {
  /** Distinct plugins of the template. */
  readonly declared: number
  readonly actions: readonly InstallAction[]
}

interface Wanted {
  readonly source: string
  readonly manifest: Manifest
}

type Policy = Pick<OrgImport['spec'], 'existing' | 'update'>

/**
 * By source, the names of the Workspaces that want it. With CreateOnly those that are there keep what they have and get
 * nothing: for that the plugins of a new node must be there before it is.
 */
export function pluginsOf(
  children: readonly Pick<Child, 'node' | 'name' | 'live' | 'stranger'>[],
  leavers: readonly Workspace[],
  { existing, update }: Policy,
  owned: readonly PluginInstall[],
): Map<string, string[]> {
  const plugins = new Map<string, string[]>()
  const add = (source: string, name: string) => plugins.set(source, [...(plugins.get(source) ?? []), name])
  const asTheyAre = new Set(update === 'CreateOnly' ? leavers.map(({ metadata }) => metadata.name) : [])
  for (const { node, name, live, stranger } of children) {
    // What is left as it is gets no plugin either.
    if (stranger !== undefined && existing === 'Ignore') continue
    if (update === 'CreateOnly' && (live ?? stranger) !== undefined) asTheyAre.add(name)
    else for (const source of node.plugins) add(source, name)
  }
  for (const { metadata, spec } of owned)
    if (metadata.deletionTimestamp === undefined)
      for (const name of spec.targets.names ?? []) if (asTheyAre.has(name)) add(entryOf(metadata, spec), name)
  return plugins
}

/** What the template said when it was made: a ref may have been added since, and then it is not the template's. */
function entryOf({ name, labels = {} }: PluginInstall['metadata'], { source, ref }: PluginInstall['spec']): string {
  const whole = `${source}#${ref}`
  const parts = Array.from({ length: mostParts }, (_, part) => installName(labels[importLabel] ?? '', whole, part))
  return ref !== undefined && parts.includes(name) ? whole : source
}

/** `plugins`: source, or source#ref, to the names of the Workspaces that want it. */
export function planInstalls(
  owner: OrgImport,
  plugins: ReadonlyMap<string, readonly string[]>,
  owned: readonly PluginInstall[],
): InstallPlan {
  const wanted = [...plugins].flatMap(([source, names]) => installsOf(owner, source, names))
  const live = new Map(owned.map((each) => [each.metadata.name, each]))
  const kept = new Set(wanted.map(({ manifest }) => manifest.metadata.name))
  const actions: InstallAction[] = []
  for (const { source, manifest } of wanted) {
    const { name } = manifest.metadata
    const present = live.get(name)
    if (present !== undefined && isSame(present, manifest)) continue
    const content = manifest.metadata.annotations?.[digestAnnotation] ?? ''
    actions.push({
      kind: 'install',
      name,
      source,
      manifest,
      step: stepOf('install', present?.metadata ?? { name }, content),
    })
  }
  for (const present of owned) {
    const { name, deletionTimestamp } = present.metadata
    if (kept.has(name) || deletionTimestamp !== undefined) continue
    const { source } = present.spec
    actions.push({ kind: 'uninstall', name, source, live: present, step: stepOf('uninstall', present.metadata) })
  }
  return { declared: plugins.size, actions }
}

/** More than the nodes of any template fill. */
const mostParts = 16

function installName(importUid: string, plugin: string, part: number): string {
  const [source] = splitRef(plugin)
  const last = source.replace(/\/+$/, '').split('/').at(-1) ?? source
  return ownedName(importUid, `\nplugin/${plugin}/${part}`, last)
}

function installsOf(owner: OrgImport, plugin: string, names: readonly string[]): Wanted[] {
  const sorted = names.toSorted()
  const parts = Array.from({ length: Math.ceil(names.length / mostTargets) }, (_, i) =>
    sorted.slice(i * mostTargets, (i + 1) * mostTargets),
  )
  const [source, ref] = splitRef(plugin)
  return parts.map((targets, i) => {
    const spec = { source, ...(ref !== undefined && { ref }), targets: { names: targets } }
    const name = installName(owner.metadata.uid, plugin, i)
    const metadata = {
      name,
      namespace: owner.metadata.namespace ?? '',
      labels: { [importLabel]: owner.metadata.uid },
      annotations: { [digestAnnotation]: digestOf(spec) },
      finalizers: [finalizer],
      ownerReferences: [ownerOf(owner)],
    }
    return { source: plugin, manifest: { apiVersion, kind: 'PluginInstall', metadata, spec } }
  })
}

const isSame = ({ metadata, spec }: PluginInstall, { metadata: wish, spec: wanted }: Manifest): boolean =>
  metadata.annotations?.[digestAnnotation] === wish.annotations?.[digestAnnotation] && covers(spec, wanted)
