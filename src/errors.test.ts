import { expect, test } from 'vitest'
import { reasonOf } from './errors.ts'

test('the text of an error has its causes, and each of them once', () => {
  const refused = new Error('connect ECONNREFUSED 10.0.0.1:6443')
  expect(reasonOf(new Error('no answer', { cause: refused }))).toBe('no answer: connect ECONNREFUSED 10.0.0.1:6443')
  const named = new Error(`list /api/v1/pods: ${refused.message}`, { cause: refused })
  expect(reasonOf(named)).toBe('list /api/v1/pods: connect ECONNREFUSED 10.0.0.1:6443')
  expect(reasonOf(new Error('pass failed', { cause: named }))).toBe(
    'pass failed: list /api/v1/pods: connect ECONNREFUSED 10.0.0.1:6443',
  )
})

test('an error of several, without words of its own, has theirs', () => {
  const each = ['::1', '127.0.0.1'].map((address) => new Error(`connect ECONNREFUSED ${address}`))
  expect(reasonOf(new AggregateError(each))).toBe('connect ECONNREFUSED ::1, connect ECONNREFUSED 127.0.0.1')
  expect(reasonOf(new Error('no connection', { cause: new AggregateError(each) }))).toBe(
    'no connection: connect ECONNREFUSED ::1, connect ECONNREFUSED 127.0.0.1',
  )
})
