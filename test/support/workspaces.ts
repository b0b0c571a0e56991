/** Workspaces as a test makes and reads them. */
import type { Workspace, WorkspaceStatus } from '../../src/api/workspace.ts'
import type { Cluster } from '../../src/dev/cluster.ts'
import { administrator, pathOf } from './admin.ts'

export const workspace = (namespace: string, name: string, spec: object = {}, metadata: object = {}) => ({
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'Workspace',
  metadata: { name, namespace, ...metadata },
  spec,
})

export const runtime = (name: string, spec: object = {}) => ({
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'Runtime',
  metadata: { name },
  spec: { image: 'test/agent:1', ...spec },
})

export async function readWorkspace(cluster: Cluster, namespace: string, name: string): Promise<Workspace> {
  return (await administrator(cluster)('GET', pathOf(namespace, name))) as Workspace
}

/** Deletes Runtimes once no operator takes their finalizer off any more. */
export async function removeRuntimes(cluster: Cluster, ...names: readonly string[]): Promise<void> {
  await cluster.kubectl(['delete', 'runtime', ...names, '--wait=false', '--ignore-not-found'])
  for (const name of names) {
    const unlock = ['patch', 'runtime', name, '--type=merge', '-p', '{"metadata":{"finalizers":null}}']
    await cluster.kubectl(unlock).catch(() => undefined)
  }
}

/** `True SiblingNameTaken`, or undefined when there is no such condition. */
export function conditionOf(status: WorkspaceStatus | undefined, type: string): string | undefined {
  const found = (status?.conditions ?? []).find((condition) => condition.type === type)
  return found && `${found.status} ${found.reason}`
}

export const messageOf = (status: WorkspaceStatus | undefined, type: string): string =>
  (status?.conditions ?? []).find((condition) => condition.type === type)?.message ?? ''
