/**
 * From the facts of a pass to what people read. Pure. Owns SourceReady, TemplateParsed, EnvironmentReady, Applied,
 * Provisioned, PruneBlocked, Unsupported and Ready; Reconciling and Stalled follow from the outcome.
 */
import type { OrgImport, OrgImportStatus } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import { milliseconds, seconds } from '../../duration.ts'
import type { ConditionDraft, Outcome, Verdict } from '../../kube/reconciler.ts'
import { cut } from '../../text.ts'
import type { Done } from './apply.ts'
import { missingChannels, missingFolders } from './children.ts'
import { heldByOthers } from './covers.ts'
import type { Lacking } from './environment.ts'
import type { Gate } from './gate.ts'
import type { Obstacle } from './obstacle.ts'
import type { Plan } from './plan.ts'
import { plannedStatus } from './plan-text.ts'
import { standing, type Standing } from './standing.ts'
import { digestOfSteps } from './steps.ts'
import type { Tally } from './tally.ts'
import { kept, steps, told, type Draft, type Learned, type Oddity } from './told.ts'
import { condition, line, listed, plural } from './words.ts'

/** A pass that came to its end. */
export interface Facts extends Required<Learned> {
  readonly plan: Plan
  readonly done: readonly Done[]
  readonly tally: Tally
  /** What of the plan belongs to one that a person approved: `status.plan` stays until it is done. */
  readonly approved: boolean
  /** By metadata.name, as they are after the writes. */
  readonly live: (name: string) => Workspace | undefined
}

/** Where the pass stopped. What an earlier one applied stays as it is. */
export function describeObstacle(learned: Learned, obstacle: Obstacle | Lacking): Verdict<OrgImportStatus> {
  const { condition: type, reason, message, waits } = obstacle
  const missing = 'missing' in obstacle ? obstacle.missing.slice(0, 256).map((each) => cut(each, 1024)) : []
  const outcome: Outcome = waits
    ? { kind: 'again', after: seconds(30), waitingFor: message }
    : { kind: 'blocked', reason, message }
  const status: Draft = {
    ...kept(learned.org),
    ...told(learned),
    env: { ...(missing.length > 0 && { missing }) },
    summary: line(waits ? `Waiting: ${message}` : `Stalled: ${message}`),
    conditions: [
      condition('Ready', false, reason, message),
      ...steps(learned),
      condition(type, false, reason, message),
    ],
    transition: { to: waits ? 'Waiting' : 'Blocked', reason, actor: 'user' },
  }
  return { status, outcome }
}

/** Planned and not applied: a person asked for that, or has to be asked. `configMap` holds the whole of a long plan. */
export function describePlanned(
  learned: Required<Learned>,
  plan: Plan,
  { kind, message }: Exclude<Gate, { kind: 'open' }>,
  configMap: string | undefined,
): Verdict<OrgImportStatus> {
  const reason = { dryRun: 'DryRun', approval: 'PlanBlocked', deletes: 'TooManyDeletes' } as const
  const status: Draft = {
    ...kept(learned.org),
    ...told(learned),
    plan: plannedStatus(plan, true, configMap),
    summary: line(message),
    conditions: [
      condition('Ready', false, reason[kind], message),
      ...steps(learned),
      condition('Applied', false, reason[kind], message),
      ...(kind === 'deletes' ? [condition('PruneBlocked', true, 'TooManyDeletes', message)] : []),
    ],
    transition: { to: 'Planned', reason: reason[kind], actor: 'user' },
  }
  return { status, outcome: { kind: 'settled' } }
}

export function describeSuspended(org: OrgImport): Verdict<OrgImportStatus> {
  const message = 'Suspended: spec.suspend is true, so nothing is changed or repaired'
  const before = (org.status?.conditions ?? []).filter(
    ({ type }) => !['Ready', 'Reconciling', 'Stalled'].includes(type),
  )
  const status: Draft = {
    ...kept(org),
    summary: message,
    conditions: [{ type: 'Ready', status: 'Unknown', reason: 'Suspended', message }, ...before],
    transition: { to: 'Suspended', reason: 'Suspended', actor: 'user' },
  }
  return { status, outcome: { kind: 'settled' } }
}

export function describeDeleting(org: OrgImport, waitingFor: string): Verdict<OrgImportStatus> {
  const message = `Deleting: waits for ${waitingFor}`
  const status: Draft = {
    ...kept(org),
    summary: message,
    conditions: [condition('Ready', false, 'Deleting', message)],
    transition: { to: 'Deleting', reason: 'Deleting', actor: 'user' },
  }
  return { status, outcome: { kind: 'again', after: seconds(5), waitingFor } }
}

export function describe(facts: Facts): Verdict<OrgImportStatus> {
  const { done, plan, tally, live } = facts
  const stands = done.map(({ name }) => standing(live(name)))
  const count = (state: Standing['state']) => stands.filter((each) => each.state === state).length
  const unapplied = done.filter(({ deed }) => deed === 'Failed' || deed === 'Waiting')
  const failed = done.filter(({ deed }, i) => deed === 'Failed' || stands[i]?.state === 'failed').length
  const orphaned = plan.departures.filter(({ kind }) => kind === 'orphan').length
  const { existing, created, updated, adopted, pruned } = tally
  const run = { desired: done.length, existing, created, updated, adopted, orphaned, pruned }
  const counts = { ...run, failed, ready: count('ready'), plugins: plan.installs.declared }
  const applied = judgeApplied(unapplied, orphaned)
  const provisioned = judgeProvisioned(done, stands, live)
  const history = historyOf(run)
  const ready = counts.ready === counts.desired && unapplied.length === 0
  const judged = ready
    ? condition('Ready', true, 'Settled', history)
    : { ...(applied.status === 'False' ? applied : provisioned), type: 'Ready' }
  const status: Draft = {
    ...told(facts, [...missingParts(facts), ...odditiesOf(facts)]),
    counts,
    ...partsOf(facts),
    plan: planAfter(facts, unapplied.length > 0),
    nodes: nodesOf(facts, stands),
    summary: line(
      ready ? history : `${counts.ready} of ${counts.desired} ready${failed > 0 ? `: ${judged.message}` : ''}`,
    ),
    conditions: [judged, ...steps(facts), applied, provisioned],
    transition: {
      to: ready ? 'Ready' : failed > 0 ? 'Degraded' : 'Provisioning',
      reason: judged.reason,
      actor: 'operator',
    },
  }
  return { status, outcome: outcomeOf(facts, ready, unapplied, counts.desired - counts.ready) }
}

const missingParts = ({ rendered: { nodes }, environment }: Facts): Oddity[] => [
  ...missingChannels(nodes, environment),
  ...missingFolders(nodes, environment),
]

/** Schedules and channels that the template declares, and how many of them are there: what never ran went unnoticed once. */
function partsOf({ rendered: { declared }, plan, live }: Facts): Pick<OrgImportStatus, 'schedules' | 'channels'> {
  const count = (part: keyof typeof declared) => ({
    declared: declared[part],
    delivered: plan.actions.reduce((sum, { kind, child: { name, manifest } }) => {
      const asked = kind === 'ignore' ? undefined : manifest.spec[part]
      return sum + (Array.isArray(asked) ? Math.min(asked.length, live(name)?.status?.parts?.[part] ?? 0) : 0)
    }, 0),
  })
  return {
    ...(declared.schedules > 0 && { schedules: count('schedules') }),
    ...(declared.channels > 0 && { channels: count('channels') }),
  }
}

function outcomeOf({ org, tally }: Facts, ready: boolean, unapplied: readonly Done[], unready: number): Outcome {
  if (ready) return { kind: 'settled' }
  if (unapplied.length === 0)
    return { kind: 'again', after: seconds(60), waitingFor: `${plural(unready, 'workspace')} to become ready` }
  const waitingFor = `${plural(unapplied.length, 'node')} to be applied`
  if (tally.failures > 0) return { kind: 'again', after: tally.retryIn, waitingFor }
  // Who waits for a turn is told when there is one; who only did enough for one pass goes on at once.
  return { kind: 'again', after: org.spec.rollout === undefined ? milliseconds(1) : seconds(30), waitingFor }
}

/** An approved plan that is not done stays as it was shown, by which its remainder is known. */
function planAfter({ org, plan, approved }: Facts, unfinished: boolean): NonNullable<Draft['plan']> {
  const shown = org.status?.plan
  if (!unfinished)
    return plannedStatus(nothingBut(orphansOf(plan), plan, approved ? org.spec.approvedPlan : plan.spent), false)
  if (!approved) return plannedStatus(plan, false)
  return shown?.digest === org.spec.approvedPlan && shown !== undefined ? shown : plannedStatus(plan, true)
}

/** So that the next pass, which finds nothing to do, says the same. */
const nothingBut = (departures: Plan['departures'], plan: Plan, spent: string | undefined): Plan => ({
  ...plan,
  actions: [],
  departures,
  steps: [],
  digest: digestOfSteps([], spent),
  spent,
})

const orphansOf = ({ departures }: Plan) => departures.filter(({ kind }) => kind === 'orphan')

/** `5 of 7 existed, 2 created` */
function historyOf(
  counts: Record<'desired' | 'existing' | 'created' | 'updated' | 'adopted' | 'orphaned' | 'pruned', number>,
) {
  const { desired, existing, created, updated, adopted, orphaned, pruned } = counts
  const rest = [
    ...(adopted > 0 ? [`${adopted} adopted`] : []),
    ...(updated > 0 ? [`${updated} updated`] : []),
    ...(pruned > 0 ? [`${pruned} deleted`] : []),
    ...(orphaned > 0 ? [`${orphaned} left the template and live on`] : []),
  ]
  return [`${existing} of ${desired} existed`, `${created} created`, ...rest].join(', ')
}

function judgeApplied(unapplied: readonly Done[], orphans: number): ConditionDraft {
  const left = orphans === 0 ? '' : `; ${plural(orphans, 'workspace')} left the template and are kept`
  if (unapplied.length === 0) return condition('Applied', true, 'Applied', `every node has its Workspace${left}`)
  const failed = unapplied.filter(({ deed }) => deed === 'Failed')
  if (failed.length === 0)
    return condition('Applied', false, 'Progressing', `${plural(unapplied.length, 'node')} wait for a turn to start`)
  return condition(
    'Applied',
    false,
    'ApplyFailed',
    listed(failed.map(({ path, message }) => `${path}: ${message ?? ''}`)),
  )
}

function judgeProvisioned(done: readonly Done[], stands: readonly Standing[], live: Facts['live']): ConditionDraft {
  const failed = done.flatMap(({ path }, i) => {
    const stand = stands[i]
    return stand?.state === 'failed' ? [`${path}: ${stand.message}`] : []
  })
  if (failed.length > 0) return condition('Provisioned', false, 'NodeFailed', listed(failed))
  const waiting = done.filter(({ name }, i) => {
    const phase = live(name)?.status?.phase
    return stands[i]?.state !== 'ready' && (phase === undefined || phase === 'provisioning')
  })
  if (waiting.length === 0) return condition('Provisioned', true, 'Provisioned', 'no node is being provisioned')
  return condition('Provisioned', false, 'Provisioning', `${plural(waiting.length, 'workspace')} coming up`)
}

const mostNodes = 512
/** The API server takes one and a half mebibytes, and there is more to say. */
const mostNodeBytes = 400 * 1024

/** As many as a status holds; what is in trouble may not be among those that are left out. */
function nodesOf(facts: Facts, stands: readonly Standing[]) {
  const { done } = facts
  const calm = (i: number) => done[i]?.deed !== 'Failed' && stands[i]?.state !== 'failed'
  const all = done.map((each, i) => ({ each, i }))
  const ordered = all.length <= mostNodes ? all : all.toSorted((a, b) => Number(calm(a.i)) - Number(calm(b.i)))
  const nodes = ordered.slice(0, mostNodes).map(({ each, i }) => nodeOf(facts, each, stands[i]))
  let room = mostNodeBytes
  const over = nodes.findIndex((node) => (room -= Buffer.byteLength(JSON.stringify(node))) < 0)
  return over < 0 ? nodes : nodes.slice(0, over)
}

function nodeOf({ tally, live }: Facts, { path, name, deed, message }: Done, stand: Standing | undefined) {
  const workspace = live(name)
  const phase = workspace?.status?.phase
  const reason = workspace?.status?.conditions?.find(({ type }) => type === 'Ready')?.reason
  const why = message ?? stand?.message ?? ''
  const node = { path: cut(path, 2048), workspaceRef: { name }, action: tally.deeds.get(path) ?? deed }
  const doubt = stand?.state !== 'ready' && { reason: cut(reason ?? 'Progressing', 128), message: line(why) }
  return Object.assign(node, phase !== undefined && { phase }, doubt)
}

/** Where the tree is not what the template says, and will not be. */
function odditiesOf({ plan, live }: Facts): Oddity[] {
  return plan.actions.flatMap(({ kind, child }): Oddity[] => {
    const { path, name } = child
    if (kind === 'ignore')
      return [{ code: 'Ignored', path, message: `Workspace "${name}" is not of this import, and left as it is` }]
    const present = live(name)
    if (present === undefined) return []
    return [...heldByOthers(present)]
      .filter(([field]) => field in child.manifest.spec)
      .map(([field, who]) => ({
        code: 'HeldByOthers',
        path,
        message: `spec.${field} is declared by "${who}" and left alone: the template says otherwise`,
      }))
  })
}
