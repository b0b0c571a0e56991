import { expect, test } from 'vitest'
import { minutes } from '../../duration.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import { judgeConnected, judgeLaunched, judgeReady, type Facts } from './judge.ts'

const facts = (PLATFORM_URL: string, more: object = {}) =>
  ({
    row: { backend: 'docker', status: 'provisioning' },
    wish: 'running',
    sight: 'booting',
    hold: 0,
    power: { power: { state: 'Running', reason: 'AsAsked' }, awaitsParent: false },
    desired: { bootDeadline: minutes(5), instance: { env: { PLATFORM_URL } } },
    ...more,
  }) as unknown as Facts

test('where an agent does not register, the address that it was given is named, without what may be secret in it', () => {
  expect(judgeConnected(facts('http://op:hunter2@127.0.0.1:8080/x?token=hunter2'))).toEqual({
    holds: false,
    reason: 'AwaitingRegistration',
    message: "the agent has not registered yet; the operator's address that it was given is http://127.0.0.1:8080",
  })
  const external = facts('http://operator:8080', { row: { backend: 'external', status: 'awaiting_agent' } })
  expect(judgeConnected(external).message).toBe(
    'the agent has not registered yet: its owner starts it, since the backend external launches nothing',
  )
  expect(judgeLaunched(facts('http://operator:8080/', { sight: 'overdue' }))).toMatchObject({
    reason: 'BootDeadlineExceeded',
    message: expect.stringMatching(/^the agent did not register at http:\/\/operator:8080 within 5m: /),
  })
})

const row: Partial<WorkspaceRow> = { status: 'failed', backend: 'docker', launchAttempts: 2, lastError: 'no cgroup' }
const failed = (given: Partial<WorkspaceRow>, more: object = {}) =>
  ({
    row: { ...row, ...given },
    desired: { instance: { env: { PLATFORM_URL: 'http://molecule:8080' } } },
    sight: 'absent',
    wish: 'holding',
    hold: 5000,
    power: { power: { state: 'Running' } },
    turn: { kind: 'now' },
    seen: { state: 'absent' },
    ...more,
  }) as unknown as Facts

const readyOf = (given: Facts) => judgeReady(given, judgeLaunched(given), judgeConnected(given))

test.each([
  [{}, 'BackingOff'],
  [{ lastFailure: { reason: 'LaunchFailed', exitCode: undefined, at: new Date(), logTail: '' } }, 'LaunchFailed'],
] as const)('a launch that failed says why, and when the next one is', (given, reason) => {
  for (const sight of ['absent', 'created']) {
    expect(judgeLaunched(failed(given, { sight }))).toEqual({ holds: false, reason, message: 'no cgroup' })
    expect(readyOf(failed(given, { sight }))).toEqual({
      holds: false,
      reason,
      message: 'No cgroup; tried again after 10s (attempt 2 failed)',
      summary: 'Tried again after 10s (attempt 2 failed): no cgroup',
    })
  }
})

test('one that served counts no attempt', () => {
  const served = failed({
    launchAttempts: 0,
    registeredAt: new Date(),
    lastError: 'exit code 1; last output: Error: x | at y',
  })
  expect(readyOf(served).summary).toBe('Tried again after 5s: exit code 1: Error: x')
})

test('what is due is starting, whatever the last launch said', () => {
  for (const sight of ['absent', 'created'])
    expect(judgeLaunched(failed({}, { sight, hold: 0 })).message).toBe('the instance is starting on docker')
})

test('an agent that is not there says what it lacks', () => {
  const connected = (given: Partial<WorkspaceRow>) => {
    const { reason, message } = judgeConnected(failed({ status: 'provisioning', ...given }, { sight: 'booting' }))
    return `${reason}: ${message}`
  }
  const [earlier, later] = [new Date(1000), new Date(2000)]
  const awaited = 'AwaitingRegistration: the agent has not registered yet'
  const given = "; the operator's address that it was given is http://molecule:8080"
  expect(connected({})).toBe(`${awaited}${given}`)
  expect(connected({ launchedAt: later, lastHeartbeatAt: earlier })).toBe(`${awaited}${given}`)
  expect(connected({ launchedAt: earlier, lastHeartbeatAt: later })).toBe(
    'NotRegistered: the agent has been heard of, but has not registered: no message reaches it',
  )
  expect(connected({ registrationRefusal: 'url cannot be used: no' })).toBe(
    'NotRegistered: the registration of the agent was refused: url cannot be used: no',
  )
})
