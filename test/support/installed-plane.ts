import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import { installOperator } from '../../src/dev/install.ts'
import { openNamespace, ownControlPlane } from './cluster.ts'
import { leaseRights } from './lease-rights.ts'
import { until } from './until.ts'
import { runtime } from './workspaces.ts'

export interface InstalledPlane {
  readonly plane: ControlPlane
  /** Kubeconfig of the operator's own ServiceAccount. */
  readonly kubeconfig: string
  /** A lease that no other operator has. */
  readonly leaseName: string
}

/** A control plane of the file's own, with the CRDs, the rights of the operator, an open namespace and a default Runtime. */
export async function installedPlane(
  namespace: string,
  options: Parameters<typeof ownControlPlane>[0] = {},
): Promise<InstalledPlane> {
  const plane = await ownControlPlane(options)
  afterAll(() => plane.stop())
  await installOperator(plane)
  const named = [namespace, 'test-leases'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
  await plane.apply([...named, ...leaseRights('test-leases')])
  await openNamespace(namespace, plane)
  // Each kind is served a while after its definition is there, in no order.
  await until(() => plane.apply([runtime('agent', { default: true })]))
  const kubeconfig = await plane.identity('molecule-system', 'molecule-operator', join(plane.dir, 'operator'))
  return { plane, kubeconfig, leaseName: `test-${randomBytes(4).toString('hex')}` }
}
