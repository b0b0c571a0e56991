import { describe, expect, it } from 'vitest'
import { applied, childrenIn, doings, matchWith, nodesOf, planFor, tree } from '../../../test/support/org-plan.ts'

const lead = (name: string, ...children: object[]) => ({ name, children })

describe('a node is known again', () => {
  it('by its path, and otherwise made anew', () => {
    const there = tree(lead('A', { name: 'B' }))
    expect(doings(planFor([lead('A', { name: 'B' })], there))).toEqual([])
    expect(doings(planFor([lead('A', { name: 'C' })], there))).toEqual(['create A/C', 'orphan B'])
  })

  it('by its id, whatever its name and place', () => {
    const there = tree(lead('A', { name: 'B', id: 'b' }), lead('X'))
    expect(doings(planFor([lead('A', { name: 'C', id: 'b' }), lead('X')], there))).toEqual(['rename A/C'])
    expect(doings(planFor([lead('A'), lead('X', { name: 'C', id: 'b' })], there))).toEqual(['move X/C'])
    expect(doings(planFor([lead('A', { name: 'B', id: 'other' }), lead('X')], there))).toEqual([
      'create A/B',
      'orphan B',
    ])
  })

  it('by a rename, with all below it', () => {
    const there = tree(lead('A', lead('B', { name: 'C' })))
    const renames = { A: 'Z' }
    expect(doings(planFor([lead('Z', lead('B', { name: 'C' }))], there, { renames }))).toEqual([
      'rename Z',
      'update Z/B',
      'update Z/B/C',
    ])
    // Told again after it was done, it says nothing.
    expect(doings(planFor([lead('A'), lead('Z')], tree(lead('Z')), { renames }))).toEqual(['create A'])
  })

  it('by a move, with all below it, where its name leaves no doubt', () => {
    const there = tree(lead('A', lead('T', { name: 'W' })), lead('B', { name: 'W' }))
    expect(doings(planFor([lead('A'), lead('B', { name: 'W' }, lead('T', { name: 'W' }))], there))).toEqual([
      'move B/T',
      'update B/T/W',
    ])
    const twins = tree(lead('A', { name: 'W' }), lead('B', { name: 'W' }), lead('C'))
    expect(doings(planFor([lead('A'), lead('B'), lead('C', { name: 'W' })], twins))).toEqual([
      'create C/W',
      'orphan W',
      'orphan W',
    ])
  })

  it('by no move when two came for one that left', () => {
    const there = tree(lead('A', { name: 'W' }), lead('B'), lead('C'))
    expect(doings(planFor([lead('A'), lead('B', { name: 'W' }), lead('C', { name: 'W' })], there))).toEqual([
      'create B/W',
      'create C/W',
      'orphan W',
    ])
  })

  it('and keeps its object, while who takes its old place gets another name', () => {
    const [a, b] = tree(lead('A', { name: 'B' }))
    if (a === undefined || b === undefined) throw new Error('two nodes make two')
    const moved = matchWith(nodesOf(lead('A', { name: 'B2' })), [a, b], { renames: { 'A/B': 'A/B2' } })
    expect(moved.matches.map(({ name }) => name)).toEqual([a.metadata.name, b.metadata.name])
    const [, child] = childrenIn(moved)
    if (child === undefined) throw new Error('two nodes make two')
    const again = matchWith(nodesOf(lead('A', { name: 'B2' }, { name: 'B' })), [a, applied(child)])
    const names = again.matches.map(({ name }) => name)
    expect(names.slice(0, 2)).toEqual([a.metadata.name, b.metadata.name])
    expect(names[2]).toMatch(/^b-[0-9a-f]{8}$/)
    expect(new Set(names).size).toBe(3)
  })

  it('when somebody took its annotations off', () => {
    const [a, b] = tree(lead('A', { name: 'B' }))
    if (a === undefined || b === undefined) throw new Error('two nodes make two')
    const bare = (live: typeof a) => ({ ...live, metadata: { ...live.metadata, annotations: {} } })
    expect(doings(planFor([lead('A', { name: 'B' })], [bare(a), bare(b)]))).toEqual(['update A', 'update A/B'])
    // Its place tells who it is even when its name comes from another path.
    const renamed = { ...bare(b), metadata: { ...bare(b).metadata, name: 'from-before' } }
    const { matches, leavers } = matchWith(nodesOf(lead('A', { name: 'B' })), [a, renamed])
    expect([matches.map(({ name }) => name), leavers]).toEqual([[a.metadata.name, 'from-before'], []])
    // Below a node that is new nobody can have been.
    expect(doings(planFor([lead('Z', { name: 'A' })], [bare(a)]))).toEqual(['create Z', 'create Z/A', 'orphan A'])
  })

  it('by no move when it was only left out', () => {
    const there = tree(lead('A', { name: 'W' }), lead('B'))
    const nodes = [lead('A'), lead('B', { name: 'W' })]
    expect(doings(planFor(nodes, there, { exclude: ['A/W'] }))).toEqual(['create B/W', 'orphan W'])
    expect(doings(planFor(nodes, there, { exclude: ['A/X'] }))).toEqual(['move B/W'])
  })
})

it('looks around once for each of thousands of nodes that all have other names', () => {
  const many = (prefix: string) => Array.from({ length: 3000 }, (_, i) => ({ name: `${prefix}${i}` }))
  const there = tree(...many('a'))
  const nodes = nodesOf(...many('b'))
  let looks = 0
  const siblings = () => (looks++, [])
  expect(matchWith(nodes, there, { siblings, present: () => undefined }).leavers.length).toBe(3000)
  expect(looks).toBe(3000)
})
