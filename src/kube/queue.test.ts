import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { milliseconds, minutes, seconds } from '../duration.ts'
import { Queue } from './queue.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** What a worker would get right now. */
async function now(queue: Queue): Promise<string | undefined> {
  return await Promise.race([queue.take(), Promise.resolve().then(() => undefined)])
}

test('many wishes for one key are one pass', async () => {
  const queue = new Queue()
  queue.add('a')
  queue.add('a')
  queue.add('b')
  expect([await queue.take(), await queue.take()]).toEqual(['a', 'b'])
  expect(queue.depth).toBe(0)
})

test('a key added while worked on is handed out again once, and not before it is given back', async () => {
  const queue = new Queue()
  queue.add('a')
  await queue.take()
  queue.add('a')
  queue.add('a')
  queue.add('b')
  expect(await queue.take()).toBe('b')
  queue.done('a')
  expect(await queue.take()).toBe('a')
  queue.done('a')
  expect(queue.depth).toBe(0)
})

test('a waiting worker gets a key as soon as there is one', async () => {
  const queue = new Queue()
  const first = queue.take()
  const second = queue.take()
  queue.add('a')
  queue.add('b')
  expect(await Promise.all([first, second])).toEqual(['a', 'b'])
})

test('changes go before resync, and a change raises a key that waits for its resync', async () => {
  const queue = new Queue()
  for (const key of ['r1', 'r2', 'r3']) queue.add(key, 'resync')
  queue.add('edit')
  queue.add('r3')
  const order = []
  for (let n = 0; n < 4; n++) order.push(await queue.take())
  expect(order).toEqual(['edit', 'r3', 'r1', 'r2'])
  expect(await now(queue)).toBeUndefined()
})

test('of several delays the earliest counts, and the key comes once', async () => {
  const queue = new Queue()
  queue.addAfter('a', seconds(10))
  queue.addAfter('a', seconds(2))
  queue.addAfter('a', seconds(5))
  vi.advanceTimersByTime(1990)
  expect(queue.depth).toBe(0)
  vi.advanceTimersByTime(20)
  expect(await queue.take()).toBe('a')
  queue.done('a')
  vi.advanceTimersByTime(60_000)
  expect(queue.depth).toBe(0)
})

test('a pass answers the delays that were set before it', async () => {
  const queue = new Queue()
  queue.addAfter('a', seconds(10))
  queue.add('a')
  expect(await queue.take()).toBe('a')
  queue.done('a')
  vi.advanceTimersByTime(60_000)
  expect(queue.depth).toBe(0)
})

test('ten thousand delayed keys hold one timer and come in order', async () => {
  const queue = new Queue()
  for (let n = 0; n < 10_000; n++) queue.addAfter(`k${n}`, milliseconds(((n * 7919) % 10_000) + 1))
  expect(vi.getTimerCount()).toBe(1)
  vi.advanceTimersByTime(5000)
  expect(queue.depth).toBeGreaterThanOrEqual(4999)
  expect(queue.depth).toBeLessThanOrEqual(5002)
  vi.advanceTimersByTime(6000)
  expect(queue.depth).toBe(10_000)
})

test('backoff doubles to its limit with full jitter, and forget ends it', () => {
  vi.spyOn(Math, 'random').mockReturnValue(1)
  const queue = new Queue({ backoff: { base: seconds(1), most: minutes(5) } })
  const after = (failures: number, span: number) => {
    expect(queue.addBackoff('a')).toBe(failures)
    vi.advanceTimersByTime(span - 5)
    expect(queue.depth).toBe(0)
    vi.advanceTimersByTime(10)
    expect(queue.depth).toBe(1)
    void queue.take()
    queue.done('a')
  }
  for (const [n, span] of [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].entries()) after(n + 1, span * 1000)
  queue.forget('a')
  after(1, 1000)
  vi.restoreAllMocks()
})

test('stopped: workers get nothing, and nothing is kept for later', async () => {
  const queue = new Queue()
  const waiting = queue.take()
  queue.addAfter('a', seconds(1))
  queue.stop()
  expect(await waiting).toBeUndefined()
  queue.add('b')
  expect(await queue.take()).toBeUndefined()
  expect(vi.getTimerCount()).toBe(0)
})

test('a hundred thousand keys are taken in linear time', async () => {
  vi.useRealTimers()
  const queue = new Queue()
  const began = process.cpuUsage()
  for (let n = 0; n < 100_000; n++) queue.add(`k${n}`)
  for (let n = 0; n < 100_000; n++) queue.done((await queue.take()) ?? '')
  // Of the processor's time, of which a busy machine takes no more: a fifth of a second, by the square it were many.
  const { user, system } = process.cpuUsage(began)
  expect((user + system) / 1000).toBeLessThan(2000)
})
