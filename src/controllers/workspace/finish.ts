/** The end of a Workspace: the row, the descendants where they go with it, the instance, the finalizer. */
import type { Workspace, WorkspaceStatus } from '../../api/workspace.ts'
import { milliseconds, parseDuration, seconds, type Duration } from '../../duration.ts'
import { RetryAfter } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import type { Context, Verdict } from '../../kube/reconciler.ts'
import type { WorkspaceStore } from '../../store/workspace-store.ts'
import { describeDeleting } from './describe.ts'
import type { PassBackend } from './discreet-backend.ts'
import { again, settled } from './outcome.ts'
import { plan } from './plan.ts'
import { ownerOf, refOf } from './resolve.ts'

export interface FinishCollaborators {
  readonly rows: WorkspaceStore
  /** Throws `Terminal` for a backend that this operator does not have. */
  readonly backend: (name: string) => PassBackend
  /** All below it, at any depth, as the cache has them. */
  readonly descendants: (workspace: Workspace) => readonly Workspace[]
  /** Deletes that very object. */
  readonly destroy: (workspace: Workspace, signal: AbortSignal) => Promise<void>
  /** Whether it is deleted with orphan propagation: all that came of it stays. */
  readonly orphans: (workspace: Workspace) => boolean
}

/** Deletion: the row first, so that no late heartbeat revives it; the instance proved gone; then the finalizer. */
export async function finish(
  workspace: Workspace,
  ctx: Context,
  { rows, backend, descendants, destroy, orphans }: FinishCollaborators,
): Promise<Verdict<WorkspaceStatus>> {
  const orphaned = orphans(workspace)
  const policy = orphaned ? 'Retain' : workspace.spec.deletionPolicy
  const removed = await rows.remove(ownerOf(workspace), ctx.fence, policy)
  failpoint('tombstoned')
  const below = workspace.spec.childrenPolicy === 'Cascade' && !orphaned ? descendants(workspace) : []
  const awaited = withoutCircle(workspace, below)
  if (awaited.length > 0) {
    await prune(below, destroy, ctx)
    failpoint('cascaded')
    return waiting(workspace, `${awaited.length} of its descendants to be gone`, seconds(5))
  }
  if (removed !== undefined && policy === 'Delete') {
    ctx.fence.check()
    const rest = await erase(workspace, () => backend(removed.backend), ctx)
    if (rest !== undefined) {
      const left = patienceLeft(workspace, ctx.now())
      if (left === undefined || left > 0 || !rest.unreachable)
        return waiting(workspace, rest.waitingFor, milliseconds(Math.min(rest.after, left || rest.after)))
      await rows.leak({ ...removed, ownerUid: workspace.metadata.uid, cause: rest.waitingFor }, ctx.fence)
      failpoint('leaked')
      ctx.event(
        'Warning',
        'InstanceLeaked',
        `given up after ${workspace.spec.deletion?.giveUpAfter ?? ''}: waited for ${rest.waitingFor}; it may live on`,
      )
    } else failpoint('erased')
  }
  await ctx.release()
  return describeDeleting(workspace, 'nothing', settled)
}

const waiting = (workspace: Workspace, waitingFor: string, after: Duration) =>
  describeDeleting(workspace, waitingFor, again(after, waitingFor))

/**
 * Where parents form a circle, each is below the other: those that are being deleted already may be waiting for this one,
 * and are not waited for.
 */
function withoutCircle(workspace: Workspace, below: readonly Workspace[]): readonly Workspace[] {
  const byName = new Map(below.map((each) => [each.metadata.name, each]))
  const above = new Set<string>()
  let name = workspace.spec.parentRef?.name
  while (name !== undefined && byName.has(name) && !above.has(name)) {
    above.add(name)
    name = byName.get(name)?.spec.parentRef?.name
  }
  if (name !== workspace.metadata.name) return below
  return below.filter(({ metadata }) => !above.has(metadata.name) || metadata.deletionTimestamp === undefined)
}

/** From the leaves up: those without children go now, the others once their children are gone. */
async function prune(
  below: readonly Workspace[],
  destroy: FinishCollaborators['destroy'],
  ctx: Context,
): Promise<void> {
  const parents = new Set(below.map(({ spec }) => spec.parentRef?.name))
  for (const leaf of below) {
    if (parents.has(leaf.metadata.name) || leaf.metadata.deletionTimestamp !== undefined) continue
    ctx.fence.check()
    await destroy(leaf, ctx.signal)
  }
}

/** How long a deletion still waits for a backend that does not answer; undefined: for ever. */
function patienceLeft({ spec, metadata }: Workspace, now: Date): number | undefined {
  const bound = spec.deletion?.giveUpAfter
  if (bound === undefined) return undefined
  return Math.max(0, Date.parse(metadata.deletionTimestamp ?? '') + parseDuration(bound) - now.getTime())
}

/** What is still to be waited for; undefined: proved gone. `unreachable`: the backend does not answer or is not there. */
interface Rest {
  readonly after: Duration
  readonly waitingFor: string
  readonly unreachable: boolean
}

async function erase(workspace: Workspace, choose: () => PassBackend, ctx: Context): Promise<Rest | undefined> {
  let backend: PassBackend
  try {
    backend = choose()
  } catch (error) {
    if (workspace.spec.deletion === undefined || !(error instanceof Error)) throw error
    return { after: seconds(15), waitingFor: error.message, unreachable: true }
  }
  const ref = refOf(workspace)
  const seen = await backend.observe(ref, ctx.signal)
  if (
    plan(seen.state === 'unknown' ? 'unknown' : seen.state === 'absent' ? 'absent' : 'leftover', 'deleted') === 'wait'
  ) {
    const cause = seen.state === 'unknown' ? ` (${seen.cause})` : ''
    return { after: seconds(15), waitingFor: `backend ${backend.name} to answer${cause}`, unreachable: true }
  }
  try {
    const done = await backend.remove(ref, 'delete', ctx.signal, () => ctx.fence.check())
    if (done === 'gone') return undefined
    return { after: milliseconds(500), waitingFor: 'the instance to be gone', unreachable: false }
  } catch (error) {
    if (!(error instanceof RetryAfter)) throw error
    return { after: error.after, waitingFor: `backend ${backend.name}: ${error.message}`, unreachable: true }
  }
}
