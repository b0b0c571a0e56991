import { expect, it } from 'vitest'
import type { OrgImport } from '../../api/org-import.ts'
import { describeObstacle } from './describe.ts'
import { sourceObstacle } from './source-read.ts'

const org = (observedGeneration: number) =>
  ({
    metadata: { name: 'x', generation: 2 },
    spec: {},
    status: {
      observedGeneration,
      summary: '7 of 7 existed',
      counts: { desired: 7 },
      env: { missingRecommended: ['A'] },
      conditions: [
        { type: 'Ready', status: 'True', reason: 'Settled', message: 'm', lastTransitionTime: 't', observedGeneration },
        { type: 'Reconciling', status: 'True', reason: 'Progressing', message: 'm', lastTransitionTime: 't' },
      ],
      history: [{ time: 't', from: 'Provisioning', to: 'Ready', reason: 'Settled', actor: 'operator' }],
    },
  }) as unknown as OrgImport
const reading = sourceObstacle('Progressing', 'the repository is being read', true)

it('leaves what was said as it is while the source is read again', () => {
  const { status, outcome } = describeObstacle({ org: org(2) }, reading)
  expect(status).toMatchObject({
    summary: '7 of 7 existed',
    counts: { desired: 7 },
    env: { missingRecommended: ['A'] },
  })
  expect(status.conditions).toEqual([{ type: 'Ready', status: 'True', reason: 'Settled', message: 'm' }])
  expect(status.transition).toEqual({ to: 'Ready', reason: 'Settled', actor: 'operator' })
  expect(outcome).toMatchObject({ kind: 'again', waitingFor: 'the repository is being read' })
})

it('says so when the spec is another', () => {
  const { status } = describeObstacle({ org: org(1) }, reading)
  expect(status.conditions).toContainEqual(
    expect.objectContaining({ type: 'Ready', status: 'False', reason: 'Progressing' }),
  )
})

it('says so when the source cannot be read', () => {
  const { status } = describeObstacle({ org: org(2) }, sourceObstacle('AuthFailed', 'no'))
  expect(status.conditions).toContainEqual(expect.objectContaining({ type: 'SourceReady', reason: 'AuthFailed' }))
})
