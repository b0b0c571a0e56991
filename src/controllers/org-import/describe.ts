/**
 * From the facts of a pass to what people read. Pure. Owns SourceReady, TemplateParsed, EnvironmentReady, Applied,
 * Provisioned, PruneBlocked, Unsupported and Ready; Reconciling and Stalled follow from the outcome.
 */
import type { OrgImport, OrgImportStatus } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import { milliseconds, seconds } from '../../duration.ts'
import type { ConditionDraft, Outcome, Verdict } from '../../kube/reconciler.ts'
import { cut, plural } from '../../text.ts'
import type { PassResult } from '../fleet.ts'
import type { Done } from './apply.ts'
import { missingChannels, missingFolders } from './children.ts'
import { heldByOthers } from './covers.ts'
import type { Lacking } from './environment.ts'
import type { Gate } from './gate.ts'
import {
  isFailed,
  isUnapplied,
  judgeApplied,
  judgeProvisioned,
  judgeReady,
  stalledOutcome,
  summaryOf,
  type Seen,
} from './judge.ts'
import type { Obstacle } from './obstacle.ts'
import type { Plan } from './plan.ts'
import { plannedStatus } from './plan-text.ts'
import type { Refusal } from './renderer.ts'
import { shownNodes } from './shown-nodes.ts'
import { standing } from './standing.ts'
import { digestOfSteps } from './steps.ts'
import type { Tally } from './tally.ts'
import { kept, shownWarnings, steps, told, type Draft, type Learned, type Oddity } from './told.ts'
import { condition, line } from './words.ts'

/** A pass that came to its end. */
export interface Facts extends Required<Learned> {
  readonly plan: Plan
  readonly done: readonly Done[]
  readonly tally: Tally
  /** What of the plan belongs to one that a person approved: `status.plan` stays until it is done. */
  readonly approved: boolean
  /** By metadata.name: the Workspace as it is after the writes, and what its last pass found. */
  readonly look: (name: string) => Looked
}

export interface Looked {
  readonly live: Workspace | undefined
  readonly result: PassResult | undefined
}

/** Where the pass stopped. What an earlier one applied stays as it is. */
export function describeObstacle(learned: Learned, obstacle: Obstacle | Lacking | Refusal): Verdict<OrgImportStatus> {
  const { condition: type, reason, message, waits } = obstacle
  const missing = 'missing' in obstacle ? obstacle.missing.slice(0, 256).map((each) => cut(each, 1024)) : []
  const { retryAfter } = obstacle
  const outcome: Outcome = waits
    ? { kind: 'again', after: seconds(30), sentence: message }
    : { kind: 'blocked', reason, message, ...(retryAfter !== undefined && { retryAfter }) }
  const status: Draft = {
    ...kept(learned.org),
    ...told(learned),
    ...('warnings' in obstacle && { warnings: shownWarnings(obstacle.warnings) }),
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

/**
 * Planned and not applied: a dry run has done with that what was asked of it; every other waits for a person. `configMap`
 * holds the whole of a long plan.
 */
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
      condition('Ready', kind === 'dryRun', reason[kind], message),
      ...steps(learned),
      condition('Applied', false, reason[kind], message),
      ...(kind === 'deletes' ? [condition('PruneBlocked', true, 'TooManyDeletes', message)] : []),
    ],
    transition: { to: 'Planned', reason: reason[kind], actor: 'user' },
  }
  return {
    status,
    outcome: kind === 'dryRun' ? { kind: 'settled' } : { kind: 'blocked', reason: reason[kind], message },
  }
}

/** Hands off: that is all that was asked, so it is Ready, whatever of the tree is there. */
export function describeSuspended(org: OrgImport): Verdict<OrgImportStatus> {
  const message = 'Suspended: spec.suspend is true, so nothing is changed or repaired'
  const before = (org.status?.conditions ?? []).filter(
    ({ type }) => !['Ready', 'Reconciling', 'Stalled'].includes(type),
  )
  const status: Draft = {
    ...kept(org),
    summary: message,
    conditions: [condition('Ready', true, 'Suspended', message), ...before],
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
  const { org, done, plan, tally, look } = facts
  const nodes = done.map((each): Seen => {
    const { live, result } = look(each.name)
    return { done: each, stand: standing(live, result) }
  })
  const orphaned = plan.departures.filter(({ kind }) => kind === 'orphan').length
  const { existing, created, updated, adopted, pruned } = tally
  const run = { desired: done.length, existing, created, updated, adopted, orphaned, pruned }
  const [failed, up] = [nodes.filter(isFailed).length, nodes.filter(({ stand }) => stand.state === 'ready').length]
  const counts = { ...run, failed, ready: up, plugins: plan.installs.declared }
  const applied = judgeApplied(nodes, orphaned)
  const { ready, reason, message } = judgeReady(nodes, applied)
  const history = historyOf(run)
  const without = counts.plugins === 0 ? [] : [`${plural(counts.plugins, 'plugin')} not installed`]
  const status: Draft = {
    ...told(facts, [...withoutPlugins(counts.plugins), ...missingParts(facts), ...odditiesOf(facts)]),
    counts,
    ...partsOf(facts),
    plan: planAfter(facts, nodes.some(isUnapplied)),
    nodes: shownNodes(nodes, tally),
    summary: summaryOf(nodes, applied, [...without, `last change: ${history}`]),
    conditions: [
      condition('Ready', ready, reason, message ?? history),
      ...steps(facts),
      applied,
      judgeProvisioned(nodes),
    ],
    transition: { to: stateOf(ready, reason), reason, actor: 'operator' },
  }
  return { status, outcome: outcomeOf(org, tally, nodes, applied) }
}

const missingParts = ({ rendered: { nodes }, environment }: Facts): Oddity[] => [
  ...missingChannels(nodes, environment),
  ...missingFolders(nodes, environment),
]

/** For `status.history`. */
const stateOf = (ready: boolean, reason: string): string =>
  ready ? 'Ready' : reason === 'Provisioning' || reason === 'Progressing' ? 'Provisioning' : 'Degraded'

/** No controller installs any yet. */
const withoutPlugins = (declared: number): Oddity[] =>
  declared === 0
    ? []
    : [
        {
          code: 'PluginsSkipped',
          path: '',
          message: `${plural(declared, 'plugin')} ${declared === 1 ? 'is' : 'are'} declared and not installed by this operator`,
        },
      ]

/** Schedules and channels that the template declares, and how many of them are there: what never ran went unnoticed once. */
function partsOf({ rendered: { declared }, plan, look }: Facts): Pick<OrgImportStatus, 'schedules' | 'channels'> {
  const count = (part: keyof typeof declared) => ({
    declared: declared[part],
    delivered: plan.actions.reduce((sum, { kind, child: { name, manifest } }) => {
      const asked = kind === 'ignore' ? undefined : manifest.spec[part]
      return sum + (Array.isArray(asked) ? Math.min(asked.length, look(name).result?.parts?.[part] ?? 0) : 0)
    }, 0),
  })
  return {
    ...(declared.schedules > 0 && { schedules: count('schedules') }),
    ...(declared.channels > 0 && { channels: count('channels') }),
  }
}

function outcomeOf({ spec }: OrgImport, tally: Tally, nodes: readonly Seen[], applied: ConditionDraft): Outcome {
  const judged = judgeReady(nodes, applied)
  if (judged.ready) return { kind: 'settled' }
  const unapplied = nodes.filter(isUnapplied).length
  if (unapplied === 0) {
    const unready = nodes.filter(({ stand }) => stand.state !== 'ready').length
    const waits = { kind: 'again', after: seconds(60), waitingFor: `${plural(unready, 'workspace')} to become ready` }
    return stalledOutcome(nodes, judged) ?? (waits as Outcome)
  }
  const waitingFor = `${plural(unapplied, 'node')} to be applied`
  if (tally.failures > 0) return { kind: 'again', after: tally.retryIn, waitingFor }
  // Who waits for a turn is told when there is one; who only did enough for one pass goes on at once.
  return { kind: 'again', after: spec.rollout === undefined ? milliseconds(1) : seconds(30), waitingFor }
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

/** Where the tree is not what the template says, and will not be. */
function odditiesOf({ plan, look }: Facts): Oddity[] {
  return plan.actions.flatMap(({ kind, child }): Oddity[] => {
    const { path, name } = child
    if (kind === 'ignore')
      return [{ code: 'Ignored', path, message: `Workspace "${name}" is not of this import, and left as it is` }]
    const present = look(name).live
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
