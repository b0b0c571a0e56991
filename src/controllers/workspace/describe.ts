/**
 * From the facts of a pass to what people read. Pure. Owns the conditions RuntimeResolved, ParentFound, Recorded,
 * Launched, Connected, ImageCurrent, Unsupported and Ready; Reconciling and Stalled follow from the outcome.
 */
import type { WorkspaceCondition, WorkspaceReason } from '../../api/reasons.ts'
import { unsupportedFields, type Workspace, type WorkspaceStatus } from '../../api/workspace.ts'
import type { Observation } from '../../backends/backend.ts'
import { formatDuration, type Duration } from '../../duration.ts'
import type { ConditionDraft, Outcome, StatusDraft, Verdict } from '../../kube/reconciler.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import type { Sight, Wish } from './plan.ts'
import type { Desired, Obstacle } from './resolve.ts'

type Draft = StatusDraft<WorkspaceStatus>

/** All that a pass learned once the row was recorded. */
export interface Facts {
  readonly workspace: Workspace
  readonly desired: Desired
  readonly row: WorkspaceRow
  readonly seen: Observation
  readonly sight: Sight
  readonly wish: Wish
  /** Until the next launch may happen. */
  readonly hold: Duration
  /** What only the user can mend, found while acting. */
  readonly refusal?: { readonly reason: string; readonly message: string }
  /** What the launch has to wait for, as the backend said: an image that is being pulled. */
  readonly delay?: { readonly after: Duration; readonly why: string }
  readonly children: { readonly total: number; readonly ready: number }
}

const condition = (
  type: WorkspaceCondition,
  holds: boolean | 'Unknown',
  reason: WorkspaceReason,
  message: string,
): ConditionDraft => ({ type, status: holds === 'Unknown' ? holds : holds ? 'True' : 'False', reason, message })

interface Judgement {
  readonly reason: WorkspaceReason
  readonly message: string
}

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

function judgeLaunched({
  row,
  delay,
  seen,
  sight,
  wish,
  hold,
  desired,
  refusal,
}: Facts): Judgement & { holds: boolean | 'Unknown' } {
  if (row.backend === 'external')
    return { holds: true, reason: 'External', message: 'the agent is run by its owner: there is nothing to launch' }
  if (refusal !== undefined) return { holds: false, reason: 'LaunchFailed', message: refusal.message }
  if (delay !== undefined) return { holds: false, reason: 'Starting', message: delay.why }
  const failure = row.lastError ?? 'it ended'
  switch (sight) {
    case 'unknown':
      return {
        holds: 'Unknown',
        reason: 'BackendUnreachable',
        message: `backend ${row.backend} does not answer: ${seen.state === 'unknown' ? seen.cause : ''}`,
      }
    case 'booting':
    case 'serving':
      return { holds: true, reason: 'Running', message: `instance ${shortId(row.instanceId)} on ${row.backend}` }
    case 'overdue':
    case 'silent':
      return {
        holds: false,
        reason: 'BootDeadlineExceeded',
        message: `the agent did not register within ${formatDuration(desired.bootDeadline)}: ${failure}`,
      }
    case 'crashed':
    case 'ended':
      return { holds: false, reason: 'InstanceExited', message: failure }
    case 'outdated':
      return {
        holds: false,
        reason: 'Replacing',
        message: 'the instance is being replaced: what it was started with changed',
      }
    case 'stopping':
      return { holds: false, reason: 'Stopping', message: 'the instance is stopping' }
    case 'created':
    case 'starting':
      return { holds: false, reason: 'Starting', message: `the instance is starting on ${row.backend}` }
    case 'absent':
      if (wish === 'stopped') return { holds: false, reason: 'Paused', message: 'paused: there is no instance' }
      if (hold > 0 && row.lastError !== undefined) return { holds: false, reason: 'BackingOff', message: failure }
      return { holds: false, reason: 'Starting', message: `the instance is starting on ${row.backend}` }
  }
}

function judgeConnected({ row, wish, sight }: Facts): Judgement & { holds: boolean } {
  if (wish === 'stopped') return { holds: false, reason: 'Paused', message: 'paused: no agent is expected' }
  const running = row.backend === 'external' || sight === 'serving'
  switch (row.status) {
    case 'online':
      if (running) return { holds: true, reason: 'Registered', message: 'the agent is registered and beats' }
      break
    case 'degraded':
      if (running)
        return {
          holds: true,
          reason: 'AgentDegraded',
          message: `the agent beats, but fails: ${row.lastError ?? 'it says it is wedged'}`,
        }
      break
    case 'offline':
      return { holds: false, reason: 'HeartbeatLost', message: 'the agent has fallen silent' }
    case 'awaiting_agent':
    case 'provisioning':
    case 'failed':
    case 'paused':
    case 'hibernating':
    case 'hibernated':
    case 'removed':
      break
  }
  return { holds: false, reason: 'AwaitingRegistration', message: 'the agent has not registered yet' }
}

function judgeReady(
  { wish, sight, row, hold }: Facts,
  launched: Judgement & { holds: boolean | 'Unknown' },
  connected: Judgement & { holds: boolean },
): Judgement & { holds: boolean } {
  if (wish === 'stopped')
    return sight === 'absent'
      ? { holds: true, reason: 'Paused', message: 'Paused: there is no instance, its configuration is kept' }
      : { holds: false, reason: 'Stopping', message: 'Pausing: the instance is being stopped' }
  if (launched.holds !== true) {
    const retry =
      hold > 0 && launched.reason !== 'Starting'
        ? `; tried again after a wait (attempt ${row.launchAttempts} failed)`
        : ''
    return { holds: false, reason: launched.reason, message: `${capitalise(launched.message)}${retry}` }
  }
  if (connected.reason === 'AgentDegraded')
    return { holds: false, reason: 'AgentDegraded', message: capitalise(connected.message) }
  if (!connected.holds) return { holds: false, reason: connected.reason, message: capitalise(connected.message) }
  return { holds: true, reason: 'Settled', message: 'Online: the agent is registered and beats' }
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

const shortId = (id: string | undefined) => (id ?? 'unknown').slice(0, 12)
const capitalise = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
const rfc3339 = (time: Date) => `${time.toISOString().slice(0, 19)}Z`
