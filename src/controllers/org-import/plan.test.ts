import { describe, expect, it } from 'vitest'
import { applied, childrenIn, doings, matchWith, nodesOf, planFor, tree } from '../../../test/support/org-plan.ts'
import { digestAnnotation } from './marks.ts'
import { givesModel } from './plan.ts'

const team = (tier: number) => ({ name: 'A', tier, children: [{ name: 'B' }] })

describe('a plan', () => {
  const [a, b] = tree(team(2))
  if (a === undefined || b === undefined) throw new Error('two nodes make two')

  it('creates what is missing and keeps what is as it was applied', () => {
    expect(doings(planFor([team(2)], []))).toEqual(['create A', 'create A/B'])
    expect(doings(planFor([team(2)], [a]))).toEqual(['create A/B'])
    expect(doings(planFor([team(2)], [a, b]))).toEqual([])
  })

  it('updates only the node whose template changed, unless told to create alone', () => {
    expect(doings(planFor([team(3)], [a, b]))).toEqual(['update A'])
    expect(doings(planFor([team(3)], [a, b], { update: 'CreateOnly' }))).toEqual([])
  })

  it('says what would be different', () => {
    const [update] = planFor([team(3)], [a, b]).actions
    expect(update).toMatchObject({ kind: 'update', apply: true, changes: ['tier 2 → 3'] })
    const [texts] = planFor([team(2)], [a, b], { filesChange: ({ path }) => path === 'A' }).actions
    expect(texts).toMatchObject({ kind: 'update', apply: false, changes: ['texts of files'] })
  })

  it('says what the template no longer says', () => {
    const node = (...schedules: string[]) => ({
      name: 'A',
      schedules: schedules.map((name) => ({ name, cron_expr: '0 9 * * *', prompt: 'Look.' })),
    })
    const changes = (before: object, after: object) => {
      const [update] = planFor([after], tree(before)).actions
      return update !== undefined && 'changes' in update ? update.changes : []
    }
    expect(changes(node('one', 'two'), node('one'))).toEqual(['schedules'])
    expect(changes({ name: 'A', role: 'Works.' }, { name: 'A' })).toEqual(['fields that the template no longer names'])
  })

  it('puts back the marks by which it knows what is its own', () => {
    const without = (mark: string) => {
      const annotations = { ...a.metadata.annotations, [mark]: '' }
      return planFor([team(2)], [{ ...a, metadata: { ...a.metadata, annotations } }, b]).actions[0]
    }
    const restored = { kind: 'update', changes: ['marks of this import'] }
    expect(without('molecule.dev/org-node-id')).toMatchObject(restored)
    const [marked] = tree({ name: 'A', id: 'a' })
    if (marked === undefined) throw new Error('one node makes one')
    const annotations = { ...marked.metadata.annotations }
    delete annotations['molecule.dev/org-node']
    const bare = { ...marked, metadata: { ...marked.metadata, annotations } }
    expect(planFor([{ name: 'A', id: 'a' }], [bare]).actions).toMatchObject([restored])
  })

  it('puts back what somebody changed, and leaves alone what the template does not name', () => {
    const child = childrenIn(matchWith(nodesOf(team(2)), []))[0]
    if (child === undefined) throw new Error('there is a child')
    const with_ = (changes: { metadata?: object; spec?: object }) =>
      doings(planFor([team(2)], [applied(child, changes), b]))
    expect(with_({ spec: { tier: 1 } })).toEqual(['update A'])
    expect(with_({ spec: { power: 'Paused' } })).toEqual([])
    expect(with_({ metadata: { labels: {} } })).toEqual(['update A'])
    expect(
      with_({ metadata: { annotations: { ...child.manifest.metadata.annotations, [digestAnnotation]: 'x' } } }),
    ).toEqual(['update A'])
    expect(with_({ metadata: { deletionTimestamp: 'now' } })).toEqual(['leaving A'])
  })

  it('gives a model only to what is made, or written with another', () => {
    const given = (there: Parameters<typeof planFor>[1], policies?: Parameters<typeof planFor>[2], model = 'new') =>
      planFor([{ name: 'A', runtime: 'it', model }], there, policies).actions.filter(givesModel).length
    const [old] = tree({ name: 'A', runtime: 'it', model: 'old' })
    if (old === undefined) throw new Error('one node makes one')
    const held = { ...old.metadata.annotations, 'molecule.dev/held-by-others': 'model=bob' }
    const stranger = { ...old, metadata: { ...old.metadata, ownerReferences: [] } }
    expect(given([])).toBe(1)
    expect(given([old])).toBe(1)
    expect(given([old], {}, 'old')).toBe(0)
    expect(given([old], { update: 'CreateOnly' })).toBe(0)
    expect(given([{ ...old, metadata: { ...old.metadata, annotations: held } }])).toBe(0)
    expect(given([{ ...old, metadata: { ...old.metadata, deletionTimestamp: 'now' } }])).toBe(1)
    expect(given([stranger], { existing: 'Adopt' })).toBe(1)
    expect(given([stranger], { existing: 'Adopt' }, 'old')).toBe(0)
    expect(given([stranger], { existing: 'Adopt', update: 'CreateOnly' })).toBe(0)
    expect(given([stranger], { existing: 'Ignore' })).toBe(0)
  })

  it('leaves fields alone that others hold', () => {
    const child = childrenIn(matchWith(nodesOf(team(2)), []))[0]
    if (child === undefined) throw new Error('there is a child')
    const annotations = { ...child.manifest.metadata.annotations, 'molecule.dev/held-by-others': 'tier=bob' }
    expect(doings(planFor([team(2)], [applied(child, { metadata: { annotations }, spec: { tier: 1 } }), b]))).toEqual(
      [],
    )
    // Given up: it is ours again.
    const given = applied(child, { metadata: { annotations }, spec: { tier: undefined } })
    expect(doings(planFor([team(2)], [given, b]))).toEqual(['update A'])
  })

  it('keeps what left, or deletes it, the lowest first; never what is only left out', () => {
    expect(doings(planFor([], [a, b]))).toEqual(['orphan B', 'orphan A'])
    expect(doings(planFor([], [a, b], { prune: 'Delete' }))).toEqual(['prune B', 'prune A'])
    expect(doings(planFor([], [a, b], { prune: 'Delete', exclude: ['A'] }))).toEqual(['orphan B', 'orphan A'])
    expect(doings(planFor([{ name: 'A', tier: 2 }], [a, b], { prune: 'Delete', exclude: ['A/B'] }))).toEqual([
      'orphan B',
    ])
  })
})

describe('a Workspace of the same name and place that is not of this import', () => {
  const [child] = tree({ name: 'A' })
  if (child === undefined) throw new Error('there is a child')
  const stranger = {
    ...child,
    metadata: { ...child.metadata, name: 'hand-made', labels: {}, annotations: {}, ownerReferences: [] },
  }
  const nodes = [{ name: 'A', children: [{ name: 'B' }] }]

  it('is in the way, is taken over, or stands for the node', () => {
    expect(doings(planFor(nodes, [stranger]))).toEqual(['clash A', 'create A/B'])
    expect(doings(planFor(nodes, [stranger], { existing: 'Adopt' }))).toEqual(['adopt A', 'create A/B'])
    const ignored = planFor(nodes, [stranger], { existing: 'Ignore' })
    expect(doings(ignored)).toEqual(['ignore A', 'create A/B'])
    expect(ignored.actions[1]?.child.manifest.spec['parentRef']).toEqual({ name: 'hand-made' })
  })

  it('is taken over only from nobody', () => {
    const whose = () => 'OrgImport "other"'
    expect(doings(planFor(nodes, [stranger], { existing: 'Adopt', whose }))[0]).toBe('clash A')
  })
})

describe('the digest of a plan', () => {
  const first = [{ name: 'A', tier: 2 }]
  const there = tree({ name: 'A', tier: 1 })
  const digest = (...args: Parameters<typeof planFor>) => planFor(...args).digest

  it('is the same in the same world', () => {
    expect(digest(first, there)).toBe(digest(first, tree({ name: 'A', tier: 1 })))
  })

  it('is another one when the wish, the object, its version or the texts are others', () => {
    const [live] = there
    if (live === undefined) throw new Error('there is one')
    const later = { ...live, metadata: { ...live.metadata, generation: 2 } }
    const another = { ...live, metadata: { ...live.metadata, uid: 'another' } }
    const digests = [
      digest(first, there),
      digest([{ name: 'A', tier: 3 }], there),
      digest(first, [later]),
      digest(first, [another]),
      digest(first, []),
      digest([{ ...first[0], system_prompt: 'New.' }], there),
    ]
    expect(new Set(digests).size).toBe(digests.length)
  })

  it('takes no notice of a status', () => {
    const [live] = there
    if (live === undefined) throw new Error('there is one')
    const beaten = {
      ...live,
      metadata: { ...live.metadata, resourceVersion: '9' },
      status: { observedGeneration: 1, summary: 'new' },
    }
    expect(digest(first, [beaten])).toBe(digest(first, there))
  })
})
