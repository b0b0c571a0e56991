/** From what was applied and how the Workspaces stand to the verdicts of an import, and to its one line. Pure. */
import type { OrgImportReason } from '../../api/reasons.ts'
import type { ConditionDraft, Outcome } from '../../kube/reconciler.ts'
import { plural, tail } from '../../text.ts'
import { why } from '../../why.ts'
import type { Done } from './apply.ts'
import { effects, type Standing, type StandingState } from './standing.ts'
import { condition, listed } from './words.ts'

/** A node: what was done for it, and how its Workspace stands then. */
export interface Seen {
  readonly done: Done
  readonly stand: Standing
}

const states = Object.keys(effects) as readonly StandingState[]

export const isUnapplied = ({ done: { deed } }: Seen): boolean => deed === 'Failed' || deed === 'Waiting'

/** Nothing about it needs to be told. */
export const isFine = (seen: Seen): boolean => !isUnapplied(seen) && seen.stand.state === 'ready'

/** It could not be applied, or its Workspace failed. */
export const isFailed = ({ done, stand: { state } }: Seen): boolean =>
  done.deed === 'Failed' || state === 'failed' || state === 'stalled'

/** Those that stand worst, and how; undefined: all are ready. */
function worst(nodes: readonly Seen[]): { readonly state: StandingState; readonly of: readonly Seen[] } | undefined {
  const state = states.findLast((each) => nodes.some(({ stand }) => stand.state === each)) ?? 'ready'
  return state === 'ready' ? undefined : { state, of: nodes.filter(({ stand }) => stand.state === state) }
}

const told = ({ done: { path }, stand: { message } }: Seen): string => `${path}: ${message}`

export function judgeApplied(nodes: readonly Seen[], orphans: number): ConditionDraft {
  const left = orphans === 0 ? '' : `; ${plural(orphans, 'workspace')} left the template and are kept`
  const unapplied = nodes.filter(isUnapplied)
  if (unapplied.length === 0) return condition('Applied', true, 'Applied', `every node has its Workspace${left}`)
  const failed = unapplied.filter(({ done: { deed } }) => deed === 'Failed')
  if (failed.length === 0)
    return condition('Applied', false, 'Progressing', `${plural(unapplied.length, 'node')} wait for a turn to start`)
  return condition(
    'Applied',
    false,
    'ApplyFailed',
    listed(failed.map(({ done: { path, message } }) => `${path}: ${message ?? ''}`)),
  )
}

export function judgeProvisioned(nodes: readonly Seen[]): ConditionDraft {
  const bad = worst(nodes.filter(({ stand }) => effects[stand.state].provisioned !== undefined))
  if (bad === undefined) return condition('Provisioned', true, 'Provisioned', 'every workspace has come up')
  const { status, reason } = effects[bad.state].provisioned ?? { status: 'False', reason: 'Provisioning' as const }
  return { type: 'Provisioned', status, reason, message: listed(bad.of.map(told)) }
}

export interface ReadyJudgement {
  readonly ready: boolean
  readonly reason: OrgImportReason
  /** Undefined while it is ready. */
  readonly message: string | undefined
}

/** `applied`: the condition; what could not be applied goes before what did not come up. */
export function judgeReady(nodes: readonly Seen[], applied: ConditionDraft): ReadyJudgement {
  if (applied.status === 'False')
    return { ready: false, reason: applied.reason as OrgImportReason, message: applied.message }
  const bad = worst(nodes)
  if (bad === undefined) return { ready: true, reason: 'Settled', message: undefined }
  return { ready: false, reason: effects[bad.state].ready ?? 'Settled', message: listed(bad.of.map(told)) }
}

/** Only a person can help; whatever else is still on its way, the import as a whole will not come to stand before that. */
export function stalledOutcome(nodes: readonly Seen[], { reason, message }: ReadyJudgement): Outcome | undefined {
  const bad = worst(nodes)
  if (bad === undefined || effects[bad.state].progress !== 'Stalled') return undefined
  return { kind: 'blocked', reason, message: message ?? '' }
}

/** Of the line: its beginning says less than its end. */
const widestPath = 24

/** `42 of 42 ready, 1 paused, 2 asleep`; of an import that is not Ready: `41 of 42 ready: PM/Dev Lead: it ended`. */
export function summaryOf(nodes: readonly Seen[], applied: ConditionDraft, more: readonly string[]): string {
  const count = (...phases: readonly (string | undefined)[]) =>
    nodes.filter((seen) => seen.stand.state === 'ready' && phases.includes(seen.stand.phase)).length
  const [paused, asleep] = [count('paused'), count('hibernating', 'hibernated')]
  const ready = nodes.filter(({ stand }) => stand.state === 'ready').length
  const tally = [
    `${ready} of ${nodes.length} ready`,
    ...(paused > 0 ? [`${paused} paused`] : []),
    ...(asleep > 0 ? [`${asleep} asleep`] : []),
  ].join(', ')
  const failed = nodes.filter(({ done: { deed } }) => deed === 'Failed')
  if (failed.length === 0 && applied.status === 'False') return why(tally, applied.message)
  const of = failed.length > 0 ? failed : (worst(nodes)?.of ?? [])
  const [first] = of
  if (first === undefined) return why([tally, ...more].join('; '))
  const others = of.length > 1 ? ` and ${of.length - 1} more` : ''
  const cause = failed.length > 0 ? first.done.message : first.stand.message
  return why(`${tally}: ${tail(first.done.path, widestPath)}${others}`, cause)
}
