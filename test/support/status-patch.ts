import type { Cluster } from '../../src/dev/cluster.ts'

/** Merges fields into the status of an object, as another controller, or a tenant with rights on it, may. */
export async function patchStatus(
  cluster: Cluster,
  [kind, namespace, name]: readonly [kind: string, namespace: string, name: string],
  status: object,
): Promise<void> {
  const patch = JSON.stringify({ status })
  await cluster.kubectl(['patch', kind, name, '-n', namespace, '--subresource=status', '--type=merge', '-p', patch])
}
