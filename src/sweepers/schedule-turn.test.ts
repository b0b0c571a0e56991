import { expect, test } from 'vitest'
import { milliseconds, minutes, seconds } from '../duration.ts'
import type { OpenRun } from '../store/schedule-store.ts'
import { phases, workspaceId, type Phase } from '../store/workspace-store.ts'
import { turnOf } from './schedule-turn.ts'

const run = (more: Partial<OpenRun> = {}): OpenRun => ({
  id: 'run',
  workspaceId: workspaceId('ws'),
  namespace: 'default',
  schedule: 'daily',
  enabled: true,
  dueAt: new Date(0),
  waited: seconds(0),
  attempts: 0,
  phase: 'online',
  waking: false,
  deliveryMode: 'push',
  activeTasks: 0,
  maxConcurrentTasks: 1,
  ...more,
})
const told = (more: Partial<OpenRun>, here = 0) => {
  const turn = turnOf(run(more), here)
  return turn.act === 'skip' ? `skip: ${turn.why}` : turn.act
}

/** At once, after two minutes, after ten. */
const table: Record<Phase, readonly [string, string, string]> = {
  online: ['deliver', 'deliver', 'deliver'],
  degraded: ['deliver', 'deliver', 'deliver'],
  hibernating: ['wake', 'wake', 'skip: the agent did not wake for 10m'],
  hibernated: ['wake', 'wake', 'skip: the agent did not wake for 10m'],
  provisioning: ['await', 'await', 'skip: the agent did not start for 10m'],
  offline: ['wait', 'skip: the workspace was offline for 2m', 'skip: the workspace was offline for 2m'],
  failed: ['wait', 'skip: the workspace was failed for 2m', 'skip: the workspace was failed for 2m'],
  awaiting_agent: [
    'wait',
    'skip: the workspace was awaiting agent for 2m',
    'skip: the workspace was awaiting agent for 2m',
  ],
  paused: ['skip: the workspace is paused', 'skip: the workspace is paused', 'skip: the workspace is paused'],
  removed: ['skip: the workspace is removed', 'skip: the workspace is removed', 'skip: the workspace is removed'],
}

test.each(phases)('%s', (phase) => {
  const turns = [seconds(0), minutes(2), minutes(10)].map((waited) => told({ phase, waited }))
  expect(turns).toEqual(table[phase])
})

test('a busy agent is waited for, and not for ever', () => {
  expect(told({ activeTasks: 1 })).toBe('wait')
  expect(told({ activeTasks: 1, waited: milliseconds(minutes(2) - 1) })).toBe('wait')
  expect(told({ activeTasks: 1, waited: minutes(2) })).toBe('skip: the agent was busy for 2m')
  expect(told({ activeTasks: 1, maxConcurrentTasks: 2 })).toBe('deliver')
})

test('who was asked to wake is not asked again', () => {
  for (const phase of ['hibernating', 'hibernated'] as const) {
    expect(told({ phase, waking: true })).toBe('await')
    expect(told({ phase, waking: true, waited: minutes(10) })).toBe('skip: the agent did not wake for 10m')
  }
})

test('what is on its way to an agent counts before the agent says so', () => {
  expect(told({}, 1)).toBe('wait')
  expect(told({ maxConcurrentTasks: 2 }, 1)).toBe('deliver')
  // Not twice: the task that the agent speaks of may be that very prompt.
  expect(told({ maxConcurrentTasks: 2, activeTasks: 1 }, 1)).toBe('deliver')
})

test('an agent that polls gets it whatever it does, but for pause and removal', () => {
  for (const phase of ['offline', 'provisioning', 'hibernated', 'online'] as const)
    expect(told({ phase, deliveryMode: 'poll', activeTasks: 5 })).toBe('deliver')
  expect(told({ phase: 'paused', deliveryMode: 'poll' })).toBe('skip: the workspace is paused')
})

test('a schedule that was turned off meanwhile does not run', () => {
  expect(told({ enabled: false })).toBe('skip: the schedule was turned off')
})
