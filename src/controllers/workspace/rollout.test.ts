import { expect, test } from 'vitest'
import type { Key } from '../../api/meta.ts'
import { allowance, Rollout } from './rollout.ts'

const r = { namespace: 'n', runtime: 'r' }
const peers = (...down: Key[]) => ({ total: 8, down: new Set(down) })

test('no more places than the limit, counting those that are down anyway', () => {
  const rollout = new Rollout(() => {})
  expect(rollout.enter(r, 'a', 2, peers())).toBe(true)
  expect(rollout.enter(r, 'b', 2, peers('x'))).toBe(false)
  expect(rollout.enter(r, 'b', 2, peers())).toBe(true)
  expect(rollout.enter(r, 'c', 2, peers())).toBe(false)
  expect(rollout.enter({ ...r, runtime: 'other' }, 'c', 2, peers())).toBe(true)
})

test('one that has its place keeps it, and is not counted twice when the cache shows it down', () => {
  const rollout = new Rollout(() => {})
  expect(rollout.enter(r, 'a', 1, peers())).toBe(true)
  expect(rollout.enter(r, 'a', 1, peers('x'))).toBe(true)
  expect(rollout.enter(r, 'b', 2, peers('a'))).toBe(true)
})

test('who leaves wakes one that waits, in the order they came', () => {
  const woken: Key[] = []
  const rollout = new Rollout((key) => woken.push(key))
  rollout.enter(r, 'a', 1, peers())
  rollout.enter(r, 'b', 1, peers())
  rollout.enter(r, 'c', 1, peers())
  rollout.leave(r, 'a')
  expect(woken).toEqual(['b'])
  expect(rollout.enter(r, 'b', 1, peers())).toBe(true)
  rollout.leave(r, 'b')
  expect(woken).toEqual(['b', 'c'])
})

test('a quarter may be down where nothing is said, and always one', () => {
  expect([1, 4, 5, 200].map((total) => allowance(undefined, total))).toEqual([1, 1, 2, 50])
  expect(allowance(3, 200)).toBe(3)
})

test('what is down in one namespace takes no place of another', () => {
  const rollout = new Rollout(() => {})
  expect(rollout.enter(r, 'n/a', 1, peers())).toBe(true)
  expect(rollout.enter(r, 'n/b', 1, peers())).toBe(false)
  expect(rollout.enter({ ...r, namespace: 'm' }, 'm/a', 1, peers())).toBe(true)
})

test('one that changes its Runtime leaves the place that it had', () => {
  const rollout = new Rollout(() => {})
  expect(rollout.enter(r, 'a', 1, peers())).toBe(true)
  expect(rollout.enter({ ...r, runtime: 'other' }, 'a', 1, peers())).toBe(true)
  expect(rollout.enter(r, 'b', 1, peers())).toBe(true)
})
