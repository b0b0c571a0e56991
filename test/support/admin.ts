/** The API server as an administrator asks it: one request a call. A kubectl would be a process for each. */
import type { Workspace } from '../../src/api/workspace.ts'
import type { Cluster } from '../../src/dev/cluster.ts'
import { createKube, type Kube } from '../../src/kube/kube.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

/** A PATCH is a merge patch. Throws a `KubeError`. */
export type Ask = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object) => Promise<unknown>

/** Path of an object of ours, or of the list of them. */
export const pathOf = (namespace: string, name = '', plural = 'workspaces'): string =>
  `/apis/molecule.dev/v1alpha1/namespaces/${namespace}/${plural}${name && `/${name}`}`

/** By the path of the kubeconfig. Their connections end with the process. */
const open = new Map<string, Promise<Kube>>()

export function administrator({ kubeconfig }: Cluster): Ask {
  return async (method, path, body) => {
    let kube = open.get(kubeconfig)
    if (kube === undefined) {
      const log = createLogger('silent')
      kube = createKube({ credentials: { kubeconfig }, log, metrics: createMetrics(), fieldManager: 'test' })
      open.set(kubeconfig, kube)
    }
    const { transport } = await kube
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    return await transport.send({ method, path, verb: 'test', contentType, ...(body && { body }) })
  }
}

export async function listWorkspaces(ask: Ask, namespace: string): Promise<readonly Workspace[]> {
  return ((await ask('GET', pathOf(namespace))) as { items: Workspace[] }).items
}
