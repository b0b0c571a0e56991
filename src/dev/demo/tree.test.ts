import { expect, test } from 'vitest'
import { workspaceType, type Workspace } from '../../api/workspace.ts'
import { isReady, treeOf } from './tree.ts'

interface Given {
  readonly parent?: string
  readonly ready?: 'True' | 'False'
  readonly observed?: number
  readonly stalled?: string
}

function workspace(name: string, { parent, ready, observed = 1, stalled }: Given = {}): Workspace {
  const lastTransitionTime = '2026-01-01T00:00:00Z'
  const conditions = [
    ...(ready ? [{ type: 'Ready', status: ready, reason: 'Online', message: 'said', lastTransitionTime }] : []),
    ...(stalled ? [{ type: 'Stalled', status: 'True', reason: 'X', message: stalled, lastTransitionTime }] : []),
  ]
  return workspaceType.parse({
    apiVersion: 'molecule.dev/v1alpha1',
    kind: 'Workspace',
    metadata: {
      name,
      namespace: 'demo',
      uid: name,
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: lastTransitionTime,
    },
    spec: { ...(parent && { parentRef: { name: parent } }) },
    status: { observedGeneration: observed, conditions, summary: 'booting' },
  })
}

const shape = (all: readonly Workspace[]) => treeOf(all).map(({ depth, name }) => `${'.'.repeat(depth)}${name}`)

test('parents come before their children, siblings by name', () => {
  const all = [
    workspace('c', { parent: 'a' }),
    workspace('d', { parent: 'b' }),
    workspace('b', { parent: 'a' }),
    workspace('a'),
  ]
  expect(shape(all)).toEqual(['a', '.b', '..d', '.c'])
})

test('a child without its parent is a root, and a cycle is shown flat', () => {
  expect(shape([workspace('orphan', { parent: 'gone' })])).toEqual(['orphan'])
  expect(shape([workspace('x', { parent: 'y' }), workspace('y', { parent: 'x' })]).sort()).toEqual(['x', 'y'])
})

test('Ready counts only for the present spec', () => {
  expect(isReady(workspace('a', { ready: 'True' }))).toBe(true)
  expect(isReady(workspace('a', { ready: 'True', observed: 0 }))).toBe(false)
  expect(isReady(workspace('a', { ready: 'False' }))).toBe(false)
})

test('what the user must mend is said rather than the summary', () => {
  expect(treeOf([workspace('a')])[0]).toMatchObject({ stalled: false, why: 'booting' })
  expect(treeOf([workspace('a', { stalled: 'no such runtime' })])[0]).toMatchObject({
    stalled: true,
    why: 'no such runtime',
  })
})
