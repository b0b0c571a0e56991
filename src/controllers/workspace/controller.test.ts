import { expect, test } from 'vitest'
import type { Workspace } from '../../api/workspace.ts'
import type { Client } from '../../kube/client.ts'
import { Fleet } from '../fleet.ts'
import { confirmed, workspaceViews } from './controller.ts'

const object = (metadata: object = {}, spec: object = { role: 'Counts.' }) =>
  ({ metadata: { namespace: 'acme', name: 'ada', uid: 'u', generation: 2, ...metadata }, spec }) as unknown as Workspace
const has = (found: Workspace | undefined) =>
  confirmed({ get: async () => found } as unknown as Client, object(), new AbortController().signal)

test('an object of the cache is confirmed where the API server has the very same, and only there', async () => {
  expect(await has(object({ resourceVersion: 'another', labels: { a: 'b' } }))).toBe(true)
  expect(await has(undefined)).toBe(false)
  expect(await has(object({ uid: 'of a namesake' }))).toBe(false)
  expect(await has(object({ generation: 3 }))).toBe(false)
  expect(await has(object({ deletionTimestamp: '2026-01-01T00:00:00Z' }))).toBe(false)
  // A store that was put back may give the same generation to another spec.
  expect(await has(object({}, { role: 'Counts again.' }))).toBe(false)
})

test('children are counted by what their passes found, and until all have passed not below what was shown', () => {
  const forged = { conditions: [{ type: 'Ready', status: 'True' }] }
  const child = (name: string) => Object.assign(object({ name, uid: name }), { status: forged })
  const children = [child('a'), child('b')]
  const fleet = new Fleet()
  const workspaces = { cache: { byIndex: () => children }, onChange: () => undefined }
  const sources = { workspaces, runtimes: workspaces, fleet } as unknown as Parameters<typeof workspaceViews>[0]
  const views = workspaceViews(sources, 10, () => undefined)
  const counted = (shown: number) =>
    views.children({ ...object(), status: { children: { total: 2, ready: shown } } } as unknown as Workspace)
  const pass = (found: Workspace | undefined, ready: boolean) => {
    if (found === undefined) throw new Error('there are two')
    const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False', reason: 'R', message: '' }] as const
    const transition = { to: 'online', reason: 'R', actor: 'agent' }
    fleet.note(found, { status: { summary: '', conditions, transition }, outcome: { kind: 'settled' } })
  }
  expect([counted(0), counted(1), counted(9)]).toEqual([0, 1, 2].map((ready) => ({ total: 2, ready })))
  pass(children[0], true)
  expect([counted(0), counted(2)]).toEqual([1, 2].map((ready) => ({ total: 2, ready })))
  pass(children[1], false)
  expect(counted(2)).toEqual({ total: 2, ready: 1 })
})
