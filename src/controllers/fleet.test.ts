import { expect, test } from 'vitest'
import type { Workspace, WorkspaceStatus } from '../api/workspace.ts'
import type { Outcome, StatusDraft, Verdict } from '../kube/reconciler.ts'
import { Fleet, isPaused, isStarting, type PassResult } from './fleet.ts'

const workspace = (uid = 'u', generation = 1, status?: object) =>
  ({ metadata: { name: 'a', namespace: 'n', uid, generation }, spec: {}, status }) as unknown as Workspace
const draft = (
  part: Partial<StatusDraft<WorkspaceStatus>> = {},
  outcome: Outcome = { kind: 'settled' },
): Verdict<WorkspaceStatus> => ({
  status: {
    phase: 'online',
    runtime: 'r',
    effectivePower: { state: 'Running', reason: 'AsAsked' },
    summary: '',
    conditions: [{ type: 'Ready', status: 'True', reason: 'Online', message: '' }],
    transition: { to: 'online', reason: 'Online', actor: 'agent' },
    ...part,
  },
  outcome,
})
const lost = { reason: 'HeartbeatLost', message: 'the agent has fallen silent', blocked: false }

test('a result is of one object: a namesake that comes later has none', () => {
  const fleet = new Fleet()
  fleet.note(workspace('u'), draft())
  expect(fleet.of(workspace('u'))).toMatchObject({ ready: true, runtime: 'r' })
  expect(fleet.of(workspace('v'))).toBeUndefined()
  fleet.note(workspace('v'), draft())
  fleet.forget(workspace('u'))
  expect(fleet.of(workspace('v'))).toBeDefined()
})

test('a pass that could not begin takes nothing from the status', () => {
  const forged = { phase: 'paused', runtime: 'other', effectivePower: { state: 'Paused', reason: 'AsAsked' } }
  const fleet = new Fleet()
  fleet.noteBlocked(workspace('u', 1, forged), lost)
  expect(fleet.of(workspace())).toMatchObject({ ready: false, runtime: undefined, power: undefined })
  fleet.note(workspace(), draft())
  fleet.noteBlocked(workspace('u', 2, forged), lost)
  expect(fleet.of(workspace())).toMatchObject({ ready: false, runtime: 'r', power: 'Running', generation: 2 })
  fleet.noteBlocked(workspace('u', 3), lost, { halted: { phase: 'paused' } })
  expect(isPaused(fleet.of(workspace()))).toBe(true)
})

test('what a pass could not look at is what was found before, or what the row says, and never the status', () => {
  const fleet = new Fleet()
  const [known, forged] = [new Date('2026-01-02T00:00:00Z'), '2026-01-01T00:00:00Z']
  // The draft of such a pass repeats the status.
  const repeated = draft({
    instance: { backend: 'docker', startedAt: forged },
    image: { ref: 'forged', current: true },
    parts: { schedules: 9, channels: 9 },
  })
  const blind = { instance: { startedAt: known }, parts: false }
  fleet.note(workspace(), repeated, blind)
  expect(fleet.of(workspace())).toMatchObject({ startedAt: known, image: undefined, parts: undefined, rowRead: true })
  const image = { ref: 'seen', current: false }
  fleet.note(workspace(), draft({ image, parts: { schedules: 1, channels: 0 } }))
  fleet.note(workspace(), repeated, blind)
  expect(fleet.of(workspace())).toMatchObject({ image, parts: { schedules: 1, channels: 0 } })
})

test('of a pass that could not begin, the row says what runs', () => {
  const fleet = new Fleet()
  fleet.noteBlocked(workspace(), lost)
  expect(fleet.of(workspace())).toMatchObject({ runtime: undefined, rowRead: false })
  fleet.noteBlocked(workspace(), lost, { row: 'none' })
  expect(fleet.of(workspace())).toMatchObject({ runtime: undefined, rowRead: true })
  const row = { runtime: 'r', startedAt: new Date() }
  fleet.noteBlocked(workspace('v'), lost, { row })
  fleet.noteBlocked(workspace('v'), lost)
  expect(fleet.of(workspace('v'))).toMatchObject({ ...row, rowRead: true })
})

test('a result says why it is not ready, and whether only a person can help', () => {
  const fleet = new Fleet()
  const silent = [{ type: 'Ready', status: 'False', reason: lost.reason, message: lost.message }] as const
  fleet.note(workspace(), draft({ phase: 'offline', conditions: silent, parts: { schedules: 1, channels: 0 } }))
  expect(fleet.of(workspace())).toMatchObject({ ready: false, unready: lost, parts: { schedules: 1, channels: 0 } })
  const blocked = { kind: 'blocked', reason: 'LaunchFailed', message: 'no such option' } as const
  fleet.note(workspace(), draft({ conditions: silent }, blocked))
  expect(fleet.of(workspace())?.unready).toEqual({ reason: 'LaunchFailed', message: 'no such option', blocked: true })
  fleet.note(workspace(), draft({}, blocked))
  expect(fleet.of(workspace())?.ready).toBe(false)
  fleet.note(workspace(), draft())
  expect(fleet.of(workspace())?.unready).toBeUndefined()
  fleet.noteBlocked(workspace(), { ...lost, message: 'x'.repeat(10_000) })
  expect(fleet.of(workspace())?.unready?.message.length).toBe(300)
})

test('listeners are told what was known and what is', () => {
  const told: (readonly [PassResult | undefined, PassResult | undefined])[] = []
  const fleet = new Fleet()
  fleet.onChange((_, before, after) => told.push([before, after]))
  fleet.note(workspace(), draft({ phase: 'provisioning' }))
  fleet.note(workspace(), draft())
  fleet.forget(workspace())
  expect(told.map((pair) => pair.map((each) => each?.phase))).toEqual([
    [undefined, 'provisioning'],
    ['provisioning', 'online'],
    ['online', undefined],
  ])
})

test('starting is what no pass has seen through, whatever its status says', () => {
  const fleet = new Fleet()
  const forged = workspace('u', 1, { phase: 'online', observedGeneration: 1 })
  expect(isStarting(forged, fleet.of(forged))).toBe(true)
  fleet.note(forged, draft({ phase: 'provisioning' }))
  expect(isStarting(forged, fleet.of(forged))).toBe(true)
  fleet.note(forged, draft())
  expect(isStarting(forged, fleet.of(forged))).toBe(false)
  expect(isStarting(workspace('u', 2), fleet.of(forged))).toBe(true)
})
