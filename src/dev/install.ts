/** What a cluster needs before an operator outside of it can work there: `manifests/` without the Deployment. */
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { apiVersion, finalizer } from '../api/meta.ts'
import type { Cluster } from './cluster.ts'

const root = join(import.meta.dirname, '..', '..')
export const crds = join(root, 'crds')
export const rbac = join(root, 'manifests', 'rbac')
export const policy = join(root, 'manifests', 'finalizer-policy')

const servedDeadline = 30_000

/**
 * CRDs, RBAC and, where the cluster knows such a thing, the policy that gives the finalizer; returns once all of it is
 * in force. Again is fine. `put` applies one folder otherwise than whole.
 */
export async function installOperator(
  cluster: Cluster,
  put: (folder: string) => Promise<unknown> = (folder) => cluster.apply(folder),
): Promise<{ policy: boolean }> {
  await put(crds)
  await put(rbac)
  const known = await knowsPolicies(cluster)
  if (known) await put(policy)
  await untilServed(cluster, known)
  return { policy: known }
}

export const knowsPolicies = async (cluster: Cluster): Promise<boolean> =>
  (await cluster.kubectl(['get', '--raw', '/apis/admissionregistration.k8s.io/v1'])).includes(
    '"mutatingadmissionpolicies"',
  )

const metadata = { name: 'sample', namespace: 'molecule-system' }
/** One of each kind, to be created dry. */
const samples = [
  { apiVersion, kind: 'Runtime', metadata, spec: { image: 'sample' } },
  { apiVersion, kind: 'Workspace', metadata, spec: {} },
  { apiVersion, kind: 'OrgImport', metadata, spec: { source: { configMapRef: { name: 'sample' } } } },
  {
    apiVersion,
    kind: 'PluginInstall',
    metadata,
    spec: { source: 'local://sample', targets: { selector: { matchLabels: { sample: 'true' } } } },
  },
]

/** A new CRD answers 404, 429 and 503 for a second or two, and a policy takes as long to be in force. */
async function untilServed(cluster: Cluster, withFinalizer: boolean): Promise<void> {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: samples })
  for (const deadline = performance.now() + servedDeadline; ;) {
    try {
      const made = await cluster.kubectl(['create', '--dry-run=server', '--validate=ignore', '-f', '-', '-o', 'yaml'], {
        input,
      })
      if (!withFinalizer || made.split(`- ${finalizer}`).length > samples.length) return
      if (performance.now() > deadline) throw new Error('the policy that gives the finalizer did not come into force')
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
    await wait(100)
  }
}
