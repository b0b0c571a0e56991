/** Carries out a plan. Every write is idempotent, so a crash between any two is healed by planning again. */
import { pluginInstallType } from '../../api/plugin-install.ts'
import { keyOf } from '../../api/meta.ts'
import { workspaceType } from '../../api/workspace.ts'
import { seconds } from '../../duration.ts'
import { Fenced, reasonOf } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import type { Client } from '../../kube/client.ts'
import { KubeError } from '../../kube/kube-error.ts'
import { dataTypes } from '../references.ts'
import { applyChild } from './apply-child.ts'
import type { FilePlan } from './file-plan.ts'
import type { InstallPlan } from './installs.ts'
import type { Action, Departure, Write } from './plan.ts'
import type { Turn } from './turns.ts'

export type Deed =
  | 'Created'
  | 'Updated'
  | 'Renamed'
  | 'Moved'
  | 'Adopted'
  | 'Ignored'
  | 'Unchanged'
  /** Its turn to start has not come. */
  | 'Waiting'
  | 'Failed'

/** What became of a node in this pass. */
export interface Done {
  readonly path: string
  readonly name: string
  readonly deed: Deed
  /** Its Workspace was there before. */
  readonly existed: boolean
  /** Why it failed, or waits. */
  readonly message?: string
}

/** Writes on their way at once. */
const abreast = 32

/** Workspaces written in one pass, and how long it begins new ones: it ends in time and says what it did. */
const mostAtOnce = 1000
const beginsFor = seconds(20)

/** Runs `work` over all items, a few at a time, in order; the results in the order of the items. */
export async function each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const queue = items.entries()
  const worker = async () => {
    for (const [i, item] of queue) results[i] = await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(abreast, items.length) }, worker))
  return results
}

/** Files first, so that no workspace starts without them. A failure is thrown: nothing else would be right. */
export async function applyFiles({ apply, remove }: FilePlan, client: Client, signal: AbortSignal): Promise<void> {
  await each(apply, (manifest) => client.apply(dataTypes.ConfigMap, manifest, signal))
  await each(remove, ({ metadata }) =>
    client.delete(dataTypes.ConfigMap, `${metadata.namespace ?? ''}/${metadata.name}`, metadata.uid, signal),
  )
  if (apply.length + remove.length > 0) failpoint('filed')
}

/**
 * Workspaces, all of them, level by level: none is sent before the answer for its parent is there, and one that is refused
 * does not keep the others waiting. Throws only what concerns the pass as a whole: no longer the leader, out of time, or
 * an API server that answers nobody. In the order of the actions.
 */
export async function applyChildren(
  actions: readonly Action[],
  client: Client,
  signal: AbortSignal,
  turn?: Turn,
  now = () => performance.now(),
): Promise<Done[]> {
  const over = now() + beginsFor
  let tried = 0
  const unreachable: unknown[] = []
  const answered = new Map<string, Promise<Done>>()
  let left = Math.min(turn?.given ?? mostAtOnce, mostAtOnce)
  const carryOut = async (action: Action): Promise<Done> => {
    const { path, name, parentName } = action.child
    const node = { path, name, existed: action.kind !== 'create' && action.kind !== 'leaving' }
    if (!isWrite(action)) return { ...node, ...withoutWrite(action) }
    if (left <= 0 || now() > over) return { ...node, deed: 'Waiting', message: 'waits for its turn to start' }
    left--
    tried++
    try {
      await answered.get(parentName ?? '')
      await applyChild(action, client, signal)
      failpoint('applied')
      return { ...node, deed: deedOf[action.kind] }
    } catch (error) {
      if (error instanceof Fenced || signal.aborted) throw error
      if (error instanceof KubeError && error.code === 0) unreachable.push(error)
      return { ...node, deed: 'Failed', message: reasonOf(error) }
    } finally {
      turn?.landed()
    }
  }
  await each(byLevel(actions), (action) => {
    const answer = carryOut(action)
    answered.set(action.child.name, answer)
    return answer
  })
  if (tried > 0 && unreachable.length === tried) throw unreachable[0]
  return await Promise.all(actions.flatMap(({ child }) => answered.get(child.name) ?? []))
}

function byLevel(actions: readonly Action[]): Action[] {
  const levels = new Map<string, number>()
  const levelOf = (action: Action) => levels.get(action.child.name) ?? 0
  // Parents stand before their children, so theirs is known.
  for (const { child } of actions) levels.set(child.name, (levels.get(child.parentName ?? '') ?? -1) + 1)
  return actions.toSorted((a, b) => levelOf(a) - levelOf(b))
}

/** Whether the Workspace itself is written. */
export const isWrite = (action: Action): action is Write =>
  action.kind === 'create' || ('apply' in action && action.apply)

const deedOf: Readonly<Record<Write['kind'], Deed>> = {
  create: 'Created',
  update: 'Updated',
  rename: 'Renamed',
  move: 'Moved',
  adopt: 'Adopted',
}

function withoutWrite(action: Action): Pick<Done, 'deed' | 'message'> {
  switch (action.kind) {
    case 'ignore':
      return { deed: 'Ignored' }
    case 'leaving':
      return { deed: 'Failed', message: 'is being deleted, and is made again once it is gone' }
    case 'clash':
      return { deed: 'Failed', message: `Workspace "${action.child.name}" is of ${action.whose}` }
    // Its files were written already.
    case 'update':
      return { deed: 'Updated' }
    case 'keep':
    case 'create':
    case 'rename':
    case 'move':
    case 'adopt':
      return { deed: 'Unchanged' }
  }
}

export async function applyInstalls({ actions }: InstallPlan, client: Client, signal: AbortSignal): Promise<void> {
  await each(actions, async (action) => {
    if (action.kind === 'install') await client.apply(pluginInstallType, action.manifest, signal)
    else await client.delete(pluginInstallType, keyOf(action.live), action.live.metadata.uid, signal)
    failpoint('equipped')
  })
}

/** Deletes what left, the lowest first. */
export async function prune(departures: readonly Departure[], client: Client, signal: AbortSignal): Promise<string[]> {
  const leaving = departures.filter(({ kind }) => kind === 'prune')
  return await each(leaving, async ({ live }) => {
    await client.delete(workspaceType, keyOf(live), live.metadata.uid, signal)
    failpoint('pruned')
    return live.metadata.name
  })
}
