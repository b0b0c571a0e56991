import { expect, test } from 'vitest'
import type { Exposure, Observation } from '../../backends/backend.ts'
import { isolationCondition } from './isolation.ts'

const seen = (exposure?: Exposure) =>
  ({
    state: 'running',
    id: 'x',
    address: '',
    specHash: '',
    startedAt: new Date(),
    imageDigest: '',
    ...(exposure && { exposure }),
  }) as Observation

test.each<[Exposure, RegExp]>([
  ['SharedNetwork', /other agents reach it.*next launch.*molecule\.dev\/restarted-at/],
  ['AdoptedInstance', /the system before.*next launch.*molecule\.dev\/restarted-at/],
  ['HostNetwork', /network of its host/],
])('%s is told, with what helps', (exposure, message) => {
  const told = isolationCondition({ seen: seen(exposure) })
  expect(told).toEqual([
    { type: 'Isolated', status: 'False', reason: exposure, message: expect.stringMatching(message) },
  ])
})

test('of what is apart, and of what does not run, nothing is said', () => {
  expect(isolationCondition({ seen: seen() })).toEqual([])
  expect(isolationCondition({ seen: { state: 'absent' } })).toEqual([])
})
