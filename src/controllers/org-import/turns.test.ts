import { expect, it } from 'vitest'
import { Turns } from './turns.ts'

it('gives no more than may be starting at once, whoever asks', () => {
  let starting = 0
  const turns = new Turns(() => starting)
  const a = turns.take('a', 5, 3)
  expect(a.given).toBe(3)
  expect(turns.take('b', 5, 3).given).toBe(0)
  for (let i = 0; i < 3; i++) a.landed()
  starting = 3
  expect(turns.take('b', 5, 3).given).toBe(0)
  starting = 2
  expect(turns.waiting).toEqual(['a', 'b'])
  // The one who waits longest comes first.
  expect(turns.take('b', 5, 3).given).toBe(0)
  expect(turns.take('a', 2, 3).given).toBe(1)
})

it('shares what is free among those who wait', () => {
  let starting = 6
  const turns = new Turns(() => starting)
  for (const org of ['a', 'b', 'c']) expect(turns.take(org, 10, 6).given).toBe(0)
  starting = 0
  expect(['a', 'b', 'c'].map((org) => turns.take(org, 10, 6).given)).toEqual([2, 1, 1])
})

it('takes back what was not used, and forgets who no longer wants', () => {
  const turns = new Turns(() => 0)
  const a = turns.take('a', 3, 3)
  a.landed()
  a.end()
  expect(turns.take('b', 3, 3).given).toBe(3)
  expect(turns.take('c', 1, 3).given).toBe(0)
  turns.leave('c')
  expect(turns.waiting).toEqual([])
})
