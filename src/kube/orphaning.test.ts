import { expect, test } from 'vitest'
import type { KubeObject } from '../api/meta.ts'
import type { Change } from './client.ts'
import { Orphaning } from './orphaning.ts'

const object = (finalizers: readonly string[], deleting = true): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: {
    name: 'a',
    namespace: 'ns',
    uid: 'uid-a',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-01-01T00:00:00Z',
    finalizers: [...finalizers],
    ...(deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
  },
  spec: {},
})

test('the finalizer of orphan propagation is remembered until the object is gone, and counts at a deletion alone', () => {
  let tell: (change: Change<KubeObject>) => void = () => undefined
  const orphaning = new Orphaning<KubeObject>({ onChange: (listener) => (tell = listener) })
  const change = (after: KubeObject | undefined, before?: KubeObject) => tell({ key: 'ns/a', before, after })
  change(object(['orphan', 'ours'], false))
  expect(orphaning.has(object(['ours']))).toBe(false)
  // Seen in the object at hand, though no change told of it yet.
  expect(orphaning.has(object(['orphan', 'ours']))).toBe(true)
  change(object(['orphan', 'ours']))
  // The garbage collector was faster than the pass.
  change(object(['ours']))
  expect(orphaning.has(object(['ours']))).toBe(true)
  change(undefined, object([]))
  expect(orphaning.has(object(['ours']))).toBe(false)
})
