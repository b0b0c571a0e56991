import { expect, it } from 'vitest'
import { Conflicts } from './conflicts.ts'

it('gives the imports of one namespace that something is in the way of, until it is not', () => {
  const conflicts = new Conflicts()
  conflicts.note('a/one', true)
  conflicts.note('a/two', true)
  conflicts.note('b/one', true)
  conflicts.note('a/three', false)
  expect(conflicts.in('a')).toEqual(['a/one', 'a/two'])
  conflicts.note('a/one', false)
  conflicts.note('a/two', false)
  expect(conflicts.in('a')).toEqual([])
  expect(conflicts.in('b')).toEqual(['b/one'])
})
