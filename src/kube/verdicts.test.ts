import { expect, test, vi } from 'vitest'
import type { CommonStatus, Key } from '../api/meta.ts'
import { milliseconds } from '../duration.ts'
import { createLogger } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import type { Outcome, Verdict } from './reconciler.ts'
import { standingOf, Verdicts, type Standing } from './verdicts.ts'

const key = (name: string) => `acme/${name}` as Key

function given() {
  const [metrics, lines] = [createMetrics(), [] as Record<string, unknown>[]]
  const log = createLogger('info', { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) })
  const verdicts = new Verdicts({ controller: 'workspace', metrics })
  const set = (name: string, standing?: Standing, isNews?: boolean) =>
    verdicts.set(key(name), standing, (level, fields, message) => log[level](fields, message), isNews)
  const shown = async (metric: string) =>
    (await metrics.registry.metrics())
      .split('\n')
      .filter((line) => line.startsWith(`molecule_operator_${metric}{controller="workspace"`))
      .map((line) => line.replace(/^.*controller="workspace",/, '{'))
  return { verdicts, set, lines, said: () => lines.map(({ level, msg, reason }) => [level, msg, reason]), shown }
}

const stalled: Standing = { state: 'stalled', reason: 'ImageMissing', message: 'there is no image "x"' }
const waiting: Standing = { state: 'waiting', reason: 'Starting', message: 'the instance starts' }
const failing: Standing = { state: 'failing', reason: 'Retrying', message: 'broken' }

test('a verdict is said when it changes, and not again while it stays the same', () => {
  const { set, lines, said } = given()
  set('a', waiting)
  for (let i = 0; i < 5; i++) set('a', stalled)
  set('a', { ...stalled, message: 'there is no image "y"' })
  set('b', stalled)
  set('a')
  set('a')
  set('a', stalled)
  expect(said()).toEqual([
    ['info', 'object waits', 'Starting'],
    ['warn', 'object stalled', 'ImageMissing'],
    ['warn', 'object stalled', 'ImageMissing'],
    ['warn', 'object stalled', 'ImageMissing'],
    ['info', 'object recovered', undefined],
    ['warn', 'object stalled', 'ImageMissing'],
  ])
  expect(lines[1]).toMatchObject({ message: 'there is no image "x"' })
})

test('what was no news yet is said once it is', () => {
  const { set, said } = given()
  expect(set('a', waiting, false)).toBe(false)
  expect(set('a', waiting, true)).toBe(true)
  expect(set('a', waiting, true)).toBe(false)
  expect(said()).toHaveLength(1)
  // Ready after nothing but a wait is no news.
  set('a')
  expect(said()).toHaveLength(1)
})

test('a pass that throws has the line of its caller, once for each cause', () => {
  const { set, said } = given()
  expect([set('a', failing), set('a', failing), set('a', { ...failing, message: 'otherwise' })]).toEqual([
    true,
    false,
    true,
  ])
  expect(said()).toEqual([])
  set('a')
  expect(said()).toEqual([['info', 'object recovered', undefined]])
})

test('objects are counted by how they stand, and no longer once they are ready or gone', async () => {
  const { set, verdicts, shown } = given()
  set('a', stalled)
  set('b', stalled)
  set('c', waiting)
  verdicts.observe()
  expect(await shown('objects_not_ready')).toEqual([
    '{state="stalled",reason="ImageMissing"} 2',
    '{state="waiting",reason="Starting"} 1',
  ])
  set('a', waiting)
  verdicts.forget(key('b'))
  set('c')
  verdicts.observe()
  expect(await shown('objects_not_ready')).toEqual([
    '{state="stalled",reason="ImageMissing"} 0',
    '{state="waiting",reason="Starting"} 1',
  ])
})

test('the longest is counted from when it came into its state, whatever the reasons since', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const { set, verdicts, shown } = given()
    set('a', waiting)
    vi.advanceTimersByTime(60_000)
    set('a', { ...waiting, reason: 'AwaitingRegistration' })
    set('b', stalled)
    vi.advanceTimersByTime(30_000)
    verdicts.observe()
    const longest = await shown('longest_not_ready_seconds')
    expect(longest).toContain('{state="waiting"} 90')
    expect(longest).toContain('{state="stalled"} 30')
    expect(longest).toContain('{state="failing"} 0')
  } finally {
    vi.useRealTimers()
  }
})

test.each<[Outcome, boolean, Standing | undefined]>([
  [{ kind: 'settled' }, true, undefined],
  [{ kind: 'settled' }, false, { state: 'idle', reason: 'R', message: 'm' }],
  [{ kind: 'again', after: milliseconds(1), waitingFor: 'more' }, true, undefined],
  [
    { kind: 'again', after: milliseconds(1), waitingFor: 'more' },
    false,
    { state: 'waiting', reason: 'R', message: 'm' },
  ],
  [{ kind: 'blocked', reason: 'B', message: 'why' }, true, { state: 'stalled', reason: 'B', message: 'why' }],
])('%j, Ready %s', (outcome, ready, standing) => {
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False', reason: 'R', message: 'm' }] as const
  const verdict: Verdict<CommonStatus> = {
    outcome,
    status: { conditions, transition: { to: 'x', reason: 'R', actor: 'operator' } },
  }
  expect(standingOf(verdict)).toEqual(standing)
})
