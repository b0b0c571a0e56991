import { expect, test } from 'vitest'
import type { Workspace, WorkspaceStatus } from '../api/workspace.ts'
import type { StatusDraft } from '../kube/reconciler.ts'
import { Fleet, isPaused, isStarting, type PassResult } from './fleet.ts'

const workspace = (uid = 'u', generation = 1, status?: object) =>
  ({ metadata: { name: 'a', namespace: 'n', uid, generation }, spec: {}, status }) as unknown as Workspace
const draft = (part: Partial<StatusDraft<WorkspaceStatus>> = {}): StatusDraft<WorkspaceStatus> => ({
  phase: 'online',
  runtime: 'r',
  effectivePower: { state: 'Running', reason: 'AsAsked' },
  summary: '',
  conditions: [{ type: 'Ready', status: 'True', reason: 'Online', message: '' }],
  transition: { to: 'online', reason: 'Online', actor: 'agent' },
  ...part,
})

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
  fleet.noteBlocked(workspace('u', 1, forged))
  expect(fleet.of(workspace())).toMatchObject({ ready: false, runtime: undefined, power: undefined })
  fleet.note(workspace(), draft())
  fleet.noteBlocked(workspace('u', 2, forged))
  expect(fleet.of(workspace())).toMatchObject({ ready: false, runtime: 'r', power: 'Running', generation: 2 })
  fleet.noteBlocked(workspace('u', 3), { phase: 'paused' })
  expect(isPaused(fleet.of(workspace()))).toBe(true)
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
