import { expect, test } from 'vitest'
import { wouldBeTold, type KnownContainer } from './events.ts'

const ref = { uid: 'a', namespace: 'acme', name: 'solo' }
const known = (state?: string, made = true) =>
  new Map<string, KnownContainer>(state === undefined ? [] : [['id', { ref, state, made }]])

test.each([
  [undefined, 'running', true],
  [undefined, 'exited', true],
  // Made, and not started yet.
  [undefined, 'created', false],
  ['created', 'created', false],
  ['created', 'running', true],
  ['created', undefined, true],
  ['running', 'running', false],
  ['running', 'paused', false],
  ['running', 'exited', true],
  ['running', 'removing', true],
  ['running', undefined, true],
  ['paused', 'running', false],
  ['exited', 'exited', false],
  // As an engine calls it whose removal failed.
  ['exited', 'dead', false],
  ['exited', 'running', true],
  ['exited', undefined, true],
])('from %s to %s: the stream tells it: %s', (before, now, told) => {
  expect(wouldBeTold(known(before), known(now))).toBe(told)
})

test('a container that was adopted comes by a new name, which is no event that the stream tells', () => {
  expect(wouldBeTold(known(), known('running', false))).toBe(false)
  expect(wouldBeTold(known('running', false), known('exited', false))).toBe(true)
})
