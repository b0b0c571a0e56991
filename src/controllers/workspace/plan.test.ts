import { describe, expect, test } from 'vitest'
import type { InstanceId, Observation } from '../../backends/backend.ts'
import { milliseconds, minutes } from '../../duration.ts'
import { cells, holdOf, plan, sightOf, sights, wishes, type Memory } from './plan.ts'

const now = new Date('2026-01-01T00:00:00Z')
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000)
const id = 'c1' as InstanceId
const running = (specHash: string, startedAt: Date): Observation => ({
  state: 'running',
  id,
  address: '',
  specHash,
  startedAt,
  imageDigest: '',
})
const exited = (specHash: string): Observation => ({
  state: 'exited',
  id,
  specHash,
  exitCode: 1,
  detail: 'exit code 1',
  finishedAt: now,
})
const memory = (part: Partial<Memory> = {}): Memory => ({
  status: 'provisioning',
  launchedHash: 'h',
  launchedAt: ago(1),
  launchAttempts: 1,
  registeredAt: undefined,
  statusSince: ago(3600),
  wantedSince: ago(3600),
  ...part,
})
const look = (seen: Observation, part: Partial<Memory> = {}) => {
  const age = seen.state === 'running' ? now.getTime() - seen.startedAt.getTime() : 0
  return sightOf(seen, memory(part), 'h', minutes(10), milliseconds(age), now)
}
const lookAtBusy = (seen: Observation, part: Partial<Memory> = {}) =>
  sightOf(seen, memory(part), 'h', minutes(10), milliseconds(0), now, true)

describe('the table', () => {
  test('unknown never leads to anything but waiting', () => {
    expect(wishes.map((wish) => plan('unknown', wish))).toEqual(wishes.map(() => 'wait'))
  })

  test('only a running wish launches, and only where nothing was ever started', () => {
    const launching = cells().filter(({ step }) => step === 'launch')
    expect(launching.map(({ sight, wish }) => `${sight} ${wish}`)).toEqual([
      'absent running',
      'absent keeping',
      'created running',
      'created keeping',
    ])
  })

  test('a serving instance is touched only when it is not wanted', () => {
    expect(wishes.map((wish) => plan('serving', wish))).toEqual([
      'nothing',
      'nothing',
      'nothing',
      'remove',
      'remove',
      'erase',
    ])
  })

  test('an outdated instance that may not be replaced yet is left alone', () => {
    expect(plan('outdated', 'keeping')).toBe('nothing')
    expect(plan('outdated', 'running')).toBe('replace')
  })

  test('one that is on its way out is asked to go again, whatever is wanted', () => {
    for (const wish of wishes) expect(plan('stopping', wish)).toBe(wish === 'deleted' ? 'erase' : 'remove')
  })

  test('erase belongs to deletion alone, and deletion ends in nothing else once the backend answers', () => {
    for (const { sight, wish, step } of cells())
      expect(step === 'erase').toBe(wish === 'deleted' && sight !== 'unknown')
  })

  test('every sight but a serving one has a way back to a running instance', () => {
    const leadsTo: Record<string, string> = { remove: 'absent', replace: 'absent', fail: 'ended', launch: 'serving' }
    for (const start of sights) {
      let sight: string = start
      for (let i = 0; i < 5 && sight !== 'serving'; i++) {
        const step = plan(sight as (typeof sights)[number], 'running')
        if (step === 'wait') sight = { unknown: 'absent', starting: 'booting', booting: 'serving' }[sight] ?? 'stuck'
        else sight = leadsTo[step] ?? 'stuck'
      }
      expect(sight, `from ${start}`).toBe('serving')
    }
  })
})

describe('what a look means', () => {
  test('an instance of another desired state is outdated while it runs, and a leftover else', () => {
    expect(look(running('old', now))).toBe('outdated')
    expect(look(exited('old'))).toBe('leftover')
    expect(look({ state: 'created', id, specHash: 'old' })).toBe('leftover')
  })

  test('an instance whose launch the row does not know has no token that is good: it is replaced', () => {
    const lost = { launchedHash: undefined, launchedAt: undefined, launchAttempts: 0 }
    expect(look(running('h', now), lost)).toBe('outdated')
    expect(look(running('old', now), lost)).toBe('outdated')
    expect(look({ state: 'starting', id, since: now, specHash: 'h' }, lost)).toBe('starting')
  })

  test('an adopted instance stands for what the row says it does', () => {
    expect(look(running('adopted', now), { registeredAt: now })).toBe('serving')
    expect(look(running('adopted', now), { registeredAt: now, launchedHash: 'older' })).toBe('outdated')
  })

  test('a silent agent is mute at the second look, and never before it had time to settle', () => {
    const silent = { registeredAt: ago(600), status: 'offline', statusSince: ago(31) } as const
    expect(look(running('h', ago(600)), silent)).toBe('mute')
    expect(look(running('h', ago(600)), { ...silent, statusSince: ago(29) })).toBe('serving')
    expect(look(running('h', ago(59)), silent)).toBe('serving')
  })

  test('an agent at work for too long is stuck while it serves as wanted, and in no other state', () => {
    const registered = { registeredAt: ago(600), status: 'online' } as const
    expect(lookAtBusy(running('h', now), registered)).toBe('stuck')
    expect(lookAtBusy(running('old', now), registered)).toBe('outdated')
    expect(lookAtBusy(running('h', now), { ...registered, status: 'offline' })).toBe('serving')
    expect(lookAtBusy(running('h', now), { ...registered, status: 'failed' })).toBe('silent')
    expect(lookAtBusy(running('h', now))).toBe('booting')
    expect(wishes.map((wish) => plan('stuck', wish))).toEqual(wishes.map((wish) => plan('mute', wish)))
  })

  test('a running instance boots, serves, or is overdue by the deadline of its runtime', () => {
    expect(look(running('h', ago(599)))).toBe('booting')
    expect(look(running('h', ago(600)))).toBe('overdue')
    expect(look(running('h', ago(600)), { status: 'failed' })).toBe('silent')
    expect(look(running('h', ago(600)), { registeredAt: ago(5) })).toBe('serving')
  })

  test('an end is recorded once', () => {
    expect(look(exited('h'), { status: 'online' })).toBe('crashed')
    expect(look(exited('h'), { status: 'failed' })).toBe('ended')
    expect(look(exited('h'), { status: 'offline' })).toBe('ended')
  })
})

describe('holding back', () => {
  test('a desired state never launched is not held back, but for the quiet that makes ten changes one', () => {
    expect(holdOf(memory({ launchedAt: undefined }), 'h', now)).toBe(0)
    expect(holdOf(memory({ launchedHash: 'other', wantedSince: ago(1) }), 'h', now)).toBe(0)
    expect(holdOf(memory({ launchedHash: 'other', wantedSince: ago(0.2) }), 'h', now)).toBe(300)
  })

  test('a clock that was set back an hour holds nothing back for an hour', () => {
    expect(holdOf(memory({ launchedHash: 'other', wantedSince: ago(-3600) }), 'h', now)).toBe(0)
    expect(holdOf(memory({ launchedAt: ago(-3600), launchAttempts: 1 }), 'h', now)).toBe(0)
    // Two clocks are never quite alike.
    expect(holdOf(memory({ launchedAt: ago(-0.5), launchAttempts: 1 }), 'h', now)).toBe(5000)
  })

  test('failed boots double the wait up to five minutes', () => {
    const hold = (launchAttempts: number) => holdOf(memory({ launchedAt: now, launchAttempts }), 'h', now)
    expect([1, 2, 3, 4].map(hold)).toEqual([5000, 10_000, 20_000, 40_000])
    expect(hold(50)).toBe(300_000)
  })

  test('an instance that served comes back at once, but never in a tight loop', () => {
    const served = { launchAttempts: 0, registeredAt: ago(1) }
    expect(holdOf(memory({ ...served, launchedAt: ago(60) }), 'h', now)).toBe(0)
    expect(holdOf(memory({ ...served, launchedAt: ago(2) }), 'h', now)).toBe(3000)
  })
})
