import { describe, expect, test } from 'vitest'
import type { Workspace } from '../../api/workspace.ts'
import { powerOf } from './power.ts'

const now = new Date('2026-01-01T12:00:00Z')
const at = (minutes: number) => new Date(now.getTime() + minutes * 60_000).toISOString()

type Spec = Partial<Pick<Workspace['spec'], 'power' | 'lifetime'>> & { readonly parent?: string }
const make = (name: string, { parent, ...spec }: Spec = {}, phase?: 'online' | 'paused'): Workspace =>
  ({
    metadata: { name, creationTimestamp: at(-600) },
    spec: { power: 'Running', ...spec, ...(parent !== undefined && { parentRef: { name: parent } }) },
    ...(phase !== undefined && { status: { phase } }),
  }) as unknown as Workspace

const family = (...members: Workspace[]) => {
  const named = new Map(members.map((member) => [member.metadata.name, member]))
  const isPaused = ({ status }: Workspace) => status?.phase === 'paused'
  return (name: string) => powerOf(named.get(name) ?? make(name), (other) => named.get(other), isPaused, now)
}

describe('power', () => {
  test('a paused ancestor at any height pauses, and the nearest is named', () => {
    const of = family(make('a', { power: 'Paused' }), make('b', { parent: 'a' }), make('c', { parent: 'b' }))
    expect(of('c').power).toEqual({ state: 'Paused', reason: 'AncestorPaused', by: 'a' })
    const both = family(
      make('a', { power: 'Paused' }),
      make('b', { parent: 'a', power: 'Paused' }),
      make('c', { parent: 'b' }),
    )
    expect(both('c').power).toMatchObject({ by: 'b' })
    expect(both('b').power).toEqual({ state: 'Paused', reason: 'AsAsked' })
  })

  test('a child follows a parent that has not been resumed yet', () => {
    const of = family(make('a', {}, 'paused'), make('b', { parent: 'a' }))
    expect(of('b')).toMatchObject({ power: { state: 'Running' }, awaitsParent: true })
    expect(family(make('a', {}, 'online'), make('b', { parent: 'a' }))('b').awaitsParent).toBe(false)
    expect(family(make('a'), make('b', { parent: 'a' }))('b').awaitsParent).toBe(false)
  })

  test('a cycle ends the walk', () => {
    expect(family(make('a', { parent: 'b' }), make('b', { parent: 'a' }))('a').power.state).toBe('Running')
  })

  test('a lifetime that is over pauses it and all below; one that deletes takes itself alone', () => {
    const paused = family(make('a', { lifetime: { expiresAt: at(-1), action: 'Pause' } }), make('b', { parent: 'a' }))
    expect(paused('a').power).toEqual({ state: 'Paused', reason: 'Expired' })
    expect(paused('b').power).toMatchObject({ reason: 'AncestorPaused', by: 'a' })
    const deleted = family(
      make('a', { lifetime: { expiresAfter: '9h', action: 'Delete' } }),
      make('b', { parent: 'a' }),
    )
    expect(deleted('a').end).toMatchObject({ action: 'Delete', over: true })
    expect(deleted('b').power.state).toBe('Running')
  })

  test('it says when time alone may change it: the notice of an own end, the end of an ancestor', () => {
    const of = family(make('a', { lifetime: { expiresAt: at(90), action: 'Pause' } }), make('b', { parent: 'a' }))
    expect(of('a').lookAgainIn).toBe(30 * 60_000)
    expect(of('b').lookAgainIn).toBe(90 * 60_000)
    expect(family(make('a'))('a').lookAgainIn).toBeUndefined()
  })
})
