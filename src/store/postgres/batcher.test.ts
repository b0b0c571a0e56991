import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createMetrics } from '../../telemetry/metrics.ts'
import { createBatcher } from './batcher.ts'

// The clock stands still: whatever leaves did not wait for it.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

function recorder() {
  const written: string[][] = []
  const write = async (items: readonly string[]) => {
    written.push([...items])
    return items
  }
  return {
    written,
    batcher: createBatcher<string, string>({ name: 'record', key: (item) => item, write, metrics: createMetrics() }),
  }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

test('a lone write leaves at once; what follows closely waits for company', async () => {
  const { written, batcher } = recorder()
  await batcher.add('a')
  const later = batcher.add('b')
  await turns(10)
  expect(written).toEqual([['a']])
  await vi.advanceTimersByTimeAsync(40)
  await later
  expect(written).toEqual([['a'], ['b']])
})

test('an urgent write is not held back, and takes along what waits', async () => {
  const { written, batcher } = recorder()
  await batcher.add('a')
  const both = [batcher.add('b'), batcher.add('c', 'now')]
  await turns(10)
  expect(written).toEqual([['a'], ['b', 'c']])
  await Promise.all(both)
  // The hurry ends with what was urgent.
  const patient = batcher.add('d')
  await turns(10)
  expect(written).toHaveLength(2)
  await vi.advanceTimersByTimeAsync(40)
  await patient
})

test('hurry comes late, too: whoever waits for company leaves with it at once', async () => {
  const { written, batcher } = recorder()
  await batcher.add('a')
  const first = batcher.add('b')
  await turns(10)
  const both = [first, batcher.add('c', 'now')]
  await turns(10)
  expect(written).toEqual([['a'], ['b', 'c']])
  await Promise.all(both)
})

test('calm writes wait longer for company: until nobody comes, or there is company enough', async () => {
  const { written, batcher } = recorder()
  await batcher.add('a', 'calm')
  const waiting: Promise<string>[] = []
  const come = async (milliseconds: number, name: string) => {
    waiting.push(batcher.add(name, 'calm'))
    await vi.advanceTimersByTimeAsync(milliseconds)
  }
  for (let i = 0; i < 8; i++) await come(40, `b${i}`)
  expect(written).toEqual([['a']])
  await vi.advanceTimersByTimeAsync(120)
  expect(written.map((rows) => rows.length)).toEqual([1, 8])
  for (let i = 0; i < 100; i++) await come(2, `c${i}`)
  await vi.advanceTimersByTimeAsync(400)
  expect(written.map((rows) => rows.length).slice(2)).toSatisfy(
    (sizes: number[]) => sizes.length >= 2 && sizes.slice(0, -1).every((size) => size >= 50),
  )
  await Promise.all(waiting)
})

test('a calm write leaves with one that is less so', async () => {
  const { written, batcher } = recorder()
  await batcher.add('a', 'calm')
  const both = [batcher.add('b', 'calm'), batcher.add('c')]
  await vi.advanceTimersByTimeAsync(40)
  expect(written).toEqual([['a'], ['b', 'c']])
  await Promise.all(both)
})

test('what weighs much goes in several statements, and what is too heavy for one goes alone', async () => {
  const written: number[][] = []
  const batcher = createBatcher<number, number>({
    name: 'record_parts',
    key: String,
    weigh: (mebibytes) => mebibytes * 1024 * 1024,
    write: async (items) => {
      written.push([...items])
      return items
    },
    metrics: createMetrics(),
  })
  const all = Promise.all([1, 1.5, 1.25, 2, 9, 0.5].map((item) => batcher.add(item)))
  await vi.advanceTimersByTimeAsync(500)
  expect(await all).toHaveLength(6)
  expect(written).toEqual([[1, 1.25, 1.5], [2], [9], [0.5]])
})
