import { describe, expect, it } from 'vitest'
import type { OrgImport } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { DataObject } from '../references.ts'
import { importLabel } from './marks.ts'
import { ownedMaps, planFiles } from './file-plan.ts'
import { mapNames, mostBytes, pack, type Packed } from './packing.ts'

const uid = '5f0c3f9e-6f0e-4b52-8a6f-1f2b5c0f7a11'
const owner = { metadata: { name: 'team', namespace: 'ns', uid } } as unknown as OrgImport

const node = (name: string, files: Record<string, string>) => ({ name, files: new Map(Object.entries(files)) })
function packed(...nodes: ReturnType<typeof node>[]): Packed {
  const result = pack(uid, 'team', nodes)
  if (result === undefined) throw new Error('it fits')
  return result
}
const stored = (name: string, data: Readonly<Record<string, string>>, labels = { [importLabel]: uid }) =>
  ({
    kind: 'ConfigMap',
    metadata: { name, namespace: 'ns', uid: `uid of ${name}`, labels },
    data,
  }) as unknown as DataObject
const storedAll = ({ maps }: Packed) => [...maps].map(([name, data]) => stored(name, data))
const using = ({ refs }: Packed): Workspace[] =>
  [...refs].map(([name, files]) => ({ metadata: { name }, spec: { files } }) as unknown as Workspace)
const plan = (wanted: Packed, there: readonly DataObject[], workspaces: readonly Workspace[] = []) =>
  planFiles(owner, wanted, (name) => there.find(({ metadata }) => metadata.name === name), workspaces)

describe('packing', () => {
  it('gives each file a key that says whose it is, and a reference', () => {
    const { maps, refs } = packed(node('a-1', { 'x/y.md': 'text', 'z.md': '' }), node('b-2', {}))
    const [[name, data]] = [...maps] as [[string, Record<string, string>]]
    expect(name).toMatch(/^team-files-[0-9a-f]{8}$/)
    expect(data).toEqual({ 'a-1.x__y.md': 'text', 'a-1.z.md': '' })
    expect(refs.get('a-1')).toContainEqual({ path: 'x/y.md', configMapKeyRef: { name, key: 'a-1.x__y.md' } })
    expect(refs.has('b-2')).toBe(false)
  })

  it('keeps every map below its limit, and a node in one map', () => {
    const big = 'x'.repeat(100_000)
    const nodes = Array.from({ length: 40 }, (_, i) => node(`n-${i}`, { 'a.md': big, 'b.md': big }))
    const { maps, refs } = packed(...nodes)
    for (const data of maps.values())
      expect(Object.values(data).reduce((sum, text) => sum + text.length, 0)).toBeLessThanOrEqual(mostBytes)
    for (const files of refs.values())
      expect(new Set(files.map(({ configMapKeyRef }) => configMapKeyRef.name)).size).toBe(1)
    for (const name of maps.keys()) expect(mapNames(uid, 'team')).toContain(name)
  })

  it('gives up beyond what 256 maps hold', () => {
    const nodes = Array.from({ length: 300 }, (_, i) => node(`n-${i}`, { 'a.md': 'x'.repeat(800_000) }))
    expect(pack(uid, 'team', nodes)).toBeUndefined()
  })

  it('finds a key for the longest path', () => {
    const { maps } = packed(node('a-1', { [`${'long '.repeat(100)}.md`]: 'text' }))
    for (const data of maps.values())
      for (const key of Object.keys(data)) expect(key).toMatch(/^[-._a-zA-Z0-9]{1,253}$/)
  })
})

describe('the plan for files', () => {
  const before = packed(node('a-1', { 'x.md': 'old', 'y.md': 'y' }))
  const after = packed(node('a-1', { 'x.md': 'new' }))

  it('writes a map that is missing or differs, and none that is as it should be', () => {
    expect(plan(before, []).apply).toHaveLength(1)
    expect(plan(before, storedAll(before))).toEqual({ apply: [], remove: [], taken: [] })
    expect(plan(after, storedAll(before)).apply.map(({ data }) => data)).toEqual([{ 'a-1.x.md': 'new' }])
  })

  it('keeps a file as long as a Workspace refers to it', () => {
    expect(plan(after, storedAll(before), using(before)).apply.map(({ data }) => data)).toEqual([
      { 'a-1.x.md': 'new', 'a-1.y.md': 'y' },
    ])
    expect(plan(after, storedAll(before), using(after)).apply.map(({ data }) => data)).toEqual([{ 'a-1.x.md': 'new' }])
  })

  it('removes a map when nobody refers to it any more', () => {
    const nothing = packed()
    expect(plan(nothing, storedAll(before), using(before)).remove).toEqual([])
    expect(plan(nothing, storedAll(before)).remove).toHaveLength(1)
  })

  it('never writes over a map of somebody else', () => {
    const foreign = [...before.maps.keys()].map((name) => stored(name, {}, { [importLabel]: 'another' }))
    expect(plan(before, foreign)).toMatchObject({ apply: [], taken: [...before.maps.keys()] })
    expect(ownedMaps(owner, (name) => foreign.find(({ metadata }) => metadata.name === name))).toEqual([])
  })
})

it('leaves the texts of a Workspace that is only to be created as they are', () => {
  const before = packed(node('a', { x: 'old', y: 'old' }))
  const after = packed(node('a', { x: 'new' }), node('b', { x: 'new' }))
  const there = storedAll(before)
  const get = (name: string) => there.find(({ metadata }) => metadata.name === name)
  const { apply } = planFiles(owner, after, get, using(before), new Set(['a']))
  expect(apply.map(({ data }) => data)).toEqual([{ 'a.x': 'old', 'a.y': 'old', 'b.x': 'new' }])
})
