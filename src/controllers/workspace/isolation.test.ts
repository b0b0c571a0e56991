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

const row = { backend: 'docker', hasInboundSecret: true }

test.each<[Exposure, RegExp]>([
  ['SharedNetwork', /other agents reach it.*next launch.*molecule\.dev\/restarted-at/],
  ['AdoptedInstance', /the system before.*next launch.*molecule\.dev\/restarted-at/],
  ['HostNetwork', /network of its host/],
])('%s is told, with what helps', (exposure, message) => {
  const told = isolationCondition({ seen: seen(exposure), row })
  expect(told).toEqual([
    { type: 'Isolated', status: 'False', reason: exposure, message: expect.stringMatching(message) },
  ])
})

test('of what is apart, and of what does not run, nothing is said', () => {
  expect(isolationCondition({ seen: seen(), row })).toEqual([])
  expect(isolationCondition({ seen: { state: 'absent' }, row })).toEqual([])
})

test('an instance that cannot know the calls of the operator is told of, until it is replaced', () => {
  const without = { ...row, hasInboundSecret: false }
  expect(isolationCondition({ seen: seen(), row: without })).toEqual([
    { type: 'Isolated', status: 'False', reason: 'NoInboundSecret', message: expect.stringMatching(/restarted-at/) },
  ])
  // The network it shares says more: both go with the replacement.
  expect(isolationCondition({ seen: seen('SharedNetwork'), row: without })).toMatchObject([{ reason: 'SharedNetwork' }])
  expect(isolationCondition({ seen: { state: 'absent' }, row: without })).toEqual([])
  expect(isolationCondition({ seen: seen(), row: { ...without, backend: 'external' } })).toEqual([])
})
