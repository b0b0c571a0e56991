import { expect, it } from 'vitest'
import { rateLimit } from './rate-limit.ts'

it('lets a burst through, then one per interval', () => {
  const limit = rateLimit({ perSecond: 10, burst: 3 })
  const taken = [0, 0, 0, 0, 50, 99, 100, 101, 200].map((at) => limit.take('a', 1000 + at))
  expect(taken.map((wait) => wait === 0)).toEqual([true, true, true, false, false, false, true, false, true])
  expect(taken[3]).toBe(100)
  expect(taken[4]).toBe(50)
})

it('gives the whole burst back after a rest, and never more', () => {
  const limit = rateLimit({ perSecond: 10, burst: 3 })
  const burst = (at: number) => Array.from({ length: 5 }, () => limit.take('a', at)).filter((wait) => wait === 0).length
  expect([burst(1000), burst(1200), burst(1_000_000)]).toEqual([3, 2, 3])
})

it('looks without taking', () => {
  const limit = rateLimit({ perSecond: 10, burst: 1 })
  expect([limit.wait('a', 1000), limit.wait('a', 1000), limit.take('a', 1000), limit.wait('a', 1000)]).toEqual([
    0, 0, 0, 100,
  ])
})

it('charges into debt, but not without end', () => {
  const limit = rateLimit({ perSecond: 10, burst: 3 })
  for (let i = 0; i < 4; i++) limit.charge('a', 1000)
  expect(limit.wait('a', 1000)).toBe(200)
  for (let i = 0; i < 1000; i++) limit.charge('a', 1000)
  expect(limit.wait('a', 1000)).toBe(400)
})

it('keeps callers apart', () => {
  const limit = rateLimit({ perSecond: 1, burst: 1 })
  const refused = Array.from({ length: 1000 }, (_, i) => limit.take(`caller-${i}`, 1000)).filter((wait) => wait > 0)
  // 1,000 keys in 32,768 slots: about 15 meet. A hash that clumps would make it hundreds.
  expect(refused.length).toBeLessThan(50)
})
