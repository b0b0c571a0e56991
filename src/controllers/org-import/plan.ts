/** What an import has to do: the nodes of the template against the Workspaces that are there. Pure. */
import type { OrgImportSpec } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { Child } from './children.ts'
import { differing, heldByOthers, isAsApplied } from './covers.ts'
import type { InstallPlan } from './installs.ts'
import { digestAnnotation } from './marks.ts'
import { isExcluded, pathOf } from './match.ts'
import { digestOfSteps, stepOf } from './steps.ts'

/** `step` names what would be done, to which version of which object; it is another one when either is. */
export type Action =
  | { readonly kind: 'create'; readonly child: Child; readonly step: string }
  | Change
  | { readonly kind: 'keep'; readonly child: Child; readonly live: Workspace }
  /** Being deleted: made again once it is gone. */
  | { readonly kind: 'leaving'; readonly child: Child; readonly live: Workspace }
  /** Not of this import, and left alone: the template's children go below it. */
  | { readonly kind: 'ignore'; readonly child: Child; readonly live: Workspace }
  /** Not of this import, and in the way. */
  | { readonly kind: 'clash'; readonly child: Child; readonly live: Workspace; readonly whose: string }

export interface Change {
  readonly kind: 'update' | 'rename' | 'move' | 'adopt'
  readonly child: Child
  readonly live: Workspace
  /** For people: `tier`, `files`. */
  readonly changes: readonly string[]
  /** False when only texts of files change: the Workspace itself needs no write. */
  readonly apply: boolean
  /** True: it becomes one of this import, and its spec stays what it is. */
  readonly asIs?: boolean
  readonly step: string
}

/** What a Workspace is written for. */
export type Write = Extract<Action, { kind: 'create' }> | Change

/** A Workspace of this import whose node left the template. */
export interface Departure {
  readonly kind: 'orphan' | 'prune'
  readonly live: Workspace
  /** Of a prune. */
  readonly step: string | undefined
}

export interface Plan {
  readonly actions: readonly Action[]
  readonly departures: readonly Departure[]
  readonly installs: InstallPlan
  /** Of everything that would be written. */
  readonly steps: readonly string[]
  /** Names this plan: the same world gives the same digest. */
  readonly digest: string
  /** As in World. */
  readonly spent: string | undefined
}

export interface World {
  readonly policy: Pick<OrgImportSpec, 'existing' | 'update' | 'prune' | 'exclude'>
  readonly leavers: readonly Workspace[]
  readonly installs: InstallPlan
  /** Whose a Workspace is, for people; undefined when it has no owner. */
  readonly whose: (live: Workspace) => string | undefined
  /** Whether the texts of the node's files differ from those that are there. */
  readonly filesChange: (child: Child) => boolean
  /** Digest of the last plan that was carried out because a person approved it. */
  readonly spent?: string | undefined
}

export function planOf(children: readonly Child[], world: World): Plan {
  const actions = children.map((child) => actionOf(child, world))
  const departures = world.leavers
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((live) => departureOf(live, world))
    .toSorted((a, b) => depth(b.live) - depth(a.live))
  const steps = [...actions, ...departures, ...world.installs.actions].flatMap((each) =>
    'step' in each && each.step !== undefined ? [each.step] : [],
  )
  const { installs, spent } = world
  return { actions, departures, installs, steps, digest: digestOfSteps(steps, spent), spent }
}

function actionOf(child: Child, world: World): Action {
  const { live, stranger } = child
  if (stranger !== undefined) return meet(child, stranger, world)
  const content = `${child.digest} ${child.filesDigest}`
  if (live === undefined) return { kind: 'create', child, step: stepOf('create', { name: child.name }, content) }
  if (live.metadata.deletionTimestamp !== undefined) return { kind: 'leaving', child, live }
  if (world.policy.update === 'CreateOnly') return { kind: 'keep', child, live }
  const apply = !isAsApplied(live, child)
  const files = world.filesChange(child)
  if (!apply && !files) return { kind: 'keep', child, live }
  const kind = apply ? kindOf(child, live) : 'update'
  return {
    kind,
    child,
    live,
    apply,
    changes: changesOf(child, live, files),
    step: stepOf(kind, live.metadata, content),
  }
}

/** A Workspace of the same name under the same parent that is not of this import. */
function meet(child: Child, live: Workspace, { policy, whose }: World): Action {
  const owner = whose(live)
  switch (policy.existing) {
    case 'Ignore':
      return { kind: 'ignore', child, live }
    case 'Fail':
      return { kind: 'clash', child, live, whose: owner ?? 'nobody: spec.existing: Adopt would take it over' }
    case 'Adopt': {
      if (owner !== undefined) return { kind: 'clash', child, live, whose: owner }
      const asIs = policy.update === 'CreateOnly'
      const step = stepOf('adopt', live.metadata, asIs ? 'as it is' : `${child.digest} ${child.filesDigest}`)
      return { kind: 'adopt', child, live, apply: true, asIs, changes: asIs ? [] : changesOf(child, live, false), step }
    }
  }
}

/**
 * Whether the action gives a Workspace the runtime and the model of its node. What is not written keeps those that it has, and
 * so does what is written where another field manager holds them.
 */
export function givesModel(action: Action): boolean {
  switch (action.kind) {
    case 'create':
    case 'leaving':
      return true
    case 'keep':
    case 'ignore':
    case 'clash':
      return false
    case 'update':
    case 'rename':
    case 'move':
    case 'adopt': {
      const { live, child, apply, asIs } = action
      const held = heldByOthers(live)
      return (
        apply &&
        asIs !== true &&
        (['runtime', 'model'] as const).some(
          (field) =>
            live.spec[field] !== child.node.spec[field] && !(held.has(field) && live.spec[field] !== undefined),
        )
      )
    }
  }
}

function kindOf({ path, parentName, manifest }: Child, live: Workspace): Change['kind'] {
  if (pathOf(live) === path) return 'update'
  if (live.spec.parentRef?.name !== parentName) return 'move'
  return live.spec.displayName === manifest.spec['displayName'] ? 'update' : 'rename'
}

function changesOf(child: Child, live: Workspace, files: boolean): string[] {
  const { manifest, path } = child
  const before = new Map<string, unknown>(Object.entries(live.spec))
  const changes = differing(live, manifest.spec).map((field) => {
    const [was, is] = [before.get(field), manifest.spec[field]]
    return isShort(was) && isShort(is) ? `${field} ${show(was)} → ${show(is)}` : field
  })
  const was = pathOf(live)
  if (was !== undefined && was !== path) changes.unshift(`was ${was}`)
  if (files) changes.push('texts of files')
  return changes.length > 0 ? changes : withdrawn(child, live)
}

/** All that the template says is there, and yet it is not what was applied: it says less than before. */
function withdrawn({ manifest, digest }: Child, live: Workspace): string[] {
  if (live.metadata.annotations?.[digestAnnotation] === digest) return ['marks of this import']
  const shorter = Object.entries(live.spec).flatMap(([field, was]) => {
    const is = manifest.spec[field]
    return Array.isArray(was) && Array.isArray(is) && is.length < was.length ? [field] : []
  })
  return shorter.length > 0 ? shorter : ['fields that the template no longer names']
}

const isShort = (value: unknown) =>
  ['string', 'number', 'boolean', 'undefined'].includes(typeof value) && show(value).length <= 60
const show = (value: unknown) => (value === undefined ? 'nothing' : JSON.stringify(value))

function departureOf(live: Workspace, { policy }: World): Departure {
  // An excluded node is no longer managed by the import, and its Workspace stays.
  if (policy.prune === 'Orphan' || isExcluded(live, policy.exclude)) return { kind: 'orphan', live, step: undefined }
  return { kind: 'prune', live, step: stepOf('prune', live.metadata) }
}

const depth = (live: Workspace) => (pathOf(live) ?? '').split('/').length
