import { expect, test } from 'vitest'
import { baseOf, basesOf } from './host-folder.ts'

test('a setting names a folder for each namespace, which no other one lies in', () => {
  expect(basesOf([])).toEqual([])
  expect(basesOf(['/srv/agents/{namespace}', '/data/{namespace}'])).toEqual(['/srv/agents', '/data'])
  expect(basesOf(['/srv/a/{namespace}', '/srv/ab/{namespace}'])).toEqual(['/srv/a', '/srv/ab'])
})

test.each<[string[], RegExp]>([
  [['/srv/agents'], /"\/srv\/agents" has no folder for each namespace: "\/srv\/agents\/\{namespace\}"/],
  [['/srv/agents/'], /"\/srv\/agents\/\{namespace\}"$/],
  [['/srv/{namespace}/agents'], /no folder for each namespace/],
  [['/srv/x-{namespace}'], /no folder for each namespace/],
  [['/{namespace}'], /not an absolute path/],
  [['srv/{namespace}'], /not an absolute path/],
  [['/etc/{namespace}'], /folder of the system/],
  [['/srv/../etc/{namespace}'], /not written out/],
  [['/srv/{namespace}/{namespace}'], /names the namespace twice/],
  [
    ['/srv/{namespace}', '/srv/agents/{namespace}'],
    /"\/srv\/agents\/\{namespace\}" lies within "\/srv\/\{namespace\}"/,
  ],
])('%j is refused', (entries, fault) => {
  expect(basesOf(entries)).toEqual({ faults: [expect.stringMatching(fault)] })
})

test('a folder is one of its namespace, exactly one level below it', () => {
  const of = (path: string, namespace = 'a') => baseOf(path, namespace, ['/srv/agents', '/data'])
  expect(of('/srv/agents/a/x')).toBe('/srv/agents')
  expect(of('/data/a/x')).toBe('/data')
  for (const path of [
    '/srv/agents/a',
    '/srv/agents/a/',
    '/srv/agents/a/x/y',
    '/srv/agents/b/x',
    '/srv/agents/ab/x',
    '/srv/agents',
  ])
    expect(of(path)).toBeUndefined()
  expect(of('/srv/agents//x', '')).toBeUndefined()
})
