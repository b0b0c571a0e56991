import { expect, test } from 'vitest'
import type { Workspace } from '../../api/workspace.ts'
import { seconds } from '../../duration.ts'
import { canaryIndex, canaryVerdict, downIndex } from './fleet.ts'

const now = new Date('2026-01-01T12:00:00Z')
const image = 'agent@sha256:new'
const canary = (
  part: { ready?: boolean; image?: string; startedAgo?: number; power?: string; strategy?: string } = {},
) =>
  ({
    metadata: { name: 'c', namespace: 'n' },
    spec: { updateRing: 'canary', suspend: false, updateStrategy: part.strategy ?? 'WhenIdle' },
    status: {
      runtime: 'r',
      effectivePower: { state: part.power ?? 'Running' },
      image: { ref: part.image ?? image, current: true },
      instance: { startedAt: new Date(now.getTime() - (part.startedAgo ?? 600) * 1000).toISOString() },
      conditions: [{ type: 'Ready', status: part.ready === false ? 'False' : 'True' }],
    },
  }) as unknown as Workspace
const verdict = (...canaries: Workspace[]) => canaryVerdict(canaries, image, seconds(300), now)

test('an image is good once every canary has run it well for the soak', () => {
  expect(verdict()).toEqual({ kind: 'good' })
  expect(verdict(canary())).toEqual({ kind: 'good' })
  expect(verdict(canary(), canary({ startedAgo: 100 }))).toEqual({ kind: 'soaking', left: 200_000 })
  expect(verdict(canary(), canary({ ready: false }))).toEqual({ kind: 'unproved', names: ['n/c'] })
  expect(verdict(canary({ image: 'agent@sha256:old' }))).toEqual({ kind: 'unproved', names: ['n/c'] })
})

test('a canary that does not run holds up nobody', () => {
  expect(verdict(canary({ power: 'Paused', ready: false }))).toEqual({ kind: 'good' })
  expect(verdict(canary({ strategy: 'OnRestart', image: 'agent@sha256:old' }))).toEqual({ kind: 'good' })
})

test('down is who is meant to run and is not ready', () => {
  expect(downIndex(canary({ ready: false }))).toEqual(['r'])
  expect(downIndex(canary())).toEqual([])
  expect(downIndex(canary({ ready: false, power: 'Hibernated' }))).toEqual([])
  expect(canaryIndex(canary())).toEqual(['r'])
})
