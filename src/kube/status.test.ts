import { expect, test } from 'vitest'
import { reconcileRequestedAt, type CommonStatus, type KubeObject } from '../api/meta.ts'
import type { ConditionDraft, Outcome, StatusDraft } from './reconciler.ts'
import { patchBetween, statusOf, troubledStatusOf } from './status.ts'

interface Status extends CommonStatus {
  readonly phase?: string
  readonly instance?: { readonly id?: string | undefined; readonly host?: string | undefined } | undefined
}

const now = new Date('2026-05-01T10:00:00.123Z')
const later = new Date('2026-05-01T11:00:00Z')
const settled: Outcome = { kind: 'settled' }
const waiting: Outcome = { kind: 'again', after: 1000 as never, waitingFor: 'the agent to register' }

const object = (status?: unknown, more: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name: 'a', uid: 'u', resourceVersion: '1', generation: 3, creationTimestamp: '', ...more },
  spec: {},
  ...(status !== undefined && { status }),
})
const ready = (status: 'True' | 'False', message = 'm'): ConditionDraft => ({
  type: 'Ready',
  status,
  reason: 'R',
  message,
})
const draft = (conditions: ConditionDraft[], to = 'online', more: Partial<Status> = {}): StatusDraft<Status> => ({
  ...more,
  conditions,
  transition: { to, reason: 'Why', actor: 'operator' },
})

test('the same again means no patch, an hour later too', () => {
  const first = statusOf(object(), draft([ready('True')]), settled, now)
  expect(first['observedGeneration']).toBe(3)
  expect(patchBetween(first, statusOf(object(first), draft([ready('True')]), settled, later))).toBeUndefined()
})

test('a condition keeps its time until its status changes', () => {
  const first = statusOf(object(), draft([ready('False', 'one')]), waiting, now)
  const second = statusOf(object(first), draft([ready('False', 'two')]), waiting, later) as CommonStatus
  expect(second.conditions?.[0]).toMatchObject({ message: 'two', lastTransitionTime: '2026-05-01T10:00:00Z' })
  const third = statusOf(object(second), draft([ready('True')]), settled, later) as CommonStatus
  expect(third.conditions?.[0]?.lastTransitionTime).toBe('2026-05-01T11:00:00Z')
})

test('Reconciling and Stalled are there only while true', () => {
  const types = (status: CommonStatus) => status.conditions?.map(({ type, status }) => `${type}=${status}`).join()
  expect(types(statusOf(object(), draft([ready('False')]), waiting, now))).toBe('Ready=False,Reconciling=True')
  expect(types(statusOf(object(), draft([ready('True')]), waiting, now))).toBe('Ready=True')
  const blocked: Outcome = { kind: 'blocked', reason: 'NoRuntime', message: 'no such runtime' }
  const stalled = statusOf(object(), draft([ready('True')]), blocked, now)
  expect(types(stalled)).toBe('Ready=False,Stalled=True')
  expect(types(statusOf(object(stalled), draft([ready('True')]), settled, now))).toBe('Ready=True')
})

test('history has a line for each change of state, and the last ten of them', () => {
  let status: CommonStatus = {}
  for (let n = 0; n < 12; n++) {
    status = statusOf(object(status), draft([], `state-${n}`), settled, now)
    status = statusOf(object(status), draft([], `state-${n}`), settled, later)
  }
  expect(status.history).toHaveLength(10)
  expect(status.history?.at(-1)).toMatchObject({ from: 'state-10', to: 'state-11', time: '2026-05-01T10:00:00Z' })
})

test('a request for a pass is acknowledged, and stays so when the annotation goes', () => {
  const asked = object({}, { annotations: { [reconcileRequestedAt]: 'now!' } })
  const status = statusOf(asked, draft([]), settled, now)
  expect(status['lastHandledReconcileAt']).toBe('now!')
  expect(statusOf(object(status), draft([]), settled, now)['lastHandledReconcileAt']).toBe('now!')
})

test('a patch holds what changed and null for what is gone, at any depth', () => {
  const before = { a: 1, keep: { x: 1, y: [1, 2] }, gone: 2, nested: { one: 1, two: 2 } }
  const after = { a: 2, keep: { y: [1, 2], x: 1 }, nested: { one: 1 }, fresh: { z: undefined } }
  expect(patchBetween(before, after)).toEqual({ a: 2, gone: null, nested: { two: null }, fresh: {} })
  expect(patchBetween({ a: 1 }, { a: 1, b: undefined })).toBeUndefined()
  expect(patchBetween({ i: { id: 'x', host: 'h' } }, { i: { id: 'x', host: undefined } })).toEqual({
    i: { host: null },
  })
})

test('the default observedGeneration of -1 is a status like any other', () => {
  expect(
    patchBetween({ observedGeneration: -1 }, statusOf(object({ observedGeneration: -1 }), draft([]), settled, now)),
  ).toMatchObject({ observedGeneration: 3 })
})

test('a Terminal keeps what was known and says what the user must mend', () => {
  const before = statusOf(
    object(),
    draft([ready('True'), { ...ready('True'), type: 'Recorded' }], 'online', { phase: 'p' }),
    settled,
    now,
  )
  const trouble = { kind: 'blocked', reason: 'BadSecret', message: 'Secret "x" has no key "y"' } as const
  const after = troubledStatusOf(object(before), trouble, later) as Status
  expect(after.phase).toBe('p')
  expect(after.summary).toBe('Stalled: Secret "x" has no key "y"')
  expect(after.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
    'Recorded=True',
    'Ready=False',
    'Stalled=True',
  ])
})

test('a pass that keeps failing says so without claiming to have seen the generation', () => {
  const before = { observedGeneration: 2, conditions: [] }
  const after = troubledStatusOf(object(before), { kind: 'retrying', reason: 'Retrying', message: 'no route' }, now)
  const unknown = { type: 'Ready', status: 'Unknown', reason: 'Retrying', message: 'no route' }
  const reconciling = { ...unknown, type: 'Reconciling', status: 'True' }
  expect(after).toMatchObject({ observedGeneration: 2, conditions: [unknown, reconciling] })
})

test('Ready is Unknown only until a pass has judged it; a later trouble leaves the verdict as it is', () => {
  const before = statusOf(object(), draft([ready('True')]), settled, now)
  const after = troubledStatusOf(object(before), { kind: 'waiting', reason: 'Away', message: 'not reachable' }, now)
  expect(after['conditions']).toMatchObject([
    { type: 'Ready', status: 'True', reason: 'R' },
    { type: 'Reconciling', status: 'True', reason: 'Away' },
  ])
})

test('what is waited for reads as a sentence, be it given as one or as what comes after "Waiting for"', () => {
  const messageOf = (outcome: Outcome) =>
    (statusOf(object(), draft([ready('False')]), outcome, now) as CommonStatus).conditions?.[1]?.message
  expect(messageOf(waiting)).toBe('Waiting for the agent to register')
  const pulled: Outcome = { kind: 'again', after: 1000 as never, sentence: 'image "x" is being pulled' }
  expect(messageOf(pulled)).toBe('Image "x" is being pulled')
})
