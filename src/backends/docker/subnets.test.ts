import { assert, nat, property } from 'fast-check'
import { expect, test } from 'vitest'
import { overlap, poolFault, rangeOf, routesIn, subnetsOf, textOf } from './subnets.ts'

const ranges = (...texts: string[]) => texts.map((text) => rangeOf(text) ?? { from: -1, bits: -1 })

test.each(['10.201.0.0/16', '172.30.4.0/24', '192.168.7.64/29', '10.0.0.0/8'])('%s is a pool', (text) => {
  expect(poolFault(text)).toBeUndefined()
  expect(ranges(text).map(textOf)).toEqual([text])
})

test.each([
  '',
  '10.201.0.0',
  '10.201.0.1/16',
  '10.201.0.0/30',
  '10.0.0.0/7',
  '0.0.0.0/0',
  '256.0.0.0/8',
  'fd00::/64',
  'x',
])('"%s" is no pool', (text) => expect(poolFault(text)).toMatch(/^is /))

test('a pool is given out in networks of 64 addresses, and a smaller entry as a whole', () => {
  const pool = ranges('10.9.0.0/25', '10.8.0.8/29')
  expect([...subnetsOf(pool, 0)].map(textOf)).toEqual(['10.9.0.0/26', '10.9.0.64/26', '10.8.0.8/29'])
  expect([...subnetsOf(pool, 2)].map(textOf)).toEqual(['10.8.0.8/29', '10.9.0.0/26', '10.9.0.64/26'])
})

test('whatever the seed, each subnet comes once, within the pool and beside all others', () => {
  const pool = ranges('10.9.0.0/22', '10.7.7.0/27')
  assert(
    property(nat(2 ** 32 - 1), (seed) => {
      const all = [...subnetsOf(pool, seed)]
      expect(all).toHaveLength(17)
      for (const one of all) {
        expect(pool.filter((entry) => overlap(entry, one))).toHaveLength(1)
        expect(all.filter((other) => overlap(other, one))).toEqual([one])
      }
    }),
  )
})

test('the routes of a machine are read, but for the default one', () => {
  const table = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
`
  expect(routesIn(table).map(textOf)).toEqual(['172.17.0.0/16', '192.0.2.0/24'])
  expect(routesIn('')).toEqual([])
})
