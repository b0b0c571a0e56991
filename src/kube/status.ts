import {
  reconcileRequestedAt,
  type CommonStatus,
  type Condition,
  type KubeObject,
  type Transition,
} from '../api/meta.ts'
import { oneLine } from '../text.ts'
import { why } from '../why.ts'
import type { ConditionDraft, Outcome, StatusDraft, Trouble, Wait } from './reconciler.ts'

type Json = Record<string, unknown>

const historyLength = 10

/** From what a pass arrived at to the whole status: kstatus conditions, their times, history, acknowledgements. Pure. */
export function statusOf<S extends CommonStatus>(
  object: KubeObject,
  draft: StatusDraft<S>,
  outcome: Outcome,
  now: Date,
  reconcileId?: string,
): Json {
  const { conditions, transition, summary, ...rest } = draft
  const previous = previousOf(object)
  const line = historyLine(previous.history ?? [], transition, now, reconcileId)
  return {
    ...rest,
    summary: summary && why(summary),
    observedGeneration: object.metadata.generation,
    conditions: settle(object, withProgress(conditions, outcome), now),
    history: line,
    lastHandledReconcileAt: object.metadata.annotations?.[reconcileRequestedAt] ?? previous.lastHandledReconcileAt,
  }
}

/** What a pass that ended by a throw can still say: its conditions, on top of all that was known before. Pure. */
export function troubledStatusOf(object: KubeObject, trouble: Trouble, now: Date): Json {
  const previous = previousOf(object)
  const kept = (previous.conditions ?? []).filter(({ type }) => type !== 'Reconciling' && type !== 'Stalled')
  switch (trouble.kind) {
    case 'blocked': {
      const conditions = settle(object, withProgress(kept, { ...trouble, kind: 'blocked' }), now)
      const observedGeneration = object.metadata.generation
      return { ...previous, observedGeneration, conditions, summary: why('Stalled', trouble.message) }
    }
    case 'waiting':
    case 'retrying': {
      const { reason, message } = trouble
      // An object that is new has no Ready yet: with none, programs that know nothing of Reconciling take it for done.
      const unknown: ConditionDraft = { type: 'Ready', status: 'Unknown', reason, message }
      const ready = kept.some(({ type }) => type === 'Ready') ? [] : [unknown]
      const drafts: ConditionDraft[] = [...ready, ...kept, { type: 'Reconciling', status: 'True', reason, message }]
      // observedGeneration stays: this generation has not been seen through.
      return { ...previous, conditions: settle(object, drafts, now), summary: why(message) }
    }
  }
}

/** The merge patch from one status to the next, `null` for what is gone; undefined when they mean the same. Pure. */
export function patchBetween(before: unknown, after: Json): Json | undefined {
  const old = isObject(before) ? before : {}
  const patch: Json = {}
  for (const [name, value] of Object.entries(after)) {
    const present = old[name]
    if (isNothing(value) || same(present, value)) continue
    patch[name] = isObject(value) && isObject(present) ? patchBetween(present, value) : value
  }
  for (const name of Object.keys(old)) if (!isNothing(old[name]) && isNothing(after[name])) patch[name] = null
  return Object.keys(patch).length === 0 ? undefined : patch
}

/** Whether two statuses mean the same. */
export const sameStatus = (a: unknown, b: unknown): boolean => same(a, b)

/** Equal as the API server sees it, where undefined, null and absent are one. Every pass asks, so nothing is copied. */
function same(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (isNothing(a) || isNothing(b)) return isNothing(a) && isNothing(b)
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((inner, i) => same(inner, b[i]))
  if (!isObject(a) || !isObject(b)) return false
  for (const name of Object.keys(a)) if (!same(a[name], b[name])) return false
  for (const name of Object.keys(b)) if (!(name in a) && !isNothing(b[name])) return false
  return true
}

const isNothing = (value: unknown): boolean => value === undefined || value === null

export const isReady = (status: unknown): boolean =>
  isObject(status) &&
  ((status as CommonStatus).conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True')

/** Whether the same thing stalls the same generation in both. */
export function stalledAlike(before: unknown, after: unknown): boolean {
  const [a, b] = [stallOf(before), stallOf(after)]
  return a.generation === b.generation && a.reason === b.reason && a.message === b.message
}

function stallOf(status: unknown) {
  const { conditions = [], observedGeneration: generation } = (isObject(status) ? status : {}) as CommonStatus
  const stalled = conditions.find(({ type }) => type === 'Stalled')
  return { generation, reason: stalled?.reason, message: stalled?.message }
}

/** kstatus: `Reconciling` and `Stalled` exist only while true, and a stalled object is not ready. */
function withProgress(conditions: readonly ConditionDraft[], outcome: Outcome): readonly ConditionDraft[] {
  switch (outcome.kind) {
    case 'settled':
      return conditions
    case 'again': {
      if (conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) return conditions
      const message = messageOfWait(outcome)
      return [...conditions, { type: 'Reconciling', status: 'True', reason: 'Progressing', message }]
    }
    case 'blocked': {
      const { reason, message } = outcome
      return [
        ...conditions.filter(({ type }) => type !== 'Ready'),
        { type: 'Ready', status: 'False', reason, message },
        { type: 'Stalled', status: 'True', reason, message },
      ]
    }
  }
}

/** What people read of a wait. */
export const messageOfWait = (wait: Wait): string =>
  'sentence' in wait ? capitalised(wait.sentence) : `Waiting for ${wait.waitingFor}`

const capitalised = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/**
 * Adds the time since when each condition has had its status. Not the generation: `status.observedGeneration` says it for
 * all of them, kubectl and kstatus read it there, and an edit that changes nothing else is then a patch of one number
 * instead of the whole list, whose owners the API server would have to work out anew.
 */
function settle(object: KubeObject, drafts: readonly ConditionDraft[], now: Date): Condition[] {
  const before = new Map((previousOf(object).conditions ?? []).map((condition) => [condition.type, condition]))
  return drafts.map(({ type, status, reason, message }) => {
    const old = before.get(type)
    const lastTransitionTime = old?.status === status ? old.lastTransitionTime : rfc3339(now)
    return { type, status, reason, message: oneLine(message), lastTransitionTime }
  })
}

function historyLine(
  history: readonly Transition[],
  { to, reason, actor }: { readonly to: string; readonly reason: string; readonly actor: string },
  now: Date,
  reconcileId: string | undefined,
): readonly Transition[] {
  const last = history.at(-1)
  if (last?.to === to) return history
  const line = { time: rfc3339(now), from: last?.to ?? '', to, reason, actor }
  return [...history, reconcileId === undefined ? line : { ...line, reconcileId }].slice(-historyLength)
}

const previousOf = (object: KubeObject): CommonStatus => object.status ?? {}

/** metav1.Time has whole seconds. */
const rfc3339 = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
