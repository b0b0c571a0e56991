import { expect, test } from 'vitest'
import type { Workspace } from '../../api/workspace.ts'
import { seconds } from '../../duration.ts'
import type { PassResult } from '../fleet.ts'
import { canaryVerdict, peersOf, type Member } from './canaries.ts'

const now = new Date('2026-01-01T12:00:00Z')
const image = 'agent@sha256:new'

interface Part {
  readonly name?: string
  readonly namespace?: string
  readonly spec?: Partial<Pick<Workspace['spec'], 'updateStrategy' | 'suspend' | 'power'>>
  readonly startedAgo?: number
  readonly result?: Partial<PassResult>
  /** What the status says, which is nobody's evidence. */
  readonly status?: object
}

const member = ({ name = 'c', namespace = 'n', spec, startedAgo = 600, result, status }: Part = {}): Member => ({
  workspace: {
    metadata: { name, namespace, uid: name },
    spec: { updateRing: 'canary', suspend: false, updateStrategy: 'WhenIdle', power: 'Running', ...spec },
    status,
  } as unknown as Workspace,
  result: {
    uid: name,
    generation: 1,
    runtime: 'r',
    rowRead: true,
    busyTooLong: false,
    phase: 'online',
    ready: true,
    power: 'Running',
    image: { ref: image, current: true },
    startedAt: new Date(now.getTime() - startedAgo * 1000),
    unready: undefined,
    parts: undefined,
    ...result,
  },
})
const unknown = (part: Part = {}): Member => ({ ...member(part), result: undefined })
const verdict = (...canaries: Member[]) => canaryVerdict(canaries, image, seconds(300), now, 'n')

test('an image is good once every canary has run it well for the soak', () => {
  expect(verdict()).toEqual({ kind: 'good' })
  expect(verdict(member())).toEqual({ kind: 'good' })
  expect(verdict(member(), member({ startedAgo: 100 }))).toEqual({ kind: 'soaking', left: 200_000 })
  const unproved = { kind: 'unproved', names: ['c'], elsewhere: 0 }
  expect(verdict(member(), member({ result: { ready: false } }))).toEqual(unproved)
  expect(verdict(member({ result: { image: { ref: 'agent@sha256:old', current: true } } }))).toEqual(unproved)
  expect(verdict(member({ result: { image: { ref: image, current: false } } }))).toEqual(unproved)
})

test('a canary that does not run holds up no image', () => {
  expect(verdict(member({ result: { power: 'Paused', ready: false } }))).toEqual({ kind: 'good' })
  expect(verdict(member({ spec: { updateStrategy: 'OnRestart' }, result: { ready: false } }))).toEqual({ kind: 'good' })
})

test('canaries of other namespaces are counted and not named', () => {
  const broken = { result: { ready: false } }
  expect(verdict(member({ ...broken, namespace: 'ops', name: 'x' }), member(broken))).toEqual({
    kind: 'unproved',
    names: ['c'],
    elsewhere: 1,
  })
})

test('a status proves nothing: one that no pass has looked at is taken for the worse', () => {
  const status = {
    runtime: 'r',
    effectivePower: { state: 'Running' },
    image: { ref: image, current: true },
    conditions: [{ type: 'Ready', status: 'True' }],
  }
  expect(verdict(unknown({ status }))).toMatchObject({ kind: 'unproved' })
  expect(peersOf([unknown({ status })]).down).toEqual(new Set(['n/c']))
})

test('down is what is meant to run and is not ready', () => {
  const down = (...members: Member[]) => [...peersOf(members).down]
  expect(down(member({ result: { ready: false } }))).toEqual(['n/c'])
  expect(down(member())).toEqual([])
  expect(down(member({ result: { ready: false, power: 'Hibernated' } }))).toEqual([])
  expect(down(member({ result: { ready: false }, spec: { suspend: true } }))).toEqual([])
  expect(down(unknown({ spec: { power: 'Paused' } }))).toEqual([])
  expect(peersOf([member(), member({ name: 'd', result: { power: 'Paused' } })]).total).toBe(1)
})
