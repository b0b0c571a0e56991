/** What an import has to do: the nodes of the template against the Workspaces that are there. Pure. */
import { createHash } from 'node:crypto'
import type { Workspace } from '../../api/workspace.ts'
import { digestAnnotation, importLabel, type Child } from './children.ts'

export type Action =
  | { readonly kind: 'create'; readonly child: Child }
  | { readonly kind: 'update' | 'keep'; readonly child: Child; readonly live: Workspace }
  /** Being deleted by somebody: made again once it is gone. */
  | { readonly kind: 'leaving'; readonly child: Child; readonly live: Workspace }
  /** The name belongs to a Workspace that is not of this import: it is never touched. */
  | { readonly kind: 'taken'; readonly child: Child; readonly live: Workspace }

export interface Plan {
  readonly actions: readonly Action[]
  /** Workspaces of this import whose node left the template. They live on. */
  readonly orphans: readonly Workspace[]
  /** Names this plan: the same world gives the same digest. */
  readonly digest: string
}

export interface World {
  readonly importUid: string
  readonly live: (name: string) => Workspace | undefined
  /** Workspaces with this import's label. */
  readonly owned: readonly Workspace[]
  /** Whether a change of the template reaches Workspaces that exist. */
  readonly converge: boolean
}

export function planOf(children: readonly Child[], { importUid, live, owned, converge }: World): Plan {
  const actions = children.map((child): Action => {
    const present = live(child.name)
    if (present === undefined) return { kind: 'create', child }
    if (present.metadata.labels?.[importLabel] !== importUid) return { kind: 'taken', child, live: present }
    if (present.metadata.deletionTimestamp !== undefined) return { kind: 'leaving', child, live: present }
    return { kind: converge && !isAsApplied(present, child) ? 'update' : 'keep', child, live: present }
  })
  const wanted = new Set(children.map(({ name }) => name))
  const orphans = owned.filter(({ metadata }) => !wanted.has(metadata.name))
  const steps = actions.filter(({ kind }) => kind !== 'keep').map(({ kind, child }) => [kind, child.name, child.digest])
  return { actions, orphans, digest: createHash('sha256').update(JSON.stringify(steps)).digest('hex').slice(0, 32) }
}

/** What was applied last is what is wanted now, and nobody has changed it since. */
export function isAsApplied({ metadata, spec }: Workspace, { digest, manifest }: Child): boolean {
  if (metadata.annotations?.[digestAnnotation] !== digest) return false
  const owner = manifest.metadata.ownerReferences?.[0]?.uid
  return metadata.ownerReferences?.some(({ uid }) => uid === owner) === true && covers(spec, manifest.spec)
}

/**
 * Whether all that `wanted` says is in `live`. What it does not say (defaults, fields of others) is none of its concern;
 * a list of objects may hold more than it asks for, a list of plain values may not.
 */
export function covers(live: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(live)) return false
    const plain = wanted.every((item) => typeof item !== 'object' || item === null)
    if (plain && live.length !== wanted.length) return false
    return wanted.every((item, i) =>
      plain ? live[i] === item : covers(live[i], item) || live.some((other) => covers(other, item)),
    )
  }
  if (typeof wanted !== 'object' || wanted === null) return live === wanted
  if (typeof live !== 'object' || live === null) return false
  const present = new Map(Object.entries(live))
  return Object.entries(wanted).every(([key, value]) => covers(present.get(key), value))
}
