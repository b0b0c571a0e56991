/** The limits of all namespaces together: what is refused once they are reached, to which namespace, and until when. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { controlPlane, namespaces, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { fakeWithAgents, startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const freshNamespace = namespaces(cluster)
const databaseUrl = await database()

beforeAll(async () => {
  await until(() => cluster.apply([runtime('total-agent')]))
  const env = {
    REFERENCES_PER_NAMESPACE: '3Mi',
    REFERENCES_TOTAL: '3Mi',
    OBJECTS_PER_NAMESPACE: '8Mi',
    OBJECTS_TOTAL: '8Mi',
  }
  await startOperator({ databaseUrl, backends: [fakeWithAgents()], env })
})
afterAll(() => cluster.kubectl(['delete', 'runtime', 'total-agent', '--wait=false']))

const put = (...objects: object[]) =>
  cluster.kubectl(['apply', '--server-side', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
  })
const settles = (ns: string, name: string, type: string, verdict: string) =>
  until(
    async () => {
      const { status } = await readWorkspace(cluster, ns, name)
      expect(conditionOf(status, type)).toBe(verdict)
      return status
    },
    { what: `${name} to be ${type}=${verdict}`, within: 60_000 },
  )
const remove = (ns: string, ...names: readonly string[]) =>
  cluster.kubectl(['delete', 'workspace', ...names, '-n', ns, '--timeout=60s'])

test('what is referred to beyond the total is refused where a namespace holds much, until another holds less', async () => {
  const [first, second, third] = [await freshNamespace(), await freshNamespace(), await freshNamespace()]
  for (const each of [first, second, third]) await openNamespace(each, cluster)
  const data = (namespace: string, name: string, bytes: number) =>
    put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { text: 'x'.repeat(bytes) } })
  const reading = (name: string) => ({
    runtime: 'total-agent',
    files: [{ path: 'a.md', configMapKeyRef: { name, key: 'text' } }],
  })
  for (const name of ['a', 'b', 'c']) {
    await data(first, name, 900_000)
    await put(workspace(first, name, reading(name)))
    await settles(first, name, 'Ready', 'True Settled')
  }
  // The total is reached now. What a namespace has below 1 MiB is held all the same.
  for (const name of ['a', 'b']) await data(second, name, 600_000)
  await put(workspace(second, 'a', reading('a')))
  await settles(second, 'a', 'Ready', 'True Settled')
  await put(workspace(second, 'b', reading('b')))
  const refused = await settles(second, 'b', 'Stalled', 'True QuotaExceeded')
  expect(messageOf(refused, 'Launched')).toBe(
    `spec.files[a.md]: ConfigMap "b" is not read: what is referred to in namespace ${second} exceeds the limit of 3 MiB for all namespaces; refer to less, or make it smaller`,
  )
  await data(third, 'a', 600_000)
  await put(workspace(third, 'a', reading('a')))
  await settles(third, 'a', 'Ready', 'True Settled')
  await remove(first, 'a', 'b', 'c')
  await settles(second, 'b', 'Ready', 'True Settled')
}, 240_000)

test('an object beyond the total is not acted on where a namespace holds much, until another holds less', async () => {
  const [first, second, third] = [await freshNamespace(), await freshNamespace(), await freshNamespace()]
  const env = Array.from({ length: 30 }, (_, i) => ({ name: `BIG_${i}`, value: 'x'.repeat(30_000) }))
  const large = (namespace: string, name: string) => put(workspace(namespace, name, { runtime: 'total-agent', env }))
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  for (const name of names) await large(first, name)
  for (const name of names) await settles(first, name, 'Ready', 'True Settled')
  // The total is reached now. What a namespace has below 4 MiB is held all the same.
  for (const name of names.slice(0, 4)) await large(second, name)
  for (const name of names.slice(0, 4)) await settles(second, name, 'Ready', 'True Settled')
  await large(second, 'e')
  const refused = await settles(second, 'e', 'Stalled', 'True QuotaExceeded')
  expect(messageOf(refused, 'Ready')).toContain(
    `the objects of namespace ${second} take more than the limit of 8 MiB for all namespaces, and this Workspace is beyond it`,
  )
  await large(third, 'a')
  await settles(third, 'a', 'Ready', 'True Settled')
  await remove(first, ...names)
  await settles(second, 'e', 'Ready', 'True Settled')
}, 240_000)
