import { expect, test } from 'vitest'
import type { Workspace } from '../../api/workspace.ts'
import type { Change } from '../../kube/client.ts'
import { WorkspaceQuota } from './quota.ts'

function scene(limit: number) {
  let listener: (change: Change<Workspace>) => void = () => undefined
  const woken: string[] = []
  const quota = new WorkspaceQuota(limit, { onChange: (each) => void (listener = each) }, (key) => woken.push(key))
  const make = (name: string, second: number, namespace = 'ns') =>
    ({
      metadata: { name, namespace, uid: `${name}-${second}`, creationTimestamp: `2026-01-01T00:00:0${second}Z` },
    }) as Workspace
  const come = (ws: Workspace) => listener({ key: ws.metadata.name, before: undefined, after: ws })
  const go = (ws: Workspace) => listener({ key: ws.metadata.name, before: ws, after: undefined })
  const waiting = (...all: Workspace[]) => all.filter((ws) => quota.exceeded(ws)).map(({ metadata }) => metadata.name)
  return { make, come, go, waiting, woken }
}

test('the oldest stay, whatever the order in which they are seen, and names break the tie', () => {
  const { make, come, waiting } = scene(2)
  const all = [make('d', 2), make('b', 1), make('c', 2), make('a', 3)]
  for (const each of all) come(each)
  expect(waiting(...all).toSorted()).toEqual(['a', 'd'])
})

test('when one goes the next oldest is woken, and no other', () => {
  const { make, come, go, waiting, woken } = scene(2)
  const [one, two, three, four] = [make('one', 1), make('two', 2), make('three', 3), make('four', 4)]
  for (const each of [one, two, three, four]) come(each)
  expect(woken).toEqual([])
  go(four)
  expect(woken).toEqual([])
  go(one)
  expect(woken).toEqual(['ns/three'])
  expect(waiting(two, three)).toEqual([])
})

test('one that is seen late and is older takes the place of the youngest, which is told', () => {
  const { make, come, waiting, woken } = scene(1)
  const [old, young] = [make('old', 1), make('young', 2)]
  come(young)
  come(old)
  expect({ waiting: waiting(old, young), woken }).toEqual({ waiting: ['young'], woken: ['ns/young'] })
})

test('each namespace has its own count, and a status or a new spec changes nothing', () => {
  const { make, come, waiting } = scene(1)
  const [here, there] = [make('a', 1), make('b', 2, 'other')]
  come(here)
  come(there)
  come({ ...here })
  expect(waiting(here, there)).toEqual([])
})
