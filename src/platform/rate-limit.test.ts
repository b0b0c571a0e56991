import { expect, it } from 'vitest'
import { addressKey, rateLimit } from './rate-limit.ts'

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

it('keeps ten thousand callers apart from a thousand that flood', () => {
  const limit = rateLimit({ perSecond: 1, burst: 2 })
  for (let flood = 0; flood < 1000; flood++) for (let n = 0; n < 20; n++) limit.take(`flooding-${flood}`, 1000)
  const refused = Array.from({ length: 10_000 }, (_, n) => limit.take(`caller-${n}`, 1000)).filter((wait) => wait > 0)
  expect(refused).toEqual([])
  expect(limit.take('flooding-7', 1000)).toBeGreaterThan(0)
})

it('forgets the key longest unseen, and no other', () => {
  const limit = rateLimit({ perSecond: 1, burst: 1 }, 3)
  for (const key of ['a', 'b', 'c', 'a', 'd']) limit.take(key, 1000)
  expect(['a', 'c', 'd'].map((key) => limit.take(key, 1000) > 0)).toEqual([true, true, true])
  expect(limit.take('b', 1000)).toBe(0)
})

it('counts an address of IPv6 by its network', () => {
  const key = '2001:db8:0:7'
  for (const address of ['2001:db8:0:7::1', '2001:db8:0:7:ffff:1:2:3', '2001:db8:0:7::1%eth0'])
    expect(addressKey(address)).toBe(key)
  expect(addressKey('2001:db8:0:8::1')).not.toBe(key)
  expect(addressKey('fe80::1')).toBe('fe80:0:0:0')
  expect(addressKey('::1')).toBe('0:0:0:0')
  expect(addressKey('::ffff:10.1.2.3')).toBe('10.1.2.3')
  expect(addressKey('10.1.2.3')).toBe('10.1.2.3')
})

it('what costs more takes more, and nothing where there is no room for it', () => {
  const limit = rateLimit({ perSecond: 100, burst: 400 })
  expect([300, 200, 100, 1].map((cost) => limit.take('a', 1000, cost))).toEqual([0, 1000, 0, 10])
  expect(limit.take('a', 3000, 200)).toBe(0)
})
