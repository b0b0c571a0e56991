/** What one namespace can make the operator hold: Workspaces, and the content of what they refer to. */
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { controlPlane, namespaces, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { fakeWithAgents, startOperator } from '../support/operator.ts'
import { orgImport, readOrg, readTree } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const freshNamespace = namespaces(cluster)
const databaseUrl = await database()
const backend = fakeWithAgents()
const db = new Client({ connectionString: databaseUrl })

beforeAll(async () => {
  await db.connect()
  await until(() => cluster.apply([runtime('test-agent', { default: true })]))
  const env = {
    MAX_WORKSPACES_PER_NAMESPACE: '2',
    REFERENCES_PER_NAMESPACE: '1Mi',
    REFERENCES_TOTAL: '2Mi',
    OBJECTS_PER_NAMESPACE: '1Mi',
  }
  await startOperator({ databaseUrl, backends: [backend], env })
})
afterAll(async () => {
  await cluster.kubectl(['delete', 'runtime', '--all', '--wait=false'])
  await cluster
    .kubectl(['patch', 'runtime', 'test-agent', '--type=merge', '-p', '{"metadata":{"finalizers":null}}'])
    .catch(() => undefined)
  await db.end()
})

async function settles(ns: string, name: string, type: string, verdict: string): Promise<Workspace> {
  return await until(
    async () => {
      const found = await readWorkspace(cluster, ns, name)
      expect(conditionOf(found.status, type)).toBe(verdict)
      return found
    },
    { what: `${name} to be ${type}=${verdict}`, within: 30_000 },
  )
}

const configMap = (namespace: string, name: string, bytes: number) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data: { text: 'x'.repeat(bytes) },
})
const put = (...objects: object[]) =>
  cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
  })
const reading = (name: string) => ({ files: [{ path: 'a.md', configMapKeyRef: { name, key: 'text' } }] })

test('a Workspace beyond the limit of its namespace has no row and no instance until an older one goes', async () => {
  const [ns, other] = [await freshNamespace(), await freshNamespace()]
  for (const name of ['a', 'b']) {
    await cluster.apply([workspace(ns, name)])
    await settles(ns, name, 'Ready', 'True Settled')
  }
  await cluster.apply([workspace(ns, 'c'), workspace(other, 'c')])
  const third = await settles(ns, 'c', 'Stalled', 'True QuotaExceeded')
  expect(messageOf(third.status, 'Recorded')).toContain(`namespace ${ns} has more than 2 Workspaces`)
  const rows = async (name: string, namespace: string) =>
    (await db.query('SELECT id FROM workspaces WHERE resource_name = $1 AND namespace = $2', [name, namespace]))
      .rowCount
  expect(await rows('c', ns)).toBe(0)
  expect(backend.creates.get(third.metadata.uid)).toBeUndefined()
  await settles(other, 'c', 'Ready', 'True Settled')
  await cluster.kubectl(['delete', 'workspace', 'a', '-n', ns])
  const healed = await settles(ns, 'c', 'Ready', 'True Settled')
  expect(conditionOf(healed.status, 'Stalled')).toBeUndefined()
  expect(await rows('c', ns)).toBe(1)
})

test('a namespace that refers to more than its share is refused the rest, and no other feels it', async () => {
  const [ns, other] = [await freshNamespace(), await freshNamespace()]
  for (const each of [ns, other]) await openNamespace(each, cluster)
  await put(configMap(ns, 'first', 700_000), configMap(ns, 'second', 700_000), configMap(other, 'first', 1000))
  await cluster.apply([workspace(ns, 'one', reading('first'))])
  await settles(ns, 'one', 'Ready', 'True Settled')
  await cluster.apply([workspace(ns, 'two', reading('second')), workspace(other, 'one', reading('first'))])
  const refused = await settles(ns, 'two', 'Stalled', 'True QuotaExceeded')
  expect(messageOf(refused.status, 'Launched')).toContain(
    `spec.files[a.md]: ConfigMap "second" is not read: what is referred to in namespace ${ns} exceeds the limit of 1 MiB for a namespace`,
  )
  await settles(other, 'one', 'Ready', 'True Settled')
  await settles(ns, 'one', 'Ready', 'True Settled')
  await put(configMap(ns, 'first', 1000))
  await settles(ns, 'two', 'Ready', 'True Settled')
})

test('an import whose template does not fit says so, and goes on when there is room', async () => {
  const ns = await freshNamespace()
  await openNamespace(ns, cluster)
  await put(configMap(ns, 'filler', 800_000), {
    ...configMap(ns, 'template', 1),
    data: { 'org.yaml': 'name: Team\nworkspaces: []\n', 'big.md': 'x'.repeat(500_000) },
  })
  await cluster.apply([workspace(ns, 'filled', reading('filler'))])
  await settles(ns, 'filled', 'Ready', 'True Settled')
  const org = { source: { configMapRef: { name: 'template' } } }
  const metadata = { name: 'team', namespace: ns }
  await cluster.apply([{ apiVersion: 'molecule.dev/v1alpha1', kind: 'OrgImport', metadata, spec: org }])
  const verdict = async () => {
    const found = (await cluster.getJson('orgimport', 'team', '-n', ns)) as Workspace
    return `${conditionOf(found.status, 'SourceReady') ?? ''} ${messageOf(found.status, 'SourceReady')}`
  }
  const shows = (expected: RegExp) =>
    until(
      async () => {
        expect(await verdict()).toMatch(expected)
        return true
      },
      { within: 30_000 },
    )
  await shows(/^False QuotaExceeded ConfigMap "template" is not read/)
  await cluster.kubectl(['delete', 'workspace', 'filled', '-n', ns])
  await shows(/^True /)
})

test('Workspaces larger than the share of their namespace are not acted on until there is room, and can be deleted', async () => {
  const [ns, other] = [await freshNamespace(), await freshNamespace()]
  const env = Array.from({ length: 20 }, (_, i) => ({ name: `BIG_${i}`, value: 'x'.repeat(30_000) }))
  await put(workspace(ns, 'a', { env }))
  await settles(ns, 'a', 'Ready', 'True Settled')
  await put(workspace(ns, 'b', { env }), workspace(other, 'b'))
  const refused = await settles(ns, 'b', 'Stalled', 'True QuotaExceeded')
  expect(messageOf(refused.status, 'Ready')).toContain(
    `the objects of namespace ${ns} take more than the limit of 1 MiB for a namespace, and this Workspace is beyond it`,
  )
  expect(backend.creates.get(refused.metadata.uid)).toBeUndefined()
  await settles(other, 'b', 'Ready', 'True Settled')
  await cluster.kubectl(['delete', 'workspace', 'b', '-n', ns, '--timeout=30s'])
  await put(workspace(ns, 'b', { env }))
  await settles(ns, 'b', 'Stalled', 'True QuotaExceeded')
  await cluster.kubectl(['delete', 'workspace', 'a', '-n', ns, '--timeout=30s'])
  const healed = await settles(ns, 'b', 'Ready', 'True Settled')
  expect(conditionOf(healed.status, 'Stalled')).toBeUndefined()
})

test('an import is not Ready while a Workspace of it is larger than the share of its namespace', async () => {
  const ns = await freshNamespace()
  await openNamespace(ns, cluster)
  const says = (...verdicts: readonly (string | undefined)[]) =>
    until(
      async () => {
        const { status } = await readOrg(cluster, ns, 'team')
        expect([conditionOf(status as never, 'Ready'), conditionOf(status as never, 'Stalled')]).toEqual(verdicts)
        return status
      },
      { within: 30_000 },
    )
  await cluster.apply([
    orgImport(ns, 'team', { source: { inline: { name: 'Team', workspaces: [{ name: 'A' }, { name: 'B' }] } } }),
  ])
  await says('True Settled', undefined)
  const tree = await readTree(cluster, ns)
  const [a = '', b = ''] = ['A', 'B'].map((name) => tree.get(name)?.metadata.name)
  const env = Array.from({ length: 20 }, (_, i) => ({ name: `BIG_${i}`, value: 'x'.repeat(30_000) }))
  await put(workspace(ns, a, { env }))
  await settles(ns, a, 'Ready', 'True Settled')
  await put(workspace(ns, b, { env }))
  await settles(ns, b, 'Stalled', 'True QuotaExceeded')
  await says('False NodeFailed', 'True NodeFailed')
  // What the import counts comes a second after what its agents became.
  await until(async () => {
    const { status } = await readOrg(cluster, ns, 'team')
    expect(status?.summary).toContain('1 of 2 ready: B: nothing is done for it: the objects of namespace')
    return true
  })
  await cluster.kubectl(['patch', 'ws', b, '-n', ns, '--type=merge', '-p', '{"spec":{"env":null}}'])
  await says('True Settled', undefined)
})
