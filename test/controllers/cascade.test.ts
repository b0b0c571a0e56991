/** Deletions that wait for one another: parents in a circle, each of which takes what is below with it. */
import { expect, test } from 'vitest'
import { openScene } from '../incidents/scene.ts'
import { until } from '../support/until.ts'
import { workspace } from '../support/workspaces.ts'

const scene = await openScene()
const { cluster, ns, edit, settles } = scene
const cascade = { childrenPolicy: 'Cascade', runtime: scene.runtimeName }
/** One that the deletion of another has taken with it already is fine. */
const remove = (...names: readonly string[]) =>
  cluster.kubectl(['delete', 'ws', ...names, '-n', ns, '--wait=false', '--ignore-not-found'])

const gone = (names: readonly string[]) =>
  until(
    async () => {
      const left = await cluster.kubectl(['get', 'ws', '-n', ns, '-o', 'name', '--ignore-not-found'])
      expect(left.split('\n').filter((line) => names.some((name) => line.endsWith(`/${name}`)))).toEqual([])
      return true
    },
    { what: `${names.join(', ')} to be gone`, within: 30_000 },
  )

test.each([
  ['one of them', ['a1', 'b1', 'c1'], (names: readonly string[]) => names.slice(0, 1)],
  ['all of them', ['a2', 'b2', 'c2'], (names: readonly string[]) => names],
])('parents in a circle end with rows and instances when %s is deleted', async (_, names, deleted) => {
  await cluster.apply(names.map((name) => workspace(ns, name, cascade)))
  const uids = await Promise.all(names.map(async (name) => (await settles(name, 'Ready', 'True Settled')).metadata.uid))
  await cluster.apply([workspace(ns, `leaf-${names[0]}`, { ...cascade, parentRef: { name: names[0] } })])
  await settles(`leaf-${names[0]}`, 'Ready', 'True Settled')
  for (const [i, name] of names.entries())
    await edit(name, { spec: { parentRef: { name: names[(i + 1) % names.length] } } })
  await remove(...deleted(names))
  await gone([...names, `leaf-${names[0]}`])
  for (const uid of uids) expect(scene.backend.has(uid)).toBe(false)
  const rows = await scene.query('SELECT status FROM workspaces WHERE id = ANY($1)', [uids])
  expect(rows.map(({ status }) => status)).toEqual(['removed', 'removed', 'removed'])
})

test('a circle that was never recorded ends, too', async () => {
  await cluster.apply([
    workspace(ns, 'first', { ...cascade, parentRef: { name: 'second' } }),
    workspace(ns, 'second', { ...cascade, parentRef: { name: 'first' } }),
  ])
  await settles('second', 'ParentFound', 'False ParentCycle')
  await remove('first', 'second')
  await gone(['first', 'second'])
})
