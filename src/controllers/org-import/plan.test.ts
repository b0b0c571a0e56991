import { describe, expect, it } from 'vitest'
import type { OrgImport } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import { renderOrg } from '../../orgs/tree.ts'
import { childrenOf, digestAnnotation, importLabel, type Child } from './children.ts'
import { covers, planOf, type World } from './plan.ts'

const importUid = '5f0c3f9e-6f0e-4b52-8a6f-1f2b5c0f7a11'
const owner = {
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'OrgImport',
  metadata: {
    name: 'team',
    namespace: 'ns',
    uid: importUid,
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '',
  },
  spec: { source: {} },
} as unknown as OrgImport

const template = (tier: number) => ({ workspaces: [{ name: 'A', tier, children: [{ name: 'B' }] }] })
function childrenAt(tier: number): [Child, Child] {
  const { nodes } = renderOrg({ kind: 'inline', template: template(tier) }, { importUid })
  const [a, b] = childrenOf(owner, nodes, new Map(), new Map())
  if (a === undefined || b === undefined) throw new Error('two nodes make two children')
  return [a, b]
}

/** As the API server gives a child back: with fields it never named. */
function applied({ manifest }: Child, changes: { metadata?: object; spec?: object } = {}): Workspace {
  const metadata = { ...manifest.metadata, uid: `uid of ${manifest.metadata.name}`, generation: 1, ...changes.metadata }
  return {
    ...manifest,
    metadata,
    spec: { power: 'Running', ...(manifest.spec as object), ...changes.spec },
  } as unknown as Workspace
}

const plan = (children: readonly Child[], there: readonly Workspace[], more: Partial<World> = {}) =>
  planOf(children, {
    importUid,
    live: (name) => there.find(({ metadata }) => metadata.name === name),
    owned: there.filter(({ metadata }) => metadata.labels?.[importLabel] === importUid),
    converge: true,
    ...more,
  })
const kinds = (...args: Parameters<typeof plan>) => plan(...args).actions.map(({ kind }) => kind)

describe('a plan', () => {
  const [a, b] = childrenAt(2)

  it('creates what is missing and keeps what is as it was applied', () => {
    expect(kinds([a, b], [])).toEqual(['create', 'create'])
    expect(kinds([a, b], [applied(a)])).toEqual(['keep', 'create'])
    expect(kinds([a, b], [applied(a), applied(b)])).toEqual(['keep', 'keep'])
  })

  it('updates only the node whose template changed, unless told to create alone', () => {
    const there = [applied(a), applied(b)]
    expect(kinds(childrenAt(3), there)).toEqual(['update', 'keep'])
    expect(kinds(childrenAt(3), there, { converge: false })).toEqual(['keep', 'keep'])
  })

  it('puts back what somebody changed, and leaves alone what the template does not name', () => {
    expect(kinds([a], [applied(a, { spec: { tier: 1 } })])).toEqual(['update'])
    expect(kinds([a], [applied(a, { spec: { power: 'Paused' } })])).toEqual(['keep'])
    expect(kinds([a], [applied(a, { metadata: { ownerReferences: [] } })])).toEqual(['update'])
    expect(kinds([a], [applied(a, { metadata: { annotations: { [digestAnnotation]: 'x' } } })])).toEqual(['update'])
  })

  it('never touches a Workspace of somebody else, nor one on its way out', () => {
    expect(kinds([a], [applied(a, { metadata: { labels: {} } })])).toEqual(['taken'])
    expect(kinds([a], [applied(a, { metadata: { labels: { [importLabel]: 'another' } } })])).toEqual(['taken'])
    expect(kinds([a], [applied(a, { metadata: { deletionTimestamp: 'now' } })])).toEqual(['leaving'])
  })

  it('counts what left the template', () => {
    expect(plan([a], [applied(a), applied(b)]).orphans.map(({ metadata }) => metadata.name)).toEqual([b.name])
  })

  it('has the same digest in the same world, and another in another', () => {
    const digest = (there: readonly Workspace[]) => plan([a, b], there).digest
    expect(digest([applied(a)])).toBe(digest([applied(a)]))
    expect(digest([])).not.toBe(digest([applied(a)]))
  })
})

describe('what is there covers what is wanted', () => {
  it.each([
    [{ a: 1, b: 2 }, { a: 1 }, true],
    [{ a: 1 }, { a: 2 }, false],
    [{}, { a: 1 }, false],
    [undefined, { a: 1 }, false],
    [{ a: { b: 1, c: 2 } }, { a: { b: 1 } }, true],
    [{ a: [{ n: 'y' }, { n: 'x', v: 1 }] }, { a: [{ n: 'x' }] }, true],
    [{ a: [{ n: 'y' }] }, { a: [{ n: 'x' }] }, false],
    [{ a: [1, 2] }, { a: [1, 2] }, true],
    [{ a: [1, 2, 3] }, { a: [1, 2] }, false],
    [{ a: [2, 1] }, { a: [1, 2] }, false],
    [{ a: 1 }, { a: [] }, false],
  ])('%j, %j: %s', (live, wanted, answer) => {
    expect(covers(live, wanted)).toBe(answer)
  })
})
