/** Workspaces of one namespace whose agents this process plays: external ones that ask for their messages. */
import { createKube } from '../../src/kube/kube.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import type { Workspace } from '../../src/api/workspace.ts'
import { until } from '../support/until.ts'

export interface Agent {
  readonly id: string
  readonly name: string
  readonly token: string
}

export type Ask = (method: 'GET' | 'POST' | 'PATCH', path: string, body?: object) => Promise<unknown>

/** The API server as its administrator asks it. */
export async function administrator(kubeconfig: string): Promise<{ ask: Ask; close: () => void }> {
  const log = createLogger('silent')
  const kube = await createKube({ credentials: { kubeconfig }, log, metrics: createMetrics(), fieldManager: 'hostile' })
  const ask: Ask = async (method, path, body) => {
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    return await kube.transport.send({ method, path, verb: 'test', contentType, ...(body && { body }) })
  }
  return { ask, close: () => void kube.close() }
}

export const workspaces = (namespace: string, name = ''): string =>
  `/apis/molecule.dev/v1alpha1/namespaces/${namespace}/workspaces${name && `/${name}`}`

/** POSTs, and gives the milliseconds until the answer and its status. */
export async function post(
  url: string,
  token: string,
  body: object | string,
  within = 30_000,
): Promise<{ ms: number; status: number }> {
  const began = performance.now()
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal: AbortSignal.timeout(within),
  })
  await response.arrayBuffer()
  return { ms: performance.now() - began, status: response.status }
}

/** A root and all others below it, each with a token, registered. */
export async function settle(
  ask: Ask,
  platform: string,
  adminToken: string,
  namespace: string,
  size: number,
): Promise<Agent[]> {
  await ask('POST', '/api/v1/namespaces', { metadata: { name: namespace } })
  const names = Array.from({ length: size }, (_, at) => `agent-${at}`)
  const create = async (name: string) => {
    const parent = name === 'agent-0' ? {} : { parentRef: { name: 'agent-0' } }
    const spec = { backend: 'external', delivery: 'poll', ...parent }
    const metadata = { name, namespace }
    await ask('POST', workspaces(namespace), { apiVersion: 'molecule.dev/v1alpha1', kind: 'Workspace', metadata, spec })
  }
  const join = async (name: string): Promise<Agent> => {
    const { uid: id } = ((await ask('GET', workspaces(namespace, name))) as Workspace).metadata
    const token = await until(async () => {
      const response = await fetch(`${platform}/admin/workspaces/${id}/tokens`, {
        method: 'POST',
        headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
        body: '{}',
      })
      return ((await response.json()) as { auth_token?: string }).auth_token
    })
    const body = { id, agent_card: { name }, url: '', delivery_mode: 'poll' }
    await until(async () => (await post(`${platform}/registry/register`, token, body)).status === 200)
    return { id, name, token }
  }
  await Promise.all(names.map(create))
  return await Promise.all(names.map(join))
}
