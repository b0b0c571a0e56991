/** What the Workspaces of a namespace may ask for, by ConfigMaps that the tenant cannot write. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiVersion } from '../../src/api/meta.ts'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import { ownControlPlane } from '../support/cluster.ts'
import { until } from '../support/until.ts'

const root = join(import.meta.dirname, '..', '..')
const tenant = 'tenant'
const subject = { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: tenant }

/** A policy holds for the whole cluster, so this file has one of its own. */
let cluster: ControlPlane
let ofTenant: string
beforeAll(async () => {
  cluster = await ownControlPlane()
  for (const folder of ['crds', 'manifests/rbac', 'manifests/tenant-limits']) await cluster.apply(join(root, folder))
  const namespaces = ['acme', 'other'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
  await cluster.apply([
    ...namespaces,
    // Everything in its own namespace, and nothing else.
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'tenant', namespace: 'acme' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'tenant' },
      subjects: [subject],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'tenant' },
      rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
    },
  ])
  ofTenant = await cluster.userKubeconfig(tenant)
  await until(() => create('acme', 'first', { tier: 4 }), { within: 60_000, what: 'the kind to be served' })
  await limit('limits-acme', {
    namespaces: 'acme, somewhere',
    tiers: '1, 2',
    runtimes: 'default, claude-code',
    backends: 'default, docker',
    hostFolders: '/srv/acme',
  })
  const refused = () =>
    create('acme', 'try', { tier: 4 }, true).then(
      () => false,
      () => true,
    )
  await until(refused, { within: 60_000, what: 'the policy to be in force' })
}, 180_000)
afterAll(() => cluster.stop())

const limit = (name: string, data: object, namespace = 'molecule-system') =>
  cluster.apply([
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace, labels: { 'molecule.dev/tenant-limits': 'true' } },
      data,
    },
  ])

async function create(namespace: string, name: string, spec: object, dry = false): Promise<string> {
  const input = JSON.stringify({ apiVersion, kind: 'Workspace', metadata: { name, namespace }, spec })
  const flags = dry ? ['--dry-run=server'] : []
  const options = namespace === 'acme' ? { input, kubeconfig: ofTenant } : { input }
  return cluster.kubectl(['create', ...flags, '-f', '-', '-o', 'name'], options)
}

const fine = { tier: 2 }

test.each([
  ['spec.tier', { tier: 3 }, /spec\.tier 3 is not allowed in namespace acme: it may be one of 1, 2/],
  ['spec.tier, left out', {}, /spec\.tier is absent, which is not allowed in namespace acme: it may be one of 1, 2/],
  ['spec.runtime', { ...fine, runtime: 'hermes' }, /spec\.runtime hermes is not allowed .* default, claude-code/],
  ['spec.backend', { ...fine, backend: 'process' }, /spec\.backend process is not allowed .* default, docker/],
  [
    'spec.workspaceDir',
    { ...fine, workspaceDir: '/srv/acme-of-another', workspaceAccess: 'read_only' },
    /spec\.workspaceDir \/srv\/acme-of-another is not allowed in namespace acme: it may lie in \/srv\/acme/,
  ],
])('%s beyond the limit is refused with field and limit', async (_name, spec, message) => {
  await expect(create('acme', 'refused', spec, true)).rejects.toThrow(message)
})

test.each([
  ['the least', fine],
  ['everything at its limit', { tier: 1, runtime: 'claude-code', backend: 'docker', workspaceDir: '/srv/acme/one' }],
])('within the limits is allowed: %s', async (_name, spec) => {
  expect(await create('acme', 'allowed', spec, true)).toContain('allowed')
})

test('a namespace that no ConfigMap names is not restricted', async () => {
  expect(await create('other', 'free', { tier: 4, backend: 'process' }, true)).toContain('free')
})

test('an object from before keeps what it has, and may change everything else', async () => {
  const patch = (body: object, ...more: string[]) =>
    cluster.kubectl(
      ['patch', 'workspace', 'first', '-n', 'acme', '--type=merge', '-p', JSON.stringify(body), ...more],
      {
        kubeconfig: ofTenant,
      },
    )
  await patch({ spec: { role: 'Keeps watch' }, metadata: { labels: { a: 'b' } } })
  await patch({ status: { summary: 'as it is' } }, '--subresource=status')
  await expect(patch({ spec: { tier: 3 } })).rejects.toThrow('spec.tier 3 is not allowed')
  await expect(patch({ spec: { tier: null } })).rejects.toThrow('spec.tier is absent')
  await patch({ spec: { tier: 2 } })
  await expect(patch({ spec: { tier: 4 } })).rejects.toThrow('spec.tier 4 is not allowed')
  await cluster.kubectl(['delete', 'workspace', 'first', '-n', 'acme'], { kubeconfig: ofTenant })
})

test("what the operator creates for an import is judged like the tenant's own", async () => {
  const kubeconfig = await cluster.identity('molecule-system', 'molecule-operator', join(cluster.dir, 'operator'))
  const apply = (spec: object) => {
    const input = JSON.stringify({
      apiVersion,
      kind: 'Workspace',
      metadata: { name: 'child', namespace: 'acme' },
      spec,
    })
    return cluster.kubectl(['apply', '--server-side', '--dry-run=server', '-f', '-'], { input, kubeconfig })
  }
  await until(() => apply(fine), { within: 30_000 })
  await expect(apply({ tier: 4 })).rejects.toThrow('spec.tier 4 is not allowed in namespace acme')
})

test('the tenant cannot write the limits, and such a ConfigMap in its own namespace allows nothing', async () => {
  const asTenant = { kubeconfig: ofTenant }
  await expect(
    cluster.kubectl(['delete', 'configmap', 'limits-acme', '-n', 'molecule-system'], asTenant),
  ).rejects.toThrow('Forbidden')
  await limit('limits-acme', { namespaces: 'acme', tiers: '1, 2, 3, 4' }, 'acme')
  await expect(create('acme', 'refused', { tier: 4 }, true)).rejects.toThrow('spec.tier 4 is not allowed')
})

test('a ConfigMap that names no namespace or limits nothing restricts nothing', async () => {
  await limit('limits-empty', {})
  await limit('limits-nothing', { namespaces: '*' })
  await limit('limits-all', { namespaces: ' * ', tiers: '1,2,3' })
  await until(
    () =>
      create('other', 'refused', { tier: 4 }, true).then(
        () => false,
        (error: Error) => error.message.includes('it may be one of 1,2,3'),
      ),
    { within: 30_000 },
  )
  expect(await create('other', 'free', { tier: 3 }, true)).toContain('free')
  expect(await create('acme', 'free', fine, true)).toContain('free')
})

test('the example is accepted, and limits what it says', async () => {
  await cluster.kubectl(['apply', '-f', join(root, 'examples', 'tenant-limits.yaml')])
  await until(
    () =>
      create('acme', 'refused', { ...fine, workspaceDir: '/srv/acme/one' }, true).then(
        () => false,
        (error: Error) => error.message.includes('no folder of the host is'),
      ),
    { within: 30_000 },
  )
  expect(await create('acme', 'allowed', fine, true)).toContain('allowed')
})
