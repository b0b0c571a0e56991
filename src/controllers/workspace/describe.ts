/**
 * From the facts of a pass to what people read. Pure. Owns the conditions RuntimeResolved, ParentFound, Recorded,
 * Launched, Connected, Isolated, ImageCurrent, TemplateKnown, PartsRecorded, Expiring, Downgraded, BusyTooLong, DiskExceeded, Unsupported and Ready; Reconciling
 * and Stalled follow from the outcome, but for a replacement that waits: the agent serves meanwhile, and says so.
 */
import type { WorkspaceCondition, WorkspaceReason } from '../../api/reasons.ts'
import type { Workspace, WorkspaceStatus } from '../../api/workspace.ts'
import type { Limits, Observation } from '../../backends/backend.ts'
import { minutes } from '../../duration.ts'
import type { ConditionDraft, Outcome, StatusDraft, Verdict } from '../../kube/reconciler.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import { oneLine } from '../../text.ts'
import { why } from '../../why.ts'
import { conditionAsBefore, hasVerdict } from '../unread.ts'
import { isolationCondition } from './isolation.ts'
import { capitalise, judgeConnected, judgeLaunched, judgeReady, type Facts } from './judge.ts'
import { hashOf, type Sight } from './plan.ts'
import { notice, type PowerVerdict } from './power.ts'
import type { Obstacle } from './obstacle.ts'
import { quietSince } from './quiet-task.ts'
import { changedParts } from './spec-hash.ts'
import { templateStatus } from './template-status.ts'
import type { TurnReason } from './turn.ts'
import { unsupportedCondition } from './unsupported.ts'

type Draft = StatusDraft<WorkspaceStatus>

const condition = (
  type: WorkspaceCondition,
  holds: boolean | 'Unknown',
  reason: WorkspaceReason,
  message: string,
): ConditionDraft => ({ type, status: holds === 'Unknown' ? holds : holds ? 'True' : 'False', reason, message })

export function describe(given: Facts, outcome: Outcome, now: Date): Verdict<WorkspaceStatus> {
  const facts = discreetly(given)
  const { workspace, desired, row, seen } = facts
  const { intent } = desired
  const launched = judgeLaunched(facts)
  const connected = judgeConnected(facts)
  const ready = judgeReady(facts, launched, connected)
  const conditions: ConditionDraft[] = [
    condition('Ready', ready.holds, ready.reason, ready.message),
    ...runtimeCondition(facts),
    ...parentCondition(facts),
    condition('Recorded', true, 'Recorded', `row ${row.id}`),
    condition('Launched', launched.holds, launched.reason, launched.message),
    condition('Connected', connected.holds, connected.reason, connected.message),
    ...imageConditions(facts),
    ...isolationCondition(facts),
    ...waitingConditions(facts),
    ...partsCondition(facts),
    ...timelyConditions(facts, now),
    ...unsupportedCondition(workspace, desired.noSessions),
  ]
  const status: Draft = {
    workspaceID: row.id,
    phase: row.status,
    runtime: intent.runtime,
    model: intent.model,
    tier: intent.tier,
    effectivePower: effectivePowerOf(facts),
    instance: instanceOf(row, seen, workspace.status?.instance),
    ...(desired.image !== undefined && { image: imageOf(facts, desired.image) }),
    ...templateStatus(facts),
    ...(row.backend !== 'external' && { limits: limitsShown(desired.instance.limits) }),
    ...failureOf(row),
    ...partsOf(facts),
    ...(facts.children.total > 0 && { children: facts.children }),
    summary: summaryOf(facts, outcome, ready),
    conditions,
    transition: { to: row.status, reason: ready.reason, actor: actorOf(row, facts.sight) },
  }
  return { status, outcome }
}

/** What serves from an older spec says what its replacement waits for: to be online is no answer to why nothing happens. */
function summaryOf({ wish, turn, desired }: Facts, outcome: Outcome, ready: ReturnType<typeof judgeReady>): string {
  if (outcome.kind === 'blocked') return why('Stalled', outcome.message)
  const { intent, unlaunchable } = desired
  const serves = ready.holds && (wish === 'running' || wish === 'holding' || wish === 'keeping')
  if (serves && unlaunchable !== undefined)
    return why('Online, not launched again', `runtime "${intent.runtime}" no longer has model "${intent.model}"`)
  if (serves && turn.kind === 'wait') return why('Online, to be replaced', turn.message)
  return ready.summary ?? why(ready.message)
}

/** The row holds what an agent said in its beats, which came in where its secrets are not known. */
function discreetly(facts: Facts): Facts {
  const { row, desired } = facts
  const line = (text = '') => oneLine(desired.redact(text)) || undefined
  return {
    ...facts,
    row: { ...row, lastError: line(row.lastError), registrationRefusal: line(row.registrationRefusal) },
  }
}

/** A pass that could not begin: nothing was made, and what exists stays as it was last seen, unless it was halted. */
export function describeObstacle(
  workspace: Workspace,
  obstacle: Obstacle,
  outcome: Outcome,
  halted?: { readonly row: WorkspaceRow; readonly power: PowerVerdict },
): Verdict<WorkspaceStatus> {
  const { condition: type, reason, message } = obstacle
  const known = keptFrom(workspace)
  const status: Draft = {
    ...known,
    ...(halted && {
      phase: halted.row.status,
      effectivePower: effectivePowerOf({ ...halted, wish: 'stopped' }),
      instance: instanceOf(halted.row, { state: 'absent' }),
    }),
    summary: outcome.kind === 'blocked' ? why('Stalled', message) : why(capitalise(message)),
    conditions: [
      condition('Ready', false, reason, message),
      ...(type === 'Ready' ? [] : [condition(type, false, reason, message)]),
      ...unsupportedCondition(workspace, undefined),
    ],
    transition: { to: halted?.row.status ?? known.phase ?? 'unrecorded', reason, actor: 'user' },
  }
  return { status, outcome }
}

/** Hands off: what was known stays, and says so. That is all that was asked, so it is Ready, as a paused one is. */
export function describeSuspended(workspace: Workspace): Verdict<WorkspaceStatus> {
  const known = keptFrom(workspace)
  const message = 'Suspended: spec.suspend is true, so nothing is changed or repaired'
  const kept = (workspace.status?.conditions ?? []).filter(
    ({ type }) => !['Ready', 'Reconciling', 'Stalled'].includes(type),
  )
  const status: Draft = {
    ...known,
    summary: message,
    conditions: [condition('Ready', true, 'Suspended', message), ...kept],
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

function partsCondition({ workspace, parts }: Facts): ConditionDraft[] {
  if (parts === undefined) return []
  if (parts.reason === 'Waiting' && hasVerdict(workspace)) return conditionAsBefore(workspace, 'PartsRecorded')
  return [condition('PartsRecorded', parts.holds, parts.reason, parts.message)]
}

/** What is not known now stays what it was. */
function partsOf({ workspace, parts }: Facts): Pick<WorkspaceStatus, 'parts'> {
  if (parts === undefined) return {}
  const known = parts.delivered ?? workspace.status?.parts
  return known === undefined ? {} : { parts: known }
}

function runtimeCondition({ desired: { intent, unlaunchable } }: Facts): ConditionDraft[] {
  if (unlaunchable === undefined)
    return [condition('RuntimeResolved', true, 'RuntimeFound', `runtime "${intent.runtime}", model "${intent.model}"`)]
  const { condition: type, reason, message } = unlaunchable
  return [
    condition(
      type,
      false,
      reason,
      `${message}; the agent that runs with it goes on, and is not launched with it again`,
    ),
  ]
}

function parentCondition({ workspace, desired }: Facts): ConditionDraft[] {
  const name = workspace.spec.parentRef?.name
  if (name === undefined) return []
  if (desired.parentFound === true) return [condition('ParentFound', true, 'Found', `reports to "${name}"`)]
  const message = `its parent "${name}" is gone: it goes on by itself; name another in spec.parentRef`
  return [condition('ParentFound', false, 'ParentMissing', message)]
}

/** Whether what runs was made from the image that is wanted; undefined: nothing runs that could be compared. */
function imageCurrent({ seen, row, desired }: Facts): boolean | undefined {
  if (seen.state !== 'running') return undefined
  return !changedParts(hashOf(seen.specHash, row), desired.intent.specHash).has('image')
}

function imageConditions(facts: Facts): ConditionDraft[] {
  const { desired, turn } = facts
  if (desired.image === undefined) return []
  switch (imageCurrent(facts)) {
    case true:
      return [condition('ImageCurrent', true, 'ImageCurrent', `runs ${desired.image}`)]
    case false: {
      const why = turn.kind === 'wait' ? `: ${turn.message}` : ''
      const reason = turn.kind === 'wait' && turn.reason === 'ImageUnavailable' ? turn.reason : 'ImageStale'
      return [condition('ImageCurrent', false, reason, `runs another image than ${desired.image}${why}`)]
    }
    case undefined:
      return [condition('ImageCurrent', 'Unknown', 'ImageUnknown', 'nothing runs that could be compared')]
  }
}

/** What only a change of the spec or the Runtime ends: nothing is on its way. */
const mayStay: ReadonlySet<string> = new Set<TurnReason>(['WaitsForRestart', 'ModelUnknown'])

/**
 * An agent that serves from yesterday's spec is ready, and yet not what was asked for: kstatus calls that reconciling, or
 * stalled where the replacement waits for a person.
 */
function waitingConditions({ turn, wish, row }: Facts): ConditionDraft[] {
  const conditions: ConditionDraft[] = []
  if (wish === 'keeping' && turn.kind === 'wait' && !mayStay.has(turn.reason))
    conditions.push(
      turn.forPerson === true
        ? condition('Stalled', true, turn.reason, `Not replaced: ${turn.message}`)
        : condition('Reconciling', true, turn.reason, `Waiting to be replaced: ${turn.message}`),
    )
  if (row.template === undefined)
    conditions.push(
      condition(
        'TemplateKnown',
        false,
        'TemplateUnknown',
        'nobody knows from which template the adopted row was made, so it is not replaced: name it in spec.template.ref',
      ),
    )
  return conditions
}

/** How long tasks may be at work without a message coming or going before somebody should look. */
const longBusy = minutes(10)

function timelyConditions({ workspace, power, row, desired, disk, seen }: Facts, now: Date): ConditionDraft[] {
  const conditions: ConditionDraft[] = []
  const { end } = power
  if (end !== undefined && !end.over && end.at.getTime() - now.getTime() <= notice)
    conditions.push(
      condition(
        'Expiring',
        true,
        'LifetimeEnds',
        `its lifetime ends at ${rfc3339(end.at)}: it is then ${end.action === 'Pause' ? 'paused' : 'deleted'}`,
      ),
    )
  const { withheld } = desired
  if (withheld.length > 0 && row.backend === 'docker') {
    const message = `tier ${desired.intent.tier} stands for access to the host, which this operator's configuration does not give to its namespace: it runs without ${withheld.join(', ')}`
    conditions.push(condition('Downgraded', true, 'HostAccessRefused', message))
  }
  const bound = desired.instance.limits.diskBytes
  // Disks are looked at every quarter of an hour: until then a new leader knows no better than the last one.
  if (bound !== undefined && disk === undefined && seen.state === 'running')
    conditions.push(...conditionAsBefore(workspace, 'DiskExceeded'))
  if (bound !== undefined && disk !== undefined && disk > bound)
    conditions.push(
      condition(
        'DiskExceeded',
        true,
        'DiskLimitExceeded',
        `its files take more than the ${sizeOf(bound)} of disk of its tier: remove some, or ask for another tier`,
      ),
    )
  const since = quietSince(row)
  if (since !== undefined && now.getTime() - since.getTime() > longBusy)
    conditions.push(
      condition(
        'BusyTooLong',
        true,
        'NoTraffic',
        'the agent says it is at work, but no message has come or gone for ten minutes: see what it does',
      ),
    )
  return conditions
}

function effectivePowerOf({
  power: { power },
  row,
  wish,
}: Pick<Facts, 'power' | 'row' | 'wish'>): NonNullable<WorkspaceStatus['effectivePower']> {
  if (wish === 'asleep') return { state: 'Hibernated', reason: 'Idle', since: rfc3339(row.statusSince) }
  if (power.state === 'Running') return { state: 'Running', reason: 'AsAsked' }
  return {
    state: 'Paused',
    reason: power.reason,
    ...(row.status === 'paused' && { since: rfc3339(row.statusSince) }),
    ...(power.by !== undefined && { by: power.by }),
  }
}

const sizeOf = (bytes: number): string =>
  bytes % 2 ** 30 === 0 ? `${bytes / 2 ** 30}Gi` : `${Math.round(bytes / 2 ** 20)}Mi`

const limitsShown = ({ memoryBytes, cpus, pids }: Limits): NonNullable<WorkspaceStatus['limits']> => ({
  memory: sizeOf(memoryBytes),
  cpus,
  pids,
})

function failureOf({ lastFailure }: WorkspaceRow): Pick<WorkspaceStatus, 'lastFailure'> {
  if (lastFailure === undefined) return {}
  const { reason, exitCode, at, logTail } = lastFailure
  return {
    lastFailure: {
      reason,
      ...(exitCode !== undefined && { exitCode }),
      at: rfc3339(at),
      ...(logTail !== '' && { logTail }),
    },
  }
}

function instanceOf(
  row: WorkspaceRow,
  seen: Observation,
  before?: WorkspaceStatus['instance'],
): NonNullable<WorkspaceStatus['instance']> {
  const { backend } = row
  const restarts = row.restarts > 0 ? { restarts: row.restarts } : {}
  // A backend that does not answer says nothing of what runs there.
  if (seen.state === 'unknown' && before?.backend === backend) return { ...before, ...restarts }
  if (seen.state !== 'running') return { backend, ...restarts }
  return {
    backend,
    ...restarts,
    id: seen.id,
    ...(seen.address !== '' && { address: seen.address }),
    specHash: seen.specHash,
    startedAt: rfc3339(seen.startedAt),
  }
}

function imageOf(facts: Facts, ref: string): NonNullable<WorkspaceStatus['image']> {
  const { imageDigest } = facts.row
  const before = facts.seen.state === 'unknown' && facts.workspace.status?.image?.current === true
  return { ref, ...(imageDigest !== undefined && { digest: imageDigest }), current: imageCurrent(facts) ?? before }
}

function actorOf(row: WorkspaceRow, sight: Sight): string {
  if (row.status === 'paused') return 'user'
  if (sight === 'crashed' || sight === 'ended') return 'backend'
  return row.status === 'online' || row.status === 'degraded' || row.status === 'offline' ? 'agent' : 'operator'
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
