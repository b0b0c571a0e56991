/** How the Workspace of a node stands. Pure. */
import type { Workspace } from '../../api/workspace.ts'

export interface Standing {
  readonly state: 'ready' | 'coming' | 'failed'
  readonly message: string
}

/** What it says itself, for the generation it has now. */
export function standing(live: Workspace | undefined): Standing {
  const of = (type: string) => live?.status?.conditions?.find((each) => each.type === type)
  const [ready, stalled] = [of('Ready'), of('Stalled')]
  if (live === undefined) return { state: 'coming', message: 'does not exist yet' }
  if (ready?.status === 'True' && live.status?.observedGeneration === live.metadata.generation)
    return { state: 'ready', message: ready.message }
  if (stalled?.status === 'True') return { state: 'failed', message: stalled.message }
  if (live.status?.phase === 'failed') return { state: 'failed', message: ready?.message ?? 'failed' }
  return { state: 'coming', message: ready?.message ?? 'not looked at yet' }
}
