import { expect, test } from 'vitest'
import type { KubeObject } from '../api/meta.ts'
import { createReferences, interestIn, onReferencesGone, type Referrers } from './references.ts'
import type { Change } from '../kube/client.ts'
import { ObjectCache } from '../kube/object-cache.ts'

const named = (namespace: string, name: string, uid: string, generation = 1, refers: readonly string[] = []) =>
  ({
    apiVersion: 'v1',
    kind: 'Thing',
    metadata: { name, namespace, uid, resourceVersion: String(generation), generation, creationTimestamp: '' },
    spec: { refers },
  }) as KubeObject<{ refers: readonly string[] }>

function scene() {
  const listeners = new Set<(change: Change<KubeObject>) => void>()
  const cacheOf = () =>
    new ObjectCache<KubeObject<{ refers: readonly string[] }>>(
      {
        reference: ({ spec }) => spec.refers,
        referring: ({ spec, metadata }) =>
          spec.refers.map((each) => `${each.split('/')[0] ?? ''}/${metadata.namespace ?? ''}`),
        namespace: ({ metadata }) => [metadata.namespace ?? ''],
        uid: ({ metadata }) => [metadata.uid],
      },
      (change) => {
        for (const listener of listeners) listener(change)
      },
    )
  const [workspaces, runtimes, orgImports] = [cacheOf(), cacheOf(), cacheOf()]
  const onChange = (listener: (change: Change<KubeObject>) => void) => void listeners.add(listener)
  const referrers: Referrers = {
    workspaces: { cache: workspaces, onChange },
    runtimes: { cache: runtimes, onChange },
    orgImports: { cache: orgImports, onChange },
  }
  return { workspaces, runtimes, orgImports, referrers }
}

test('what a Workspace or OrgImport names is of interest, and nothing else', () => {
  const { workspaces, orgImports, referrers } = scene()
  const { referred, concerned } = interestIn('Secret', referrers)
  expect([referred('ns/a', undefined), concerned('ns')]).toEqual([false, false])
  workspaces.put(named('ns', 'one', 'u1', 1, ['Secret/ns/a']))
  expect([referred('ns/a', undefined), concerned('ns')]).toEqual([true, true])
  expect([referred('ns/b', undefined), referred('other/a', undefined), concerned('other')]).toEqual([
    false,
    false,
    false,
  ])
  expect(interestIn('ConfigMap', referrers).referred('ns/a', undefined)).toBe(false)
  orgImports.put(named('other', 'team', 'u2', 1, ['Secret/other/a']))
  expect([referred('other/a', undefined), concerned('other')]).toEqual([true, true])
})

test('what a Runtime names is of interest in the namespace of the operator, and told to be gone there', () => {
  const { runtimes, referrers } = scene()
  const { referred, concerned } = interestIn('ConfigMap', referrers)
  const told = new Set<string>()
  onReferencesGone(referrers, 'home', (namespace) => told.add(namespace))
  const { namespace: _, ...metadata } = named('', 'it', 'u1', 1).metadata
  const runtime = { ...named('', 'it', 'u1', 1, ['ConfigMap/home/writer']), metadata }
  runtimes.put(runtime)
  expect(referred('home/writer', undefined)).toBe(true)
  expect(referred('ns/writer', undefined)).toBe(false)
  expect(concerned('ns')).toBe(false)
  runtimes.delete({ ...runtime, metadata: { ...metadata, resourceVersion: '2' } })
  expect([...told]).toEqual(['home'])
})

test('the label of an import counts in the namespace of that import alone: anybody can write it', () => {
  const { orgImports, referrers } = scene()
  orgImports.put(named('ns', 'team', 'uid-of-team'))
  const { referred } = interestIn('ConfigMap', referrers)
  expect(referred('ns/files', 'uid-of-team')).toBe(true)
  expect(referred('attacker/files', 'uid-of-team')).toBe(false)
  expect(referred('ns/files', 'uid-of-nothing')).toBe(false)
})

test('references may have gone when a spec changed or its object went, not when a status did', () => {
  const { workspaces, referrers } = scene()
  const told: string[] = []
  onReferencesGone(referrers, 'home', (namespace) => told.push(namespace))
  const one = named('ns', 'one', 'u1', 1, ['Secret/ns/a'])
  workspaces.put(one)
  const statusOnly = { ...one, metadata: { ...one.metadata, resourceVersion: '2' } }
  workspaces.put(statusOnly)
  expect(told).toEqual([])
  workspaces.put(named('ns', 'one', 'u1', 3))
  expect(new Set(told)).toEqual(new Set(['ns']))
  told.length = 0
  workspaces.delete(named('ns', 'one', 'u1', 4))
  expect(new Set(told)).toEqual(new Set(['ns']))
})

test('a key is looked for among those of the object alone', () => {
  const object = { data: { real: 'dGV4dA==' } } as never
  const found = createReferences(() => ({ state: 'found', object })).look('Secret', 'ns', 'a')
  if (found.state !== 'found') throw new Error(found.state)
  expect(Buffer.from(found.value('real') ?? []).toString()).toBe('text')
  for (const key of ['toString', 'constructor', '__proto__', 'valueOf']) expect(found.value(key)).toBeUndefined()
})
