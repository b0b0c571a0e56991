/**
 * From the facts of a pass to what people read. Pure. Owns the conditions RuntimeResolved, ParentFound, Recorded,
 * Launched, Connected, ImageCurrent, Unsupported and Ready; Reconciling and Stalled follow from the outcome.
 */
import type { WorkspaceCondition, WorkspaceReason } from '../../api/reasons.ts'
import { unsupportedFields, type Workspace, type WorkspaceStatus } from '../../api/workspace.ts'
import type { Observation } from '../../backends/backend.ts'
import type { ConditionDraft, Outcome, StatusDraft, Verdict } from '../../kube/reconciler.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import { capitalise, judgeConnected, judgeLaunched, judgeReady, type Facts } from './judge.ts'
import type { Sight } from './plan.ts'
import type { Obstacle } from './resolve.ts'

type Draft = StatusDraft<WorkspaceStatus>

const condition = (
  type: WorkspaceCondition,
  holds: boolean | 'Unknown',
  reason: WorkspaceReason,
  message: string,
): ConditionDraft => ({ type, status: holds === 'Unknown' ? holds : holds ? 'True' : 'False', reason, message })

export function describe(facts: Facts, outcome: Outcome): Verdict<WorkspaceStatus> {
  const { workspace, desired, row, seen } = facts
  const { intent } = desired
  const launched = judgeLaunched(facts)
  const connected = judgeConnected(facts)
  const ready = judgeReady(facts, launched, connected)
  const conditions: ConditionDraft[] = [
    condition('Ready', ready.holds, ready.reason, ready.message),
    condition('RuntimeResolved', true, 'RuntimeFound', `runtime "${intent.runtime}", model "${intent.model}"`),
    ...(workspace.spec.parentRef
      ? [condition('ParentFound', true, 'Found', `reports to "${workspace.spec.parentRef.name}"`)]
      : []),
    condition('Recorded', true, 'Recorded', `row ${row.id}`),
    condition('Launched', launched.holds, launched.reason, launched.message),
    condition('Connected', connected.holds, connected.reason, connected.message),
    ...imageConditions(facts),
    ...unsupportedCondition(workspace),
  ]
  const status: Draft = {
    workspaceID: row.id,
    phase: row.status,
    runtime: intent.runtime,
    model: intent.model,
    tier: intent.tier,
    effectivePower:
      desired.power === 'stopped' ? { state: 'Paused', reason: 'AsAsked' } : { state: 'Running', reason: 'AsAsked' },
    instance: instanceOf(row, seen),
    ...(row.backend !== 'external' && { image: imageOf(facts) }),
    ...agentOf(workspace, row),
    ...(facts.children.total > 0 && { children: facts.children }),
    summary: outcome.kind === 'blocked' ? `Stalled: ${outcome.message}` : ready.message,
    conditions,
    transition: { to: row.status, reason: ready.reason, actor: actorOf(row, facts.sight) },
  }
  return { status, outcome }
}

/** A pass that could not begin: nothing was made, and what exists stays as it was last seen. */
export function describeObstacle(workspace: Workspace, obstacle: Obstacle, outcome: Outcome): Verdict<WorkspaceStatus> {
  const { condition: type, reason, message } = obstacle
  const known = keptFrom(workspace)
  const status: Draft = {
    ...known,
    summary: outcome.kind === 'blocked' ? `Stalled: ${message}` : capitalise(message),
    conditions: [
      condition('Ready', false, reason, message),
      condition(type, false, reason, message),
      ...unsupportedCondition(workspace),
    ],
    transition: { to: known.phase ?? 'unrecorded', reason, actor: 'user' },
  }
  return { status, outcome }
}

/** Hands off: what was known stays, and says so. */
export function describeSuspended(workspace: Workspace): Verdict<WorkspaceStatus> {
  const known = keptFrom(workspace)
  const message = 'Suspended: spec.suspend is true, so nothing is changed or repaired'
  const kept = (workspace.status?.conditions ?? []).filter(
    ({ type }) => !['Ready', 'Reconciling', 'Stalled'].includes(type),
  )
  const status: Draft = {
    ...known,
    summary: message,
    conditions: [condition('Ready', 'Unknown', 'Suspended', message), ...kept],
    transition: { to: known.phase ?? 'unrecorded', reason: 'Suspended', actor: 'user' },
  }
  return { status, outcome: { kind: 'settled' } }
}

/** On its way out. */
export function describeDeleting(workspace: Workspace, waitingFor: string, outcome: Outcome): Verdict<WorkspaceStatus> {
  const known = keptFrom(workspace)
  const message = `Deleting: waits for ${waitingFor}`
  const status: Draft = {
    ...known,
    phase: 'removed',
    summary: message,
    conditions: [condition('Ready', false, 'Deleting', message)],
    transition: { to: 'removed', reason: 'Deleting', actor: 'user' },
  }
  return { status, outcome }
}

function imageConditions({ row, sight, desired }: Facts): ConditionDraft[] {
  if (row.backend === 'external' || row.backend === 'process') return []
  const current = sight === 'serving' || sight === 'booting'
  return [
    current
      ? condition('ImageCurrent', true, 'ImageCurrent', `runs ${desired.image.ref}`)
      : condition('ImageCurrent', 'Unknown', 'ImageUnknown', 'nothing runs that could be compared'),
  ]
}

function unsupportedCondition({ spec }: Workspace): ConditionDraft[] {
  const fields = unsupportedFields(spec)
  if (fields.length === 0) return []
  const message = `not acted on yet, the rest works: ${fields.join(', ')}`
  return [condition('Unsupported', true, 'NotActedOnYet', message)]
}

function instanceOf(row: WorkspaceRow, seen: Observation): NonNullable<WorkspaceStatus['instance']> {
  const { backend } = row
  if (seen.state !== 'running') return { backend }
  return {
    backend,
    id: seen.id,
    ...(seen.address !== '' && { address: seen.address }),
    specHash: seen.specHash,
    startedAt: rfc3339(seen.startedAt),
  }
}

function imageOf({ desired, row, sight }: Facts): NonNullable<WorkspaceStatus['image']> {
  return {
    ref: desired.image.ref,
    ...(row.imageDigest !== undefined && { digest: row.imageDigest }),
    current: sight === 'serving' || sight === 'booting',
  }
}

/**
 * What the agent says of itself, as of the last change of phase: beats come every thirty seconds, and a beat that changes
 * nothing else is not worth a write.
 */
function agentOf(workspace: Workspace, row: WorkspaceRow): Pick<WorkspaceStatus, 'agent'> {
  const known = workspace.status
  if (known?.agent !== undefined && known.phase === row.status) return { agent: known.agent }
  if (row.lastHeartbeatAt === undefined) return {}
  return {
    agent: {
      lastHeartbeat: rfc3339(row.lastHeartbeatAt),
      activeTasks: row.activeTasks,
      errorRate: row.errorRate,
      ...(row.currentTask !== undefined && row.currentTask !== '' && { currentTask: row.currentTask.slice(0, 1024) }),
    },
  }
}

function actorOf(row: WorkspaceRow, sight: Sight): string {
  if (row.status === 'online' || row.status === 'degraded' || row.status === 'offline') return 'agent'
  return sight === 'crashed' || sight === 'ended' ? 'backend' : 'operator'
}

/** What earlier passes found, for a pass that looked at nothing. */
function keptFrom({
  status,
}: Workspace): Omit<
  WorkspaceStatus,
  'conditions' | 'history' | 'observedGeneration' | 'lastHandledReconcileAt' | 'summary'
> {
  if (status === undefined) return {}
  const {
    conditions: _c,
    history: _h,
    observedGeneration: _o,
    lastHandledReconcileAt: _l,
    summary: _s,
    ...kept
  } = status
  return kept
}

const rfc3339 = (time: Date) => `${time.toISOString().slice(0, 19)}Z`
