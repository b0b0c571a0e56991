/** The API server as an administrator asks it: one request a call, without a kubectl between. */
import { afterAll } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { createKube } from '../../src/kube/kube.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { controlPlane } from './cluster.ts'

type Ask = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object) => Promise<unknown>

export const pathOf = (namespace: string, name = '', plural = 'workspaces'): string =>
  `/apis/molecule.dev/v1alpha1/namespaces/${namespace}/${plural}${name && `/${name}`}`

/** For the file that calls this at its top level; a PATCH is a merge patch. Throws a `KubeError`. */
export async function administrator(): Promise<Ask> {
  const credentials = { kubeconfig: controlPlane().kubeconfig }
  const log = createLogger('silent')
  const kube = await createKube({ credentials, log, metrics: createMetrics(), fieldManager: 'test' })
  afterAll(() => kube.close())
  return async (method, path, body) => {
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    return await kube.transport.send({ method, path, verb: 'test', contentType, ...(body && { body }) })
  }
}

export async function listWorkspaces(ask: Ask, namespace: string): Promise<readonly Workspace[]> {
  return ((await ask('GET', pathOf(namespace))) as { items: Workspace[] }).items
}
