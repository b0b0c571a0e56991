/** Carries out a plan. Every write is idempotent, so a crash between any two is healed by planning again. */
import { workspaceType } from '../../api/workspace.ts'
import { Fenced, reasonOf } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import type { Client } from '../../kube/client.ts'
import { KubeError } from '../../kube/kube-error.ts'
import { dataTypes } from '../references.ts'
import type { FilePlan } from './file-plan.ts'
import type { Action } from './plan.ts'

export type Deed = 'Created' | 'Updated' | 'Unchanged' | 'Failed'

/** What became of a node in this pass. */
export interface Done {
  readonly path: string
  readonly name: string
  readonly deed: Deed
  /** Why it failed. */
  readonly message?: string
}

/** Writes on their way at once. */
const abreast = 32

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
}

/**
 * Workspaces, all of them: one that is refused does not keep the others waiting. Throws only what concerns the pass as
 * a whole: no longer the leader, out of time, or an API server that answers nobody.
 */
export async function applyChildren(actions: readonly Action[], client: Client, signal: AbortSignal): Promise<Done[]> {
  const unreachable: unknown[] = []
  const done = await each(actions, async (action): Promise<Done> => {
    const { path, name } = action.child
    switch (action.kind) {
      case 'keep':
        return { path, name, deed: 'Unchanged' }
      case 'leaving':
        return { path, name, deed: 'Failed', message: 'is being deleted, and is made again once it is gone' }
      case 'taken':
        return { path, name, deed: 'Failed', message: `Workspace "${name}" is not of this import: delete or rename it` }
      case 'create':
      case 'update':
        try {
          await client.apply(workspaceType, action.child.manifest, signal)
          failpoint('applied')
          return { path, name, deed: action.kind === 'create' ? 'Created' : 'Updated' }
        } catch (error) {
          if (error instanceof Fenced || signal.aborted) throw error
          if (error instanceof KubeError && error.code === 0) unreachable.push(error)
          return { path, name, deed: 'Failed', message: reasonOf(error) }
        }
    }
  })
  const tried = actions.filter(({ kind }) => kind === 'create' || kind === 'update').length
  if (tried > 0 && unreachable.length === tried) throw unreachable[0]
  return done
}
