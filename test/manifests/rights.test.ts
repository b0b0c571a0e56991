import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { until } from '../support/until.ts'

const root = join(import.meta.dirname, '..', '..')
const withRules = z.object({ rules: z.array(z.record(z.string(), z.array(z.string()))).default([]) })
const user = 'system:serviceaccount:molecule-system:molecule-operator'
const groups = ['system:serviceaccounts', 'system:serviceaccounts:molecule-system', 'system:authenticated']

const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'] as const
const kinds = ['workspaces', 'orgimports', 'plugininstalls', 'runtimes'] as const

/** Everything that an operator might be tempted by, as `resource.group`. */
const universe = [
  ...kinds.flatMap((kind) => [
    `${kind}.molecule.dev`,
    `${kind}/status.molecule.dev`,
    `${kind}/finalizers.molecule.dev`,
  ]),
  'events.events.k8s.io',
  'leases.coordination.k8s.io',
  'secrets',
  'configmaps',
  'events',
  'pods',
  'pods/exec',
  'namespaces',
  'nodes',
  'services',
  'serviceaccounts',
  'serviceaccounts/token',
  'persistentvolumes',
  'deployments.apps',
  'clusterroles.rbac.authorization.k8s.io',
  'rolebindings.rbac.authorization.k8s.io',
  'customresourcedefinitions.apiextensions.k8s.io',
  'mutatingadmissionpolicies.admissionregistration.k8s.io',
  'gitrepositories.source.toolkit.fluxcd.io',
  'ocirepositories.source.toolkit.fluxcd.io',
]

/** What is used, and so what may be granted: each verb with the code that needs it is in manifests/rbac. */
const everywhere: Readonly<Record<string, readonly string[]>> = {
  'workspaces.molecule.dev': ['get', 'list', 'watch', 'create', 'patch', 'delete'],
  'orgimports.molecule.dev': ['get', 'list', 'watch', 'patch'],
  'plugininstalls.molecule.dev': ['get', 'list', 'watch', 'create', 'patch', 'delete'],
  'runtimes.molecule.dev': ['get', 'list', 'watch', 'patch'],
  'workspaces/status.molecule.dev': ['patch'],
  'orgimports/status.molecule.dev': ['patch'],
  'plugininstalls/status.molecule.dev': ['patch'],
  'runtimes/status.molecule.dev': ['patch'],
  'events.events.k8s.io': ['create', 'patch'],
}

const cluster = controlPlane()
const closed = await namespace()
const opened = await namespace()
const withFlux = await namespace()
beforeAll(async () => {
  await openNamespace(opened)
  await openNamespace(withFlux, cluster, 'molecule-flux-sources')
})

/** Asks the API server for every verb on every resource of the universe at once; gives what it allows. */
async function allowed(where: string | undefined): Promise<Record<string, string[]>> {
  const asked = universe.flatMap((name) => verbs.map((verb) => ({ name, verb })))
  const reviews = asked.map(({ name, verb }) => {
    const [path = '', ...group] = name.split('.')
    const [resource, subresource] = path.split('/')
    return {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        user,
        groups,
        resourceAttributes: { group: group.join('.'), resource, subresource, verb, namespace: where },
      },
    }
  })
  const answers = await cluster.kubectl(['create', '-f', '-', '-o', 'jsonpath={.status.allowed}{"\\n"}'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: reviews }),
  })
  const lines = answers.trim().split('\n')
  expect(lines).toHaveLength(asked.length)
  const granted: Record<string, string[]> = {}
  for (const [i, { name, verb }] of asked.entries()) if (lines[i] === 'true') (granted[name] ??= []).push(verb)
  return granted
}

/** A binding is in force a moment after it is stored. */
const inForce = (look: () => Promise<void>) => until(() => look().then(() => true), { within: 40_000 })

describe('the operator may do', () => {
  test('everywhere: what it needs of its own kinds and events, and nothing else', async () => {
    await inForce(async () => expect(await allowed(undefined)).toEqual(everywhere))
  })

  test('in a namespace that nobody opened: no more than that', async () => {
    await inForce(async () => expect(await allowed(closed)).toEqual(everywhere))
  })

  test('in an opened namespace: read Secrets and ConfigMaps, and write ConfigMaps', async () => {
    await inForce(async () =>
      expect(await allowed(opened)).toEqual({
        ...everywhere,
        secrets: ['get', 'list', 'watch'],
        configmaps: ['get', 'list', 'watch', 'create', 'patch', 'delete'],
      }),
    )
  })

  test('in a namespace opened for Flux: see its sources, beside that', async () => {
    await inForce(async () =>
      expect(await allowed(withFlux)).toMatchObject({
        secrets: ['get', 'list', 'watch'],
        'gitrepositories.source.toolkit.fluxcd.io': ['get', 'list', 'watch'],
        'ocirepositories.source.toolkit.fluxcd.io': ['get', 'list', 'watch'],
      }),
    )
  })

  test('in its own namespace: hold its lease, and read the templates of Runtimes', async () => {
    await inForce(async () =>
      expect(await allowed('molecule-system')).toEqual({
        ...everywhere,
        configmaps: ['get', 'list', 'watch'],
        'leases.coordination.k8s.io': ['create'],
      }),
    )
    const may = (verb: string, name: string) =>
      cluster
        .kubectl(['auth', 'can-i', verb, `leases/${name}`, '-n', 'molecule-system', '--as', user])
        .then((answer) => answer.trim() === 'yes')
        .catch(() => false)
    for (const verb of ['get', 'update']) {
      expect({ verb, own: await may(verb, 'molecule-operator') }).toEqual({ verb, own: true })
      expect({ verb, other: await may(verb, 'of-another-operator') }).toEqual({ verb, other: false })
    }
    expect(await may('delete', 'molecule-operator')).toBe(false)
  })
})

test('no rule of manifests/rbac has a wildcard', async () => {
  const rendered = parseAllDocuments(await cluster.kubectl(['kustomize', join(root, 'manifests', 'rbac')]))
  const rules = rendered.flatMap((document) => withRules.parse(document.toJS()).rules)
  expect(rules.length).toBeGreaterThan(5)
  for (const rule of rules) expect(Object.values(rule).flat()).not.toContain('*')
})

const policy = z.object({
  kind: z.literal('NetworkPolicy'),
  spec: z.object({
    ingress: z.array(
      z.object({
        from: z.array(
          z.object({ namespaceSelector: z.strictObject({ matchLabels: z.record(z.string(), z.string()) }) }),
        ),
        ports: z.array(z.object({ port: z.string() })),
      }),
    ),
  }),
})

test('the metrics are open to namespaces by their name alone: no label that a namespace can give itself', async () => {
  const rendered = parseAllDocuments(await cluster.kubectl(['kustomize', join(root, 'manifests', 'operator')]))
  const shape = policy.extend({
    spec: z.object({ ingress: z.array(z.looseObject({ ports: z.array(z.object({ port: z.string() })) })) }),
  })
  const [found] = rendered.flatMap((document) => shape.safeParse(document.toJS()).data ?? [])
  const closed = found?.spec.ingress.filter(({ ports }) => ports.some(({ port }) => port !== 'platform')) ?? []
  expect(closed.length).toBeGreaterThan(0)
  for (const rule of policy.shape.spec.shape.ingress.parse(closed))
    for (const { namespaceSelector } of rule.from)
      expect(Object.keys(namespaceSelector.matchLabels)).toEqual(['kubernetes.io/metadata.name'])
})
