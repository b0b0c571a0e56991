import { expect, it } from 'vitest'
import { described } from '../../../test/support/org-plan.ts'
import type { OrgImport } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { PassResult } from '../fleet.ts'
import type { Done } from './apply.ts'
import { describeObstacle, type Looked } from './describe.ts'
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

const nodesAfter = (done: readonly Done[], found?: (name: string) => Looked) =>
  described(done, found).status.nodes ?? []
const doneWith = (path: (i: number) => string, count: number): Done[] =>
  Array.from({ length: count }, (_, i) => {
    const name = `node-${i}`
    const node = { path: path(i), name, existed: false }
    return i === 700 ? { ...node, deed: 'Failed', message: 'no' } : { ...node, deed: 'Created' }
  })

it('shows as many nodes as there is room for, those in trouble before others', () => {
  const short = nodesAfter(doneWith((i) => `Node ${i}`, 1000))
  expect(short.length).toBe(100)
  expect(short.slice(0, 3).map(({ path }) => path)).toEqual(['Node 700', 'Node 0', 'Node 1'])
  expect(nodesAfter(doneWith((i) => `Node ${i}`, 3)).map(({ path }) => path)).toEqual(['Node 0', 'Node 1', 'Node 2'])
})

it('shows fewer nodes when their paths are long: a status that is too large says nothing at all', () => {
  const long = nodesAfter(doneWith((i) => `${'ü'.repeat(2000)}/${i}`, 1000))
  expect(long[0]?.message).toBe('no')
  expect(long.length).toBeGreaterThan(50)
  expect(long.length).toBeLessThan(100)
  expect(Buffer.byteLength(JSON.stringify(long))).toBeLessThan(410 * 1024)
})

const live = { metadata: { name: 'x', uid: 'x', generation: 1 }, spec: {} } as unknown as Workspace
const up: PassResult = {
  uid: 'x',
  generation: 1,
  runtime: 'r',
  rowRead: true,
  busyTooLong: false,
  phase: 'online',
  ready: true,
  power: 'Running',
  image: undefined,
  startedAt: undefined,
  unready: undefined,
  parts: undefined,
}
const ready: Looked = { live, result: up }
const resting = (phase: PassResult['phase']): Looked => ({ live, result: { ...up, phase } })
const down = (phase: PassResult['phase'], message: string, blocked = false): Looked => ({
  live,
  result: { ...up, phase, ready: false, unready: { reason: 'Why', message, blocked } },
})
/** As they are found by their place. */
const foundBy = (found: Readonly<Record<number, Looked>>) => (name: string) => found[Number(name.slice(5))] ?? ready
const created = (count: number) => doneWith((i) => `Lead/Node ${i}`, count)
const conditionsOf = ({ status }: ReturnType<typeof described>) =>
  Object.fromEntries(status.conditions.map(({ type, status: holds, reason }) => [type, `${holds} ${reason}`]))

it('says of a settled org how many are ready and what the last change was, and nothing of nodes that are fine', () => {
  const settled = described(created(42), foundBy({ 3: resting('paused'), 4: resting('hibernated') }))
  expect(settled.outcome).toEqual({ kind: 'settled' })
  expect(settled.status.summary).toBe('42 of 42 ready, 1 paused, 1 asleep; last change: 0 of 42 existed, 42 created')
  expect(settled.status.nodes).toEqual([])
  expect(settled.status.counts).toMatchObject({ ready: 42, failed: 0 })
  expect(settled.status.transition.to).toBe('Ready')
})

it('is never Ready beside an agent that is not there, and names it and why in one short line', () => {
  const silent = described(created(42), foundBy({ 7: down('offline', 'The agent has fallen silent') }))
  expect(conditionsOf(silent)).toMatchObject({ Ready: 'False NodeNotReady', Provisioned: 'True Provisioned' })
  expect(silent.status.summary).toBe('41 of 42 ready: Lead/Node 7: The agent has fallen silent')
  expect(silent.status.nodes).toMatchObject([{ path: 'Lead/Node 7', phase: 'offline', reason: 'Why' }])
  expect(silent.outcome).toMatchObject({ kind: 'again', waitingFor: '1 workspace to become ready' })
  expect(silent.status.transition.to).toBe('Degraded')
})

it('is stalled by what a person has to mend, in words that stay the same while the others come up', () => {
  const unknown = down('provisioning', 'spec.model "x" is not one of runtime "r"', true)
  const early = described(created(4), foundBy({ 1: unknown, 2: down('provisioning', 'starts') }))
  const late = described(created(4), foundBy({ 1: unknown }))
  expect(early.outcome).toEqual({
    kind: 'blocked',
    reason: 'NodeFailed',
    message: 'Lead/Node 1: spec.model "x" is not one of runtime "r"',
  })
  expect(late.outcome).toEqual(early.outcome)
  expect(late.status.summary).toBe('3 of 4 ready: Lead/Node 1: spec.model "x" is not one of runtime "r"')
  // What could not be applied is tried again, and that comes first.
  const unapplied: Done[] = [...created(2), { path: 'Bad', name: 'bad', existed: false, deed: 'Failed', message: 'no' }]
  const both = described(unapplied, foundBy({ 1: unknown }))
  expect(both.outcome.kind).toBe('again')
  expect(conditionsOf(both)).toMatchObject({ Ready: 'False ApplyFailed', Applied: 'False ApplyFailed' })
})

it('keeps WHY within 120 columns, whatever the names and causes are', () => {
  const long = described(
    doneWith((i) => `${'Department of many words/'.repeat(20)}${i}`, 200),
    foundBy({ 7: down('failed', 'it ended\nwith a long tale '.repeat(20)), 8: down('failed', 'too') }),
  )
  const summary = long.status.summary ?? ''
  expect(summary.length).toBeLessThanOrEqual(120)
  expect(summary).toMatch(/^198 of 200 ready: ….{15,24}\/7 and 1 more: it ended \| with a long tale .*…$/)
  expect(described(created(9999)).status.summary).toMatch(/^0 of 9999 ready: Lead\/Node 700: no$/)
})

it('says that plugins are declared and that nothing installs them', () => {
  const { status } = described(created(2), foundBy({}), 20)
  expect(status.warnings?.[0]).toEqual({
    code: 'PluginsSkipped',
    message: '20 plugins are declared and not installed by this operator',
  })
  expect(status.summary).toBe('2 of 2 ready; 20 plugins not installed; last change: 0 of 2 existed, 2 created')
  expect(described(created(2), foundBy({})).status.warnings).toEqual([])
})
