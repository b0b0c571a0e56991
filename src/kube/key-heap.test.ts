import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyHeap } from './key-heap.ts'

test('gives keys as a sorted list does, and holds little more than the keys there are', () => {
  const key = fc.nat(4).map(String)
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('add' as const), key, at: fc.nat(50) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('due' as const), at: fc.nat(20) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 300, size: 'max' }), (steps) => {
      const heap = new KeyHeap()
      const kept = new Map<string, number>()
      for (const each of steps) {
        if (each.kind === 'add') {
          heap.add(each.key, each.at)
          kept.set(each.key, Math.min(kept.get(each.key) ?? Infinity, each.at))
        } else if (each.kind === 'delete') {
          heap.delete(each.key)
          kept.delete(each.key)
        } else {
          const due = [...kept].filter(([, at]) => at <= each.at).map(([name]) => name)
          expect(heap.takeDue(each.at).toSorted()).toEqual(due.toSorted())
          for (const name of due) kept.delete(name)
        }
        expect(heap.next?.at).toBe(kept.size === 0 ? undefined : Math.min(...kept.values()))
      }
    }),
  )
})

test('keys that come and go behind one that stays leave nothing for ever', () => {
  const heap = new KeyHeap()
  heap.add('first', 0)
  for (let i = 1; i < 10_000; i++) {
    heap.add('a', i)
    heap.delete('a')
  }
  expect(heap.held).toBeLessThan(100)
  expect(heap.takeDue(1)).toEqual(['first'])
})
