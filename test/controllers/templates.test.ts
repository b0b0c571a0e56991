/** What a template's ConfigMap holds is in place at the launch; of the namespace for a Workspace, of the operator for a Runtime. */
import { afterAll, expect, test } from 'vitest'
import { openScene } from '../incidents/scene.ts'
import { openNamespace } from '../support/cluster.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, runtime } from '../support/workspaces.ts'

const scene = await openScene()
const { backend, cluster, edit, make, ns, runtimeName, settles } = scene
/** The operator's own in tests. */
const home = 'test-leases'
await openNamespace(home, cluster)
const configMap = (namespace: string, name: string, data: Record<string, string>) =>
  cluster.apply([{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data }])
afterAll(() => cluster.kubectl(['delete', 'configmap', `house-${runtimeName}`, '-n', home, '--ignore-not-found']))
const file = (uid: string, path: string) => backend.volumes.get(uid)?.get(path)

test('of a Workspace: waited for, delivered, followed, and shown', async () => {
  await make('writer', { template: { ref: 'configmap/writer' }, updateStrategy: 'Immediate' })
  const early = await settles('writer', 'TemplateKnown', 'False TemplateUnknown')
  expect(conditionOf(early.status, 'Stalled')).toBe('True TemplateUnknown')
  expect(messageOf(early.status, 'Ready')).toContain(`ConfigMap "writer", which does not exist in namespace ${ns}`)
  await configMap(ns, 'writer', { prompts__system: 'Be brief.', 'b.md': 'b' })
  const { metadata, status } = await settles('writer', 'Ready', 'True Settled')
  expect(file(metadata.uid, 'prompts/system')).toBe('Be brief.')
  expect(file(metadata.uid, 'config.yaml')).toContain('name: "writer"')
  expect(status?.template).toMatchObject({ identity: 'configmap/writer', source: `ConfigMap ${ns}/writer` })
  await configMap(ns, 'writer', { prompts__system: 'Be long.', 'b.md': 'b' })
  await until(() => backend.creates.get(metadata.uid) === 2)
  const next = await settles('writer', 'Ready', 'True Settled')
  expect(file(metadata.uid, 'prompts/system')).toBe('Be long.')
  expect(next.status?.template?.revision).not.toBe(status?.template?.revision)
  // What runs is left alone when its template goes.
  await cluster.kubectl(['delete', 'configmap', 'writer', '-n', ns])
  await settles('writer', 'TemplateKnown', 'False TemplateUnknown')
  expect(backend.has(metadata.uid)).toBe(true)
})

test("of a Runtime: from the operator's namespace, for those that name none, and its own goes before", async () => {
  const name = `house-${runtimeName}`
  await cluster.apply([
    runtime(runtimeName, { bootDeadline: '1m', maxUnavailable: 5, template: { ref: `configmap/${name}` } }),
  ])
  await make('tenant', { updateStrategy: 'Immediate' })
  await settles('tenant', 'TemplateKnown', 'False TemplateUnknown')
  // One of that name in the tenant's own namespace is another.
  await configMap(ns, name, { 'house.md': 'forged' })
  await scene.looked('tenant')
  await settles('tenant', 'TemplateKnown', 'False TemplateUnknown')
  await configMap(home, name, { 'house.md': 'rules' })
  const { metadata } = await settles('tenant', 'Ready', 'True Settled')
  expect(file(metadata.uid, 'house.md')).toBe('rules')
  await configMap(home, name, { 'house.md': 'new rules' })
  await until(() => file(metadata.uid, 'house.md') === 'new rules', { within: 30_000 })
  await configMap(ns, 'mine', { 'mine.md': 'mine' })
  await edit('tenant', { spec: { template: { ref: 'configmap/mine' } } })
  await until(() => file(metadata.uid, 'mine.md') === 'mine', { within: 30_000 })
  expect((await settles('tenant', 'Ready', 'True Settled')).status?.template?.source).toBe(`ConfigMap ${ns}/mine`)
})
