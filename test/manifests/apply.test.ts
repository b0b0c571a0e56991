import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import { ownControlPlane } from '../support/cluster.ts'

const root = join(import.meta.dirname, '..', '..')
const manifests = join(root, 'manifests')

const versions = z.object({
  items: z.array(z.object({ kind: z.string(), metadata: z.object({ name: z.string(), resourceVersion: z.string() }) })),
})
const deployment = z.object({
  spec: z.object({
    template: z.object({ metadata: z.looseObject({}), spec: z.looseObject({ securityContext: z.looseObject({}) }) }),
  }),
})

/** Installing changes what the whole cluster does, so this file has one of its own. */
let cluster: ControlPlane
beforeAll(async () => {
  cluster = await ownControlPlane()
  await cluster.kubectl(['apply', '-k', manifests])
  // The API server writes into a new CRD what became of it: until then a look at it is no look at what was applied.
  for (const condition of ['NamesAccepted', 'Established'])
    await cluster.kubectl(['wait', `--for=condition=${condition}`, 'crd', '--all', '--timeout=90s'])
}, 240_000)
afterAll(() => cluster.stop())

/** Name and resourceVersion of each object that the kustomization holds. */
async function installed(): Promise<Record<string, string>> {
  const { items } = versions.parse(JSON.parse(await cluster.kubectl(['get', '-k', manifests, '-o', 'json'])))
  return Object.fromEntries(items.map(({ kind, metadata }) => [`${kind}/${metadata.name}`, metadata.resourceVersion]))
}

describe('kubectl apply -k manifests/', () => {
  test('a second time changes no object', async () => {
    const before = await installed()
    await cluster.kubectl(['apply', '-k', manifests])
    expect(await installed()).toEqual(before)
    expect(Object.keys(before)).toEqual(
      expect.arrayContaining([
        'CustomResourceDefinition/workspaces.molecule.dev',
        'CustomResourceDefinition/orgimports.molecule.dev',
        'CustomResourceDefinition/plugininstalls.molecule.dev',
        'CustomResourceDefinition/runtimes.molecule.dev',
        'Deployment/molecule-operator',
        'MutatingAdmissionPolicy/molecule-finalizer',
        'NetworkPolicy/molecule-operator',
        'PodDisruptionBudget/molecule-operator',
        'Service/molecule-operator',
      ]),
    )
  })

  test('and `kubectl diff -k` finds nothing', async () => {
    expect(await cluster.kubectl(['diff', '-k', manifests])).toBe('')
  })

  test('an older cluster gets everything but the policy', async () => {
    const kindsIn = async (dir: string) =>
      (await cluster.kubectl(['kustomize', dir])).split('\n').filter((line) => line.startsWith('kind: '))
    const policy = ['kind: MutatingAdmissionPolicy', 'kind: MutatingAdmissionPolicyBinding']
    const all = await kindsIn(manifests)
    expect(all).toEqual(expect.arrayContaining(policy))
    expect(await kindsIn(join(manifests, 'older-cluster'))).toEqual(all.filter((line) => !policy.includes(line)))
  })

  test('the examples beside it are accepted', async () => {
    await cluster.kubectl(['apply', '--dry-run=server', '-f', join(root, 'examples', 'open-namespace.yaml')])
    await cluster.kubectl(['apply', '--dry-run=server', '-f', join(root, 'examples', 'operator-secret.yaml')])
  })
})

describe('restricted pod security', () => {
  const dryRun = async (change: (pod: z.infer<typeof deployment>['spec']['template']) => object): Promise<string> => {
    const found = deployment.parse(await cluster.getJson('deployment', 'molecule-operator', '-n', 'molecule-system'))
    const pod = { apiVersion: 'v1', kind: 'Pod', ...change(found.spec.template) }
    const named = { ...pod, metadata: { ...found.spec.template.metadata, name: 'try', namespace: 'molecule-system' } }
    return cluster.kubectl(['create', '--dry-run=server', '-f', '-'], { input: JSON.stringify(named) })
  }

  test('admits the pod of the Deployment', async () => {
    expect(await dryRun((template) => template)).toContain('pod/try created')
  })

  test('is enforced in molecule-system: the same pod as root is refused', async () => {
    const asRoot = dryRun(({ spec }) => ({
      spec: { ...spec, securityContext: { ...spec.securityContext, runAsNonRoot: false, runAsUser: 0 } },
    }))
    await expect(asRoot).rejects.toThrow(/violates PodSecurity "restricted:latest".*runAsNonRoot/)
  })

  test('the root file system is read-only and the token is mounted by the pod alone', async () => {
    const found = await cluster.getJson('deployment', 'molecule-operator', '-n', 'molecule-system')
    expect(found).toMatchObject({
      spec: {
        template: {
          spec: {
            automountServiceAccountToken: true,
            containers: [{ securityContext: { readOnlyRootFilesystem: true } }],
          },
        },
      },
    })
    const account = await cluster.getJson('serviceaccount', 'molecule-operator', '-n', 'molecule-system')
    expect(account).toMatchObject({ automountServiceAccountToken: false })
  })

  test('the URL of the database is in the file that its setting names, which follows the Secret', async () => {
    const found = await cluster.getJson('deployment', 'molecule-operator', '-n', 'molecule-system')
    expect(found).toMatchObject({
      spec: {
        template: {
          spec: {
            containers: [
              {
                env: expect.arrayContaining([{ name: 'DATABASE_URL_FILE', value: '/etc/molecule/database-url' }]),
                // By a subPath it would stay what it was.
                volumeMounts: [{ name: 'database-url', mountPath: '/etc/molecule', readOnly: true }],
              },
            ],
            volumes: [
              {
                name: 'database-url',
                secret: { secretName: 'molecule-operator', items: [{ key: 'DATABASE_URL', path: 'database-url' }] },
              },
            ],
          },
        },
      },
    })
  })
})
