/** `kubectl delete --cascade=orphan` keeps what the object made, whatever its deletionPolicy says. */
import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { database } from '../support/database.ts'
import { installedPlane } from '../support/installed-plane.ts'
import { fakeWithAgents, startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, readWorkspace, workspace } from '../support/workspaces.ts'

const acme = 'acme'
const { plane, kubeconfig, leaseName } = await installedPlane(acme, { controllerManager: true })
const databaseUrl = await database()
const client = new Client({ connectionString: databaseUrl })
await client.connect()
const backend = fakeWithAgents()
const operator = await startOperator({
  databaseUrl,
  backends: [backend],
  env: { KUBECONFIG: kubeconfig, LEASE_NAME: leaseName },
})
afterAll(async () => {
  await operator.stop()
  await client.end()
})

const ready = (name: string): Promise<Workspace> =>
  until(async () => {
    const found = await readWorkspace(plane, acme, name)
    return conditionOf(found.status, 'Ready') === 'True Settled' ? found : undefined
  })
const rowOf = async (uid: string) =>
  (await client.query<Record<string, unknown>>('SELECT status, deletion_policy FROM workspaces WHERE id = $1', [uid]))
    .rows[0]
const remove = (kind: string, name: string) =>
  plane.kubectl(['delete', kind, name, '-n', acme, '--cascade=orphan', '--timeout=60s'])

interface Children {
  items: Workspace[]
}

test('an import that is deleted so lets its Workspaces go, and they live on', async () => {
  const inline = {
    name: 'Ferry',
    workspaces: [{ name: 'Captain', system_prompt: 'Steer.', children: [{ name: 'Mate' }] }],
  }
  await plane.apply([
    {
      apiVersion: 'molecule.dev/v1alpha1',
      kind: 'OrgImport',
      metadata: { name: 'ferry', namespace: acme },
      spec: { source: { inline } },
    },
  ])
  const children = async () => ((await plane.getJson('workspaces', '-n', acme)) as Children).items
  const before = await until(async () => {
    const found = await children()
    expect(found.map(({ status }) => conditionOf(status, 'Ready'))).toEqual(['True Settled', 'True Settled'])
    return found
  })
  await remove('orgimport', 'ferry')
  const after = await children()
  const uids = (all: readonly Workspace[]) => all.map(({ metadata }) => metadata.uid)
  expect(uids(after)).toEqual(uids(before))
  for (const { metadata } of after) {
    expect([
      metadata.deletionTimestamp,
      metadata.ownerReferences ?? [],
      metadata.labels?.['molecule.dev/org-import'],
    ]).toEqual([undefined, [], undefined])
    expect(backend.creates.get(metadata.uid)).toBe(1)
    expect(backend.has(metadata.uid)).toBe(true)
  }
  // Their files are theirs now: no collector takes them for leavings.
  expect(((await plane.getJson('configmaps', '-n', acme, '-l', 'molecule.dev/org-import')) as Children).items).toEqual(
    [],
  )
  await plane.kubectl(['delete', 'workspaces', '--all', '-n', acme, '--timeout=60s'])
})

test('a Workspace that is deleted so leaves instance, volumes and children; without it, none of the first two', async () => {
  const spec = { childrenPolicy: 'Cascade' }
  await plane.apply([workspace(acme, 'top', spec), workspace(acme, 'below', { parentRef: { name: 'top' } })])
  const [{ metadata: top }, { metadata: below }] = [await ready('top'), await ready('below')]
  await remove('workspace', 'top')
  expect((await readWorkspace(plane, acme, 'below')).metadata).toMatchObject({ uid: below.uid })
  expect(await rowOf(top.uid)).toEqual({ status: 'removed', deletion_policy: 'Retain' })
  expect([backend.has(top.uid), backend.volumes.has(top.uid)]).toEqual([true, true])
  await plane.kubectl(['delete', 'workspace', 'below', '-n', acme, '--timeout=60s'])
  expect(await rowOf(below.uid)).toEqual({ status: 'removed', deletion_policy: 'Delete' })
  expect([backend.has(below.uid), backend.volumes.has(below.uid)]).toEqual([false, false])
})
