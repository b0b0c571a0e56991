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
  const awaited = 'AwaitingRegistration: the agent has not registered yet'
  const given = "; the operator's address that it was given is http://molecule:8080"
  expect(connected({})).toBe(`${awaited}${given}`)
  expect(connected({ lastHeartbeatAt: new Date(1000) })).toBe(
    'NotRegistered: the agent has been heard of, but has not registered: no message reaches it',
  )
  expect(connected({ registrationRefusal: 'url cannot be used: no' })).toBe(
    'NotRegistered: the registration of the agent was refused: url cannot be used: no',
  )
})

type Told = readonly [reason: string, message: string, holds?: boolean | 'Unknown']
const online = { registeredAt: new Date(), lastError: 'no beat for 3m', instanceId: '0123456789abcdef' }

test.each<[name: string, row: Partial<WorkspaceRow>, more: object, told: Told]>([
  [
    'its owner runs it',
    { backend: 'external' },
    { sight: 'absent' },
    ['External', 'the agent is run by its owner: there is nothing to launch', true],
  ],
  [
    'a person has to mend the launch',
    {},
    { sight: 'absent', refusal: { reason: 'ImageMissing', message: 'image "x" is not there' } },
    ['LaunchFailed', 'image "x" is not there'],
  ],
  [
    'the launch waits for what the backend named',
    {},
    { sight: 'absent', delay: { why: 'image "x" is being pulled', reason: 'ImagePulling' } },
    ['ImagePulling', 'image "x" is being pulled'],
  ],
  ['and for what it did not', {}, { sight: 'absent', delay: { why: 'no room' } }, ['Starting', 'no room']],
  [
    'the backend is away',
    {},
    { sight: 'unknown', seen: { state: 'unknown', cause: 'connect ECONNREFUSED' } },
    ['BackendUnreachable', 'backend docker does not answer: connect ECONNREFUSED', 'Unknown'],
  ],
  ['it boots', online, { sight: 'booting' }, ['Running', 'instance 0123456789ab on docker', true]],
  ['it serves', online, { sight: 'serving' }, ['Running', 'instance 0123456789ab on docker', true]],
  ['its id is not recorded', {}, { sight: 'serving' }, ['Running', 'instance unknown on docker', true]],
  ['its beats stopped', online, { sight: 'silent' }, ['HeartbeatLost', 'no beat for 3m']],
  [
    'its work stopped',
    { ...online, lastFailure: { reason: 'NoProgress', exitCode: undefined, at: new Date(), logTail: '' } },
    { sight: 'silent' },
    ['NoProgress', 'no beat for 3m'],
  ],
  [
    'it never registered',
    {},
    { sight: 'silent' },
    ['BootDeadlineExceeded', 'the agent did not register at http://molecule:8080 within 5m: no cgroup'],
  ],
  ['it crashed', {}, { sight: 'crashed' }, ['InstanceExited', 'no cgroup']],
  ['it ended without a word', { lastError: undefined }, { sight: 'ended' }, ['InstanceExited', 'it ended']],
  ['it is mute', {}, { sight: 'mute' }, ['HeartbeatLost', 'the agent has fallen silent: it is started anew']],
  ['it is stuck', {}, { sight: 'stuck' }, ['NoProgress', 'the agent is at work without progress: it is started anew']],
  [
    'it is outdated and kept',
    online,
    { sight: 'outdated', wish: 'keeping' },
    ['Running', 'instance 0123456789ab on docker', true],
  ],
  [
    'it is outdated',
    online,
    { sight: 'outdated', wish: 'running' },
    ['Replacing', 'the instance is being replaced: what it was started with changed'],
  ],
  [
    'it is of another life',
    {},
    { sight: 'leftover' },
    ['Replacing', 'the instance is being replaced: what it was started with changed'],
  ],
  ['it stops', {}, { sight: 'stopping' }, ['Stopping', 'the instance is stopping']],
  ['it comes', {}, { sight: 'starting' }, ['Starting', 'the instance is starting on docker']],
  ['it is paused', {}, { sight: 'absent', wish: 'stopped' }, ['Paused', 'paused: there is no instance']],
  ['it sleeps', {}, { sight: 'absent', wish: 'asleep' }, ['Hibernated', 'asleep: there is no instance']],
  [
    'it waits for its parent',
    {},
    { sight: 'absent', wish: 'running', power: { awaitsParent: true } },
    ['Waiting', 'starts as soon as its parent is resumed'],
  ],
  [
    'its first launch has to wait',
    { lastError: undefined },
    { sight: 'absent', wish: 'running' },
    ['Starting', 'the instance is starting on docker'],
  ],
])('whether it is launched: %s', (_, given, more, [reason, message, holds = false]) => {
  const desired = { bootDeadline: minutes(5), instance: { env: { PLATFORM_URL: 'http://molecule:8080' } } }
  expect(judgeLaunched(failed(given, { desired, ...more }))).toEqual({ holds, reason, message })
})

test.each<[name: string, row: Partial<WorkspaceRow>, more: object, told: Told]>([
  ['paused', {}, { wish: 'stopped' }, ['Paused', 'paused: no agent is expected']],
  ['asleep', {}, { wish: 'asleep' }, ['Hibernated', 'asleep: no agent is expected']],
  ['online', { status: 'online' }, { sight: 'serving' }, ['Registered', 'the agent is registered and beats', true]],
  [
    'online, run by its owner',
    { status: 'online', backend: 'external' },
    { sight: 'absent' },
    ['Registered', 'the agent is registered and beats', true],
  ],
  [
    'online, outdated and kept',
    { status: 'online', registeredAt: new Date() },
    { sight: 'outdated', wish: 'keeping' },
    ['Registered', 'the agent is registered and beats', true],
  ],
  [
    'failing',
    { status: 'degraded', lastError: '401' },
    { sight: 'serving' },
    ['AgentDegraded', 'the agent beats, but fails: 401', true],
  ],
  [
    'failing without a word',
    { status: 'degraded', lastError: undefined },
    { sight: 'serving' },
    ['AgentDegraded', 'the agent beats, but fails: it says it is wedged', true],
  ],
  ['silent', { status: 'offline' }, { sight: 'serving' }, ['HeartbeatLost', 'the agent has fallen silent']],
  ...(['online', 'degraded'] as const).map(
    (status) =>
      [
        `${status} by its row alone`,
        { status, registeredAt: new Date() },
        { sight: 'absent' },
        [
          'AwaitingRegistration',
          "the agent has not registered yet; the operator's address that it was given is http://molecule:8080",
        ],
      ] as [string, Partial<WorkspaceRow>, object, Told],
  ),
])('whether it is connected: %s', (_, given, more, [reason, message, holds = false]) => {
  expect(judgeConnected(failed(given, more))).toEqual({ holds, reason, message })
})

test('an address that is none is not shown', () => {
  expect(judgeConnected(facts('')).message).toContain('is none')
})

const powerOf = (power: object) => ({ power: { power } })
test.each<[name: string, row: Partial<WorkspaceRow>, more: object, told: Told]>([
  [
    'paused as asked',
    {},
    { wish: 'stopped', ...powerOf({ state: 'Paused', reason: 'AsAsked' }) },
    ['Paused', 'Paused: there is no instance, its configuration is kept', true],
  ],
  [
    'paused at its end',
    {},
    { wish: 'stopped', ...powerOf({ state: 'Paused', reason: 'Expired' }) },
    ['Paused', 'Paused: its lifetime is over; there is no instance, its configuration is kept', true],
  ],
  [
    'paused with another',
    {},
    { wish: 'stopped', ...powerOf({ state: 'Paused', reason: 'AncestorPaused', by: 'boss' }) },
    ['Paused', 'Paused with its ancestor "boss": there is no instance, its configuration is kept', true],
  ],
  ['still pausing', {}, { wish: 'stopped', sight: 'serving' }, ['Stopping', 'Pausing: the instance is being stopped']],
  ['asleep', {}, { wish: 'asleep' }, ['Hibernated', 'Hibernated: idle, wakes on a message or a schedule', true]],
  [
    'falling asleep',
    {},
    { wish: 'asleep', sight: 'serving' },
    ['Stopping', 'Falling asleep: the instance is being stopped'],
  ],
  [
    'online',
    { status: 'online' },
    { sight: 'serving' },
    ['Settled', 'Online: the agent is registered and beats', true],
  ],
  [
    'failing',
    { status: 'degraded', lastError: '401' },
    { sight: 'serving' },
    ['AgentDegraded', 'The agent beats, but fails: 401'],
  ],
  ['silent', { status: 'offline' }, { sight: 'serving' }, ['HeartbeatLost', 'The agent has fallen silent']],
  ['starting', {}, { sight: 'starting', hold: 5000 }, ['Starting', 'The instance is starting on docker']],
  [
    'crashed just now',
    { registeredAt: new Date(), launchAttempts: 0 },
    { sight: 'crashed', hold: 0 },
    ['InstanceExited', 'No cgroup'],
  ],
])('whether it is ready: %s', (_, given, more, [reason, message, holds = false]) => {
  expect(readyOf(failed(given, more))).toEqual({ holds, reason, message })
})
