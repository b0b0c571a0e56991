import { expect, it } from 'vitest'
import { Turns } from './turns.ts'

/** Turns over a map of what is starting, which the test changes. */
function turnsOf(starting: Record<string, number> = {}, cap = 1000) {
  const now = new Map(Object.entries(starting))
  return { now, turns: new Turns({ starting: () => now, cap }) }
}

it('gives no more than may be starting at once in a namespace, whichever import asks', () => {
  const { now, turns } = turnsOf()
  const a = turns.take('n/a', 5, 3)
  expect(a.given).toBe(3)
  expect(turns.take('n/b', 5, 3).given).toBe(0)
  for (let i = 0; i < 3; i++) a.landed()
  now.set('n', 3)
  expect(turns.take('n/b', 5, 3).given).toBe(0)
  now.set('n', 2)
  expect(turns.waiting).toEqual(['n/a', 'n/b'])
  // The one that waits longest comes first.
  expect(turns.take('n/b', 5, 3).given).toBe(0)
  expect(turns.take('n/a', 2, 3).given).toBe(1)
})

it('shares what is free among the imports of a namespace that wait', () => {
  const { now, turns } = turnsOf({ n: 6 })
  for (const org of ['n/a', 'n/b', 'n/c'] as const) expect(turns.take(org, 10, 6).given).toBe(0)
  now.delete('n')
  expect((['n/a', 'n/b', 'n/c'] as const).map((org) => turns.take(org, 10, 6).given)).toEqual([2, 1, 1])
})

it('takes back what was not used, and forgets an import that wants nothing', () => {
  const { turns } = turnsOf()
  const a = turns.take('n/a', 3, 3)
  a.landed()
  a.end()
  expect(turns.take('n/b', 3, 3).given).toBe(3)
  expect(turns.take('n/c', 1, 3).given).toBe(0)
  turns.leave('n/c')
  expect(turns.waiting).toEqual([])
})

it('what never comes up in one namespace keeps no import of another waiting', () => {
  const { turns } = turnsOf({ attacker: 500 })
  expect(turns.take('victim/org', 10, 3).given).toBe(3)
  // Nor where all that may start at once is taken.
  const { turns: full } = turnsOf({ attacker: 500 }, 40)
  expect(full.take('victim/org', 50, 100).given).toBe(20)
  expect(full.take('other/org', 50, 100).given).toBe(13)
})

it('one namespace alone may use the whole cap, and no more', () => {
  const { turns } = turnsOf({}, 40)
  expect(turns.take('n/a', 100, 1000).given).toBe(40)
  expect(turns.take('n/b', 100, 1000).given).toBe(0)
  expect(turns.take('m/a', 100, 1000).given).toBe(20)
})
