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
  const both = [batcher.add('b'), batcher.add('c', true)]
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
