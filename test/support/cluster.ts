/** The control plane that a test file has to itself, and what the file makes there. */
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, inject } from 'vitest'
import { Cluster } from '../../src/dev/cluster.ts'
import { findBinaries, startControlPlane, type ControlPlane } from '../../src/dev/control-plane.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import { administrator, pathOf } from './admin.ts'
import { borrowPlane, type LentPlane } from './planes.ts'

const lender: number | undefined = inject('planes')
const lent = lender === undefined ? undefined : await borrowPlane(lender)

/** Administrator's view of the file's cluster. CRDs, RBAC and policy of `manifests/` are in it, and leftovers of other files. */
export function controlPlane(): Cluster {
  return new Cluster(given())
}

function given(): LentPlane {
  if (lent === undefined) throw new Error('this kind of test has no cluster: give it one in vitest.config.ts')
  return lent
}

let operator: Promise<string> | undefined

/** Path of a kubeconfig of the operator's own ServiceAccount: what it may do is what `manifests/rbac` grants. */
export function operatorKubeconfig(): Promise<string> {
  const path = join(given().dir, `operator-${randomBytes(4).toString('hex')}.kubeconfig`)
  return (operator ??= controlPlane().identity('molecule-system', 'molecule-operator', path))
}

/**
 * Makes a namespace for the file that calls this at its top level. After the file, objects of our kinds in it are
 * deleted, finalizers or not, so that no later operator finds them; the namespace itself needs no end.
 */
export async function namespace(cluster: Cluster = controlPlane()): Promise<string> {
  return await namespaces(cluster)()
}

/** The same for a file whose tests make one each: call this at its top level, and the result in the tests. */
export function namespaces(cluster: Cluster = controlPlane()): () => Promise<string> {
  const made: string[] = []
  afterAll(async () => {
    await Promise.all(made.map((name) => clear(cluster, name)))
  })
  return async () => {
    const name = `test-${randomBytes(5).toString('hex')}`
    await administrator(cluster)('POST', '/api/v1/namespaces', { metadata: { name } })
    made.push(name)
    return name
  }
}

/** Opens a namespace for the operator: Secrets and ConfigMaps to read, files of orgs to keep; and what else is named. */
export async function openNamespace(
  name: string,
  cluster: Cluster = controlPlane(),
  ...more: readonly string[]
): Promise<void> {
  const binding = (role: string) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: role, namespace: name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: 'molecule-operator', namespace: 'molecule-system' }],
  })
  const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${name}/rolebindings`
  const bind = (role: string) => administrator(cluster)('POST', path, binding(role)).catch(unlessThere)
  await Promise.all(['molecule-references', 'molecule-generated-files', ...more].map(bind))
}

/** A control plane of one's own, for tests that break it or need controllers. The caller stops it. */
export async function ownControlPlane(
  options: { controllerManager?: boolean; audit?: boolean } = {},
): Promise<ControlPlane> {
  const report = () => {}
  const binaries = await findBinaries(report, options)
  const dir = join(tmpdir(), `molecule-test-own-${randomBytes(4).toString('hex')}`)
  return startControlPlane({ binaries, dir, report, ...options })
}

function unlessThere(error: unknown): void {
  if (!(error instanceof KubeError && error.isAlreadyExists)) throw error
}

async function clear(cluster: Cluster, name: string): Promise<void> {
  const ask = administrator(cluster)
  for (const plural of ['workspaces', 'orgimports', 'plugininstalls']) {
    const path = pathOf(name, '', plural)
    await ask('DELETE', path)
    const { items } = (await ask('GET', path)) as { items: { metadata: { name: string } }[] }
    const unlock = ({ metadata }: (typeof items)[number]) =>
      ask('PATCH', pathOf(name, metadata.name, plural), { metadata: { finalizers: null } })
    // Gone meanwhile is what we want.
    await Promise.all(items.map((item) => unlock(item).catch(() => undefined)))
  }
}
