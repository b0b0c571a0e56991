import { expect, test } from 'vitest'
import type { Workspace } from '../../api/workspace.ts'
import type { Client } from '../../kube/client.ts'
import { confirmed } from './controller.ts'

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
