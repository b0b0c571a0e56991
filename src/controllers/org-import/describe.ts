/**
 * From the facts of a pass to what people read. Pure. Owns SourceReady, TemplateParsed, EnvironmentReady, Applied,
 * Provisioned, Unsupported and Ready; Reconciling and Stalled follow from the outcome.
 */
import { unsupportedFields, type OrgImport, type OrgImportStatus } from '../../api/org-import.ts'
import type { OrgImportCondition, OrgImportReason } from '../../api/reasons.ts'
import type { Workspace } from '../../api/workspace.ts'
import { seconds } from '../../duration.ts'
import type { ConditionDraft, Outcome, StatusDraft, Verdict } from '../../kube/reconciler.ts'
import type { RenderedOrg } from '../../orgs/tree.ts'
import type { Done } from './apply.ts'
import type { Environment, Lacking } from './environment.ts'
import type { Obstacle } from './obstacle.ts'
import type { Plan } from './plan.ts'
import type { SourceRead } from './source.ts'
import { backoff, type Tally } from './tally.ts'

type Draft = StatusDraft<OrgImportStatus>

/** What a pass learned on its way, as far as it came. */
export interface Learned {
  readonly org: OrgImport
  readonly source?: SourceRead
  readonly rendered?: RenderedOrg
  readonly environment?: Environment
}

/** A pass that came to its end. */
export interface Facts extends Required<Learned> {
  readonly plan: Plan
  readonly done: readonly Done[]
  readonly tally: Tally
  /** By metadata.name, as they are after the writes. */
  readonly live: (name: string) => Workspace | undefined
}

const condition = (
  type: OrgImportCondition,
  holds: boolean,
  reason: OrgImportReason,
  message: string,
): ConditionDraft => ({ type, status: holds ? 'True' : 'False', reason, message })

const cut = (text: string, longest: number) => (text.length <= longest ? text : `${text.slice(0, longest - 1)}…`)
const line = (text: string) => cut(text.replaceAll(/\s*\n\s*/g, ' '), 1000)
const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`

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
      ...unsupported(learned.org),
    ],
    transition: { to: waits ? 'Waiting' : 'Blocked', reason, actor: 'user' },
  }
  return { status, outcome }
}

/** Planned and not applied: a person asked for that. */
export function describePlanned(learned: Required<Learned>, plan: Plan): Verdict<OrgImportStatus> {
  const { create, update } = planned(plan)
  const dry = learned.org.spec.dryRun
  const reason = dry ? 'DryRun' : 'PlanBlocked'
  const what = `plan ${plan.digest.slice(0, 8)} creates ${create} and changes ${update}`
  const message = dry
    ? `Dry run: ${what}; nothing was written`
    : `${what}; spec.approval is Manual, and approving is not supported yet: set it to Auto to apply`
  const status: Draft = {
    ...kept(learned.org),
    ...told(learned),
    plan: planned(plan),
    summary: line(message),
    conditions: [
      condition('Ready', false, reason, message),
      ...steps(learned),
      condition('Applied', false, reason, message),
      ...unsupported(learned.org),
    ],
    transition: { to: 'Planned', reason, actor: 'user' },
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

/** How a child stands: what it says itself, for the generation it has now. */
export function standing(live: Workspace | undefined): { state: 'ready' | 'coming' | 'failed'; message: string } {
  const of = (type: string) => live?.status?.conditions?.find((each) => each.type === type)
  const [ready, stalled] = [of('Ready'), of('Stalled')]
  if (live === undefined) return { state: 'coming', message: 'does not exist yet' }
  if (ready?.status === 'True' && live.status?.observedGeneration === live.metadata.generation)
    return { state: 'ready', message: ready.message }
  if (stalled?.status === 'True') return { state: 'failed', message: stalled.message }
  if (live.status?.phase === 'failed') return { state: 'failed', message: ready?.message ?? 'failed' }
  return { state: 'coming', message: ready?.message ?? 'not looked at yet' }
}

export function describe(facts: Facts): Verdict<OrgImportStatus> {
  const { org, done, plan, tally, live } = facts
  const stands = done.map(({ name }) => standing(live(name)))
  const count = (state: 'ready' | 'coming' | 'failed') => stands.filter((each) => each.state === state).length
  const unapplied = done.filter(({ deed }) => deed === 'Failed')
  const failed = done.filter(({ deed }, i) => deed === 'Failed' || stands[i]?.state === 'failed').length
  const counts = {
    desired: done.length,
    existing: tally.existing,
    created: tally.created,
    updated: tally.updated,
    failed,
    orphaned: plan.orphans.length,
    ready: count('ready'),
  }
  const applied = judgeApplied(unapplied, plan.orphans.length)
  const provisioned = judgeProvisioned(done, stands, live)
  const history = historyOf(counts)
  const ready = counts.ready === counts.desired && unapplied.length === 0
  const judged = ready
    ? condition('Ready', true, 'Settled', history)
    : { ...(applied.status === 'False' ? applied : provisioned), type: 'Ready' }
  const status: Draft = {
    ...told(facts),
    counts,
    plan: planned(plan),
    nodes: nodesOf(facts, stands),
    summary: line(
      ready ? history : `${counts.ready} of ${counts.desired} ready${failed > 0 ? `: ${judged.message}` : ''}`,
    ),
    conditions: [judged, ...steps(facts), applied, provisioned, ...unsupported(org)],
    transition: {
      to: ready ? 'Ready' : failed > 0 ? 'Degraded' : 'Provisioning',
      reason: judged.reason,
      actor: 'operator',
    },
  }
  return { status, outcome: outcomeOf(ready, unapplied.length, counts.desired - counts.ready, tally) }
}

function outcomeOf(ready: boolean, unapplied: number, unready: number, tally: Tally): Outcome {
  if (ready) return { kind: 'settled' }
  return unapplied > 0
    ? { kind: 'again', after: backoff(tally.failures), waitingFor: `${plural(unapplied, 'node')} to be applied` }
    : { kind: 'again', after: seconds(60), waitingFor: `${plural(unready, 'workspace')} to become ready` }
}

/** `5 of 7 existed, 2 created` */
function historyOf(counts: { desired: number; existing: number; created: number; updated: number; orphaned: number }) {
  const { desired, existing, created, updated, orphaned } = counts
  const rest = [
    ...(updated > 0 ? [`${updated} updated`] : []),
    ...(orphaned > 0 ? [`${orphaned} left the template and live on`] : []),
  ]
  return [`${existing} of ${desired} existed`, `${created} created`, ...rest].join(', ')
}

function judgeApplied(unapplied: readonly Done[], orphans: number): ConditionDraft {
  const left = orphans === 0 ? '' : `; ${plural(orphans, 'workspace')} left the template and are kept`
  if (unapplied.length === 0) return condition('Applied', true, 'Applied', `every node has its Workspace${left}`)
  return condition(
    'Applied',
    false,
    'ApplyFailed',
    listed(unapplied.map(({ path, message }) => `${path}: ${message ?? ''}`)),
  )
}

function judgeProvisioned(
  done: readonly Done[],
  stands: readonly ReturnType<typeof standing>[],
  live: Facts['live'],
): ConditionDraft {
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

const listed = (messages: readonly string[]): string => {
  const rest = messages.length > 3 ? `; and ${messages.length - 3} more` : ''
  return cut(messages.slice(0, 3).join('; '), 2000) + rest
}

function nodesOf({ done, tally, live }: Facts, stands: readonly ReturnType<typeof standing>[]) {
  return done.slice(0, 512).map(({ path, name, deed, message }, i) => {
    const workspace = live(name)
    const stand = stands[i]
    const phase = workspace?.status?.phase
    const reason = workspace?.status?.conditions?.find(({ type }) => type === 'Ready')?.reason
    const why = message ?? stand?.message ?? ''
    const node = { path: cut(path, 2048), workspaceRef: { name }, action: tally.deeds.get(path) ?? deed }
    const doubt = stand?.state !== 'ready' && { reason: cut(reason ?? 'Progressing', 128), message: line(why) }
    return Object.assign(node, phase !== undefined && { phase }, doubt)
  })
}

const planned = ({ actions, digest }: Plan) => ({
  create: actions.filter(({ kind }) => kind === 'create').length,
  update: actions.filter(({ kind }) => kind === 'update').length,
  delete: 0,
  digest,
})

/** The conditions of the steps that were passed. */
function steps({ source, rendered, environment }: Learned): ConditionDraft[] {
  return [
    ...(source ? [condition('SourceReady', true, 'SourceRead', `read at ${source.revision}`)] : []),
    ...(rendered ? [condition('TemplateParsed', true, 'Parsed', plural(rendered.nodes.length, 'node'))] : []),
    ...(environment
      ? [condition('EnvironmentReady', true, 'EnvironmentComplete', 'every required variable is there')]
      : []),
  ]
}

/** What the status says of the template itself. */
function told({ source, rendered, environment }: Learned): Partial<Draft> {
  const missingRecommended = environment?.missingRecommended ?? []
  const odd = [
    ...(rendered?.warnings ?? []),
    ...(source?.skipped ?? []).map((key) => ({
      code: 'FileSkipped',
      path: key,
      message: 'binaryData is not read yet',
    })),
  ]
  const warnings = odd.slice(0, 50).map(({ code, path, message }) => {
    const warning = { code, message: cut(message, 1024) }
    return path === '' ? warning : Object.assign(warning, { path: cut(path, 2048) })
  })
  return {
    ...(source && { source: { revision: source.revision, ...(rendered && { digest: rendered.digest }) } }),
    ...(rendered && { warnings }),
    ...(environment && {
      env: {
        ...(missingRecommended.length > 0 && {
          missingRecommended: missingRecommended.slice(0, 256).map((each) => cut(each, 1024)),
        }),
      },
    }),
  }
}

/** What earlier passes applied is still true when this one could not begin. */
function kept({ status }: OrgImport): Partial<Draft> {
  const { counts, nodes, plan, source, warnings } = status ?? {}
  return {
    ...(counts && { counts }),
    ...(nodes && { nodes }),
    ...(plan && { plan }),
    ...(source && { source }),
    ...(warnings && { warnings }),
  }
}

function unsupported({ spec }: OrgImport): ConditionDraft[] {
  const fields = unsupportedFields(spec)
  if (fields.length === 0) return []
  return [condition('Unsupported', true, 'NotActedOnYet', `no controller acts on this yet: ${fields.join(', ')}`)]
}
