/** A demo in a cluster that somebody else has: it leaves all that it did not make as it found it. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import { crds, rbac } from '../../src/dev/install.ts'
import { ownControlPlane } from '../support/cluster.ts'
import { until } from '../support/until.ts'
import { noDocker, nothingIsLeft, ownTemp, startDemo, type DemoRun } from './demo-run.ts'

const timeout = 300_000
const apiVersion = 'molecule.dev/v1alpha1'
const theirs = { apiVersion, kind: 'Runtime', metadata: { name: 'claude-code' }, spec: { image: 'their/image:1' } }
let cluster: ControlPlane

beforeAll(async () => {
  cluster = await ownControlPlane({ controllerManager: true })
  // They come by themselves, shortly after the server answers.
  const born = ['default', 'kube-system', 'kube-public', 'kube-node-lease']
  await until(() => cluster.kubectl(['get', 'namespace', ...born]), { within: 60_000 })
}, timeout)
afterAll(() => cluster.stop())

const demo = (temp: string): DemoRun =>
  startDemo(temp, ['--context', 'envtest', '--once'], { ...noDocker, KUBECONFIG: cluster.kubeconfig })

/** Everything of ours in the cluster, by name and identity, with what the demo might have changed. */
async function inventory(): Promise<string[]> {
  const kinds = 'namespaces,crds,clusterroles,clusterrolebindings,mutatingadmissionpolicies'
  const columns = 'custom-columns=K:.kind,N:.metadata.name,U:.metadata.uid,L:.metadata.labels,F:.metadata.finalizers'
  const all = await cluster.kubectl(['get', kinds, '-o', columns, '--no-headers'])
  const runtimes = await cluster
    .kubectl(['get', 'runtimes', '-o', `${columns},S:.spec`, '--no-headers'])
    .catch(() => '')
  return `${all}${runtimes}`.split('\n').filter((line) => /molecule|^Namespace|^Runtime/.test(line))
}

test('an empty cluster is empty again', { timeout }, async () => {
  const temp = await ownTemp()
  const before = await inventory()
  const run = demo(temp)
  expect(await run.ended, run.output).toBe(0)
  await until(async () => expect(await inventory()).toEqual(before) ?? true, {
    what: 'the cluster as it was',
    within: 60_000,
  })
  await nothingIsLeft(temp)
})

test('what was there stays as it was, and serves', { timeout }, async () => {
  const temp = await ownTemp()
  await cluster.apply(crds)
  await cluster.apply(join(rbac, 'generated-files.yaml'))
  await until(() => cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'demo' } }, theirs]))
  const before = await inventory()
  const run = demo(temp)
  expect(await run.ended, run.output).toBe(0)
  expect(run.output).toContain('used as they are: CustomResourceDefinition')
  await until(async () => expect(await inventory()).toEqual(before) ?? true, {
    what: 'the cluster as it was',
    within: 60_000,
  })
  await nothingIsLeft(temp)
})

test("agents of somebody else's, or an operator, are a reason not to begin", { timeout }, async () => {
  const temp = await ownTemp()
  const workspace = { apiVersion, kind: 'Workspace', metadata: { name: 'one', namespace: 'demo' }, spec: {} }
  await cluster.apply([workspace])
  const withAgents = demo(temp)
  expect(await withAgents.ended).toBe(1)
  expect(withAgents.output).toContain('Workspace demo/one')
  await cluster.kubectl(['delete', 'workspace', 'one', '-n', 'demo'])
  await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'molecule-system' } }])
  const before = await inventory()
  const withOperator = demo(temp)
  expect(await withOperator.ended).toBe(1)
  expect(withOperator.output).toContain('namespace molecule-system is in the cluster already')
  expect(await inventory()).toEqual(before)
  await nothingIsLeft(temp)
})
