/** What a cluster needs before an operator outside of it can work there: `manifests/` without the Deployment. */
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Cluster } from './cluster.ts'

const root = join(import.meta.dirname, '..', '..')
const crds = join(root, 'crds')
const rbac = join(root, 'manifests', 'rbac')
const policy = join(root, 'manifests', 'finalizer-policy')

/** CRDs, RBAC and, where the cluster knows such a thing, the policy that gives the finalizer. Again is fine. */
export async function installOperator(cluster: Cluster): Promise<{ policy: boolean }> {
  await cluster.apply(crds)
  await served(cluster)
  await cluster.apply(rbac)
  const known = await cluster.kubectl(['get', '--raw', '/apis/admissionregistration.k8s.io/v1'])
  if (!known.includes('"mutatingadmissionpolicies"')) return { policy: false }
  await cluster.apply(policy)
  return { policy: true }
}

/** Takes it all away again. Objects of the kinds must be gone, or they go with their CRD. */
export async function uninstallOperator(cluster: Cluster): Promise<void> {
  for (const folder of [policy, rbac, crds])
    await cluster.kubectl(['delete', '-k', folder, '--ignore-not-found', '--wait=false'])
}

/**
 * Waits until the kinds can be read. Established comes about a second earlier, and `kubectl wait` for it fails on a CRD
 * so young that it has no conditions.
 */
async function served(cluster: Cluster): Promise<void> {
  const kinds = ['workspaces', 'orgimports', 'plugininstalls', 'runtimes'].map((plural) => `${plural}.molecule.dev`)
  const deadline = performance.now() + 30_000
  for (;;) {
    try {
      await cluster.kubectl(['get', kinds.join(','), '--all-namespaces', '-o', 'name'])
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await wait(200)
    }
  }
}
