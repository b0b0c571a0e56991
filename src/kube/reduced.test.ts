import { expect, test } from 'vitest'
import { finalizer, type KubeObject } from '../api/meta.ts'
import { sizeOf } from './allowance.ts'
import { limitOf, reduce } from './reduced.ts'

const long = 'x'.repeat(2000)
const object = (spec: unknown, metadata: object = {}, status?: unknown) =>
  ({
    apiVersion: 'v1',
    kind: 'Thing',
    metadata: {
      name: 'a',
      namespace: 'ns',
      uid: 'u',
      resourceVersion: '1',
      generation: 3,
      creationTimestamp: 't',
      ...metadata,
    },
    spec,
    ...(status !== undefined && { status }),
  }) as unknown as KubeObject

test('an outline keeps identity and small fields, and empties large ones without changing their kind', () => {
  const spec = {
    role: long,
    parentRef: { name: 'above' },
    env: [{ name: 'A', value: long }],
    source: { inline: { text: long } },
  }
  const outline = reduce(object(spec), '32 MiB')
  expect(outline).toMatchObject({
    metadata: { name: 'a', namespace: 'ns', uid: 'u', generation: 3 },
    spec: { role: '', parentRef: { name: 'above' }, env: [], source: { inline: { text: '' } } },
  })
  expect(limitOf(outline)).toBe('32 MiB')
  expect(limitOf(object(spec))).toBeUndefined()
})

test.each([
  ['many members', object(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, 'v'])))],
  ['many small members, nested', object({ a: nest(60, nest(60, nest(60, 'v'))) })],
  ['long lists', object({ list: Array.from({ length: 50_000 }, () => 1) })],
  ['labels and annotations', object({}, { labels: { a: long }, annotations: { b: long.repeat(100) } })],
  ['owners and finalizers', object({}, { ownerReferences: [{ name: long }], finalizers: [long, finalizer, long] })],
  ['status', object({}, {}, { summary: long, conditions: [{ message: long.repeat(10) }], history: [long] })],
])('an outline is small, whatever was large: %s', (_what, large) => {
  expect(sizeOf(large)).toBeGreaterThan(2000)
  expect(sizeOf(reduce(large, ''))).toBeLessThan(18 * 1024)
})

test('finalizers stay, and never become none: without any, a deleting object would count as gone', () => {
  const finalizersOf = (...finalizers: string[]) => reduce(object({}, { finalizers }), '').metadata.finalizers
  expect(finalizersOf(finalizer, 'b')).toEqual([finalizer, 'b'])
  expect(finalizersOf(long, finalizer)).toEqual([finalizer])
  expect(finalizersOf(long, 'b')).toHaveLength(1)
})

function nest(members: number, inner: unknown): object {
  return Object.fromEntries(Array.from({ length: members }, (_, i) => [`k${i}`, inner]))
}
