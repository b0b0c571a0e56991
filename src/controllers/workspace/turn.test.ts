import { describe, expect, test } from 'vitest'
import { milliseconds } from '../../duration.ts'
import type { HashPart } from './spec-hash.ts'
import { patience, turnOf, type Circumstances } from './turn.ts'

const now = new Date('2026-01-01T00:00:00Z')
const ago = (ms: number) => new Date(now.getTime() - ms)

function turn(
  changed: readonly HashPart[],
  part: Partial<Omit<Circumstances, 'row' | 'spec'>> & {
    row?: Partial<Circumstances['row']>
    spec?: Partial<Circumstances['spec']>
  } = {},
): string {
  const found = turnOf({
    rollout: 'WhenIdle',
    canaries: { kind: 'good' },
    now,
    ...part,
    changed: new Set(changed),
    spec: { updateStrategy: 'WhenIdle', updateRing: 'production', ...part.spec },
    row: { activeTasks: 0, wantedSince: ago(0), registeredAt: ago(9), template: '', status: 'online', ...part.row },
  })
  return found.kind === 'now' ? 'now' : found.reason
}

describe('an outdated instance', () => {
  test('that is idle is replaced now', () => expect(turn(['content'])).toBe('now'))

  test('at work is replaced when idle, or when patience ends, or at once if the spec says so', () => {
    const row = { activeTasks: 1 }
    expect(turn(['content'], { row })).toBe('WaitsForIdle')
    expect(turn(['content'], { row: { ...row, wantedSince: ago(patience) } })).toBe('now')
    expect(turn(['content'], { row, spec: { updateStrategy: 'Immediate' } })).toBe('now')
  })

  test('waits for its restart where the spec, or for an image the Runtime, says so', () => {
    expect(turn(['content'], { spec: { updateStrategy: 'OnRestart' } })).toBe('WaitsForRestart')
    expect(turn(['image'], { rollout: 'OnRestart' })).toBe('WaitsForRestart')
    expect(turn(['content', 'image'], { rollout: 'OnRestart' })).toBe('now')
  })

  test('waits for the canaries when its image changed, unless it is one', () => {
    const canaries = { kind: 'unproved', names: ['canary'], elsewhere: 0 } as const
    expect(turn(['image'], { canaries })).toBe('WaitsForCanaries')
    expect(turn(['image'], { canaries: { kind: 'soaking', left: milliseconds(5) } })).toBe('WaitsForCanaries')
    expect(turn(['image'], { canaries, spec: { updateRing: 'canary' } })).toBe('now')
    expect(turn(['content'], { canaries })).toBe('now')
  })

  test('that was asked to restart, or never came up, or is lost, waits for nothing', () => {
    const held = {
      spec: { updateStrategy: 'OnRestart' },
      canaries: { kind: 'unproved', names: [], elsewhere: 1 },
    } as const
    expect(turn(['restart', 'image'], { ...held, row: { activeTasks: 3 } })).toBe('now')
    expect(turn(['image'], { ...held, row: { registeredAt: undefined } })).toBe('now')
    expect(turn(['image'], { ...held, row: { status: 'offline' } })).toBe('now')
  })

  test('of a template that nobody knows is not replaced, whatever is asked', () => {
    expect(turn(['restart'], { row: { template: undefined } })).toBe('TemplateUnknown')
  })
})
