import { expect, it } from 'vitest'
import { Claims } from './claims.ts'

it('gives a place to one import at a time, all that it wants or nothing', () => {
  const claims = new Claims()
  const [one, two] = [
    { uid: '1', name: 'one' },
    { uid: '2', name: 'two' },
  ]
  expect(claims.take(one, ['a', 'b'])).toBeUndefined()
  expect(claims.take(one, ['a'])).toBeUndefined()
  expect(claims.take(two, ['c', 'b'])).toEqual({ by: 'one' })
  expect(claims.take(one, ['c'])).toBeUndefined()
  claims.release(['a', 'b', 'c'])
  expect(claims.take(two, ['c', 'b'])).toBeUndefined()
})
