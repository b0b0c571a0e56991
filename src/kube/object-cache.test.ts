import { expect, test } from 'vitest'
import type { KubeObject } from '../api/meta.ts'
import type { Change } from './client.ts'
import { ObjectCache } from './object-cache.ts'
import { compareVersions } from './raw.ts'

type Thing = KubeObject<{ readonly owner: string; readonly list?: string[] }>

function thing(
  name: string,
  version: number | string,
  more: { uid?: string; owner?: string; deleting?: boolean } = {},
): Thing {
  return {
    apiVersion: 'v1',
    kind: 'Thing',
    metadata: {
      name,
      namespace: 'ns',
      uid: more.uid ?? `uid-${name}`,
      resourceVersion: String(version),
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...(more.deleting === true && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec: { owner: more.owner ?? 'nobody', list: ['x'] },
  }
}

function cacheOf() {
  const told: string[] = []
  const tell = ({ key, before, after }: Change<Thing>) =>
    told.push(`${key} ${before?.metadata.resourceVersion ?? '-'}>${after?.metadata.resourceVersion ?? '-'}`)
  const cache = new ObjectCache<Thing>({ owner: ({ spec }) => [spec.owner] }, tell)
  return { cache, told }
}

test('versions are compared as numbers of any length', () => {
  expect(compareVersions('9', '10')).toBeLessThan(0)
  expect(compareVersions('90071992547409931', '90071992547409930')).toBeGreaterThan(0)
  expect(compareVersions('7', '7')).toBe(0)
})

test('a watch event older than our own write cannot undo it', () => {
  const { cache, told } = cacheOf()
  cache.replace([thing('a', 5)], '5')
  cache.remember(thing('a', 9))
  cache.put(thing('a', 7))
  cache.put(thing('a', 9))
  expect(cache.get('ns/a')?.metadata.resourceVersion).toBe('9')
  expect(told).toEqual(['ns/a ->5', 'ns/a 5>9'])
})

test('a relist tells the difference alone, and keeps what we wrote after it', () => {
  const { cache, told } = cacheOf()
  cache.replace([thing('kept', 1), thing('gone', 2), thing('edited', 3)], '3')
  cache.remember(thing('ours', 12))
  told.length = 0
  cache.replace([thing('kept', 1), thing('edited', 8)], '10')
  expect(told).toEqual(['ns/edited 3>8', 'ns/gone 2>-'])
  expect(cache.get('ns/ours')).toBeDefined()
})

test('deleted and made again is two changes; the news of the old one cannot delete the new', () => {
  const { cache, told } = cacheOf()
  cache.put(thing('a', 5, { uid: 'first' }))
  cache.put(thing('a', 9, { uid: 'second' }))
  cache.delete(thing('a', 8, { uid: 'first' }))
  expect(told).toEqual(['ns/a ->5', 'ns/a 5>-', 'ns/a ->9'])
})

test('the answer to a write that comes after the deletion brings nothing back', () => {
  const { cache } = cacheOf()
  cache.put(thing('a', 5))
  cache.delete(thing('a', 7))
  cache.remember(thing('a', 6))
  expect(cache.size).toBe(0)
})

test('our own last finalizer taken off is the deletion', () => {
  const { cache, told } = cacheOf()
  cache.put(thing('a', 5, { deleting: true }))
  cache.remember(thing('a', 6, { deleting: true }))
  expect(cache.size).toBe(0)
  cache.delete(thing('a', 7))
  expect(told).toEqual(['ns/a ->5', 'ns/a 5>-'])
})

test('a list of a server that went back counts whatever its versions, and tells of every object', () => {
  const { cache, told } = cacheOf()
  cache.put(thing('a', 50, { owner: 'x' }))
  cache.put(thing('b', 51, { uid: 'buried' }))
  cache.delete(thing('b', 60, { uid: 'buried' }))
  cache.put(thing('c', 52))
  told.length = 0
  cache.reset([thing('a', 12, { owner: 'y' }), thing('b', 13, { uid: 'buried' })], '20')
  expect(told).toEqual(['ns/a 50>-', 'ns/c 52>-', 'ns/a ->12', 'ns/b ->13'])
  expect(cache.newest).toBe('20')
  expect(cache.byIndex('owner', 'y')).toHaveLength(1)
  cache.put(thing('a', 21))
  expect(cache.get('ns/a')?.metadata.resourceVersion).toBe('21')
})

test.each([
  ['older than it was by then', thing('a', 40), '90', true],
  ['older than it was only since', thing('a', 40), '45', false],
  ['as it was', thing('a', 50), '90', false],
  ['gone by then', thing('b', 51), '90', true],
  ['gone only since', thing('b', 51), '55', false],
  ['never seen', thing('c', 3), '90', false],
  ['of versions that are no numbers', thing('a', 'x'), 'y', false],
])('whether a list contradicts what is known: %s', (_, raw, version, expected) => {
  const { cache } = cacheOf()
  cache.put(thing('a', 50))
  cache.put(thing('b', 51))
  cache.delete(thing('b', 60))
  expect(cache.contradicts(raw, version)).toBe(expected)
})

test('indexes follow changes; an unknown one is a mistake in the program', () => {
  const { cache } = cacheOf()
  cache.put(thing('a', 1, { owner: 'x' }))
  cache.put(thing('b', 2, { owner: 'x' }))
  cache.put(thing('a', 3, { owner: 'y' }))
  const names = (owner: string) => cache.byIndex('owner', owner).map(({ metadata }) => metadata.name)
  expect([names('x'), names('y'), names('z')]).toEqual([['b'], ['a'], []])
  cache.delete(thing('b', 4))
  expect(names('x')).toEqual([])
  expect(() => cache.byIndex('colour', 'red')).toThrow('no index "colour"')
})

test('a cached object cannot be written to, however deep', () => {
  const { cache } = cacheOf()
  cache.put(thing('a', 1))
  const list = cache.get('ns/a')?.spec.list
  expect(() => list?.push('y')).toThrow(TypeError)
})
