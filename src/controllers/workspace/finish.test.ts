import { expect, test } from 'vitest'
import type { Workspace } from '../../api/workspace.ts'
import type { Context } from '../../kube/reconciler.ts'
import { finish } from './finish.ts'

type World = Map<string, Workspace>

const workspace = (name: string, parent: string | undefined, childrenPolicy = 'Cascade', ending = false) =>
  ({
    metadata: { name, namespace: 'n', uid: name, ...(ending && { deletionTimestamp: 'now' }) },
    spec: { childrenPolicy, deletionPolicy: 'Delete', ...(parent !== undefined && { parentRef: { name: parent } }) },
  }) as unknown as Workspace

const belowIn = (world: World, top: Workspace): Workspace[] => {
  const found: Workspace[] = []
  const walk = (name: string) => {
    for (const each of world.values())
      if (each.spec.parentRef?.name === name && each.metadata.name !== top.metadata.name && !found.includes(each)) {
        found.push(each)
        walk(each.metadata.name)
      }
  }
  walk(top.metadata.name)
  return found
}

/** Passes over all that are being deleted, until nothing changes any more; gives the order in which they went. */
async function play(world: World): Promise<string[]> {
  const gone: string[] = []
  for (let changed = true; changed;) {
    changed = false
    for (const each of [...world.values()].filter(({ metadata }) => metadata.deletionTimestamp !== undefined)) {
      const release = async () => {
        world.delete(each.metadata.name)
        gone.push(each.metadata.name)
        changed = true
      }
      await finish(each, { release, fence: { check: () => undefined } } as unknown as Context, {
        rows: { remove: async () => undefined } as never,
        backend: () => ({}) as never,
        descendants: (top) => belowIn(world, top),
        orphans: () => false,
        destroy: async ({ metadata: { name }, spec }) => {
          world.set(name, workspace(name, spec.parentRef?.name, spec.childrenPolicy, true))
          changed = true
        },
      })
    }
  }
  return gone
}
const worldOf = (...all: readonly Workspace[]): World => new Map(all.map((each) => [each.metadata.name, each]))

test('a cascade goes from the leaves up', async () => {
  const world = worldOf(
    workspace('a', undefined, 'Cascade', true),
    workspace('b', 'a'),
    workspace('c', 'b'),
    workspace('d', 'b', 'Orphan'),
  )
  const gone = await play(world)
  expect(gone.slice(0, 2).toSorted()).toEqual(['c', 'd'])
  expect(gone.slice(2)).toEqual(['b', 'a'])
})

test.each([
  ['two', ['a', 'b']],
  ['three', ['a', 'b', 'c']],
  ['seven', ['a', 'b', 'c', 'd', 'e', 'f', 'g']],
])('parents in a circle of %s end, whether one of them is deleted or all are', async (_, names) => {
  const circle = (ending: (i: number) => boolean) =>
    names.map((name, i) => workspace(name, names[(i + 1) % names.length], 'Cascade', ending(i)))
  const hanging = [workspace('y', 'a'), workspace('z', 'y', 'Orphan')]
  for (const ending of [(i: number) => i === 0, () => true]) {
    const world = worldOf(...circle(ending), ...hanging)
    const gone = await play(world)
    expect(world.size).toBe(0)
    expect(gone.indexOf('z')).toBeLessThan(gone.indexOf('y'))
    expect(gone.indexOf('y')).toBeLessThan(gone.indexOf('a'))
  }
})

test('what is not being deleted yet is waited for, in a circle as elsewhere', async () => {
  const world = worldOf(workspace('a', 'b', 'Cascade', true), workspace('b', 'a', 'Orphan'), workspace('c', 'b'))
  expect((await play(world))[0]).toBe('c')
  expect(world.size).toBe(0)
})
