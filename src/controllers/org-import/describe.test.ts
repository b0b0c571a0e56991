import { expect, it } from 'vitest'
import { importUid, nothing, owner, planFor } from '../../../test/support/org-plan.ts'
import type { OrgImport } from '../../api/org-import.ts'
import { renderOrg } from '../../orgs/tree.ts'
import type { Done } from './apply.ts'
import { describe, describeObstacle } from './describe.ts'
import { sourceObstacle } from './source-read.ts'
import { Tallies } from './tally.ts'

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

/** Of a pass that did so much. */
function nodesAfter(done: readonly Done[]) {
  const org = owner()
  const { status } = describe({
    org,
    source: { source: { kind: 'inline', template: {} }, revision: '1', identity: '1' },
    rendered: renderOrg({ kind: 'inline', template: { workspaces: [] } }, { importUid }),
    environment: nothing,
    plan: planFor([], []),
    done,
    tally: new Tallies().add(org, done, 0),
    approved: false,
    live: () => undefined,
  })
  return status.nodes ?? []
}
const doneWith = (path: (i: number) => string, count: number): Done[] =>
  Array.from({ length: count }, (_, i) => {
    const name = `node-${i}`
    const node = { path: path(i), name, existed: false }
    return i === 700 ? { ...node, deed: 'Failed', message: 'no' } : { ...node, deed: 'Created' }
  })

it('shows as many nodes as there is room for, those in trouble before others', () => {
  const short = nodesAfter(doneWith((i) => `Node ${i}`, 1000))
  expect(short.length).toBe(512)
  expect(short.slice(0, 3).map(({ path }) => path)).toEqual(['Node 700', 'Node 0', 'Node 1'])
  expect(nodesAfter(doneWith((i) => `Node ${i}`, 3)).map(({ path }) => path)).toEqual(['Node 0', 'Node 1', 'Node 2'])
})

it('shows fewer nodes when their paths are long: a status that is too large says nothing at all', () => {
  const long = nodesAfter(doneWith((i) => `${'ü'.repeat(2000)}/${i}`, 1000))
  expect(long[0]?.message).toBe('no')
  expect(long.length).toBeGreaterThan(50)
  expect(Buffer.byteLength(JSON.stringify(long))).toBeLessThan(410 * 1024)
})
