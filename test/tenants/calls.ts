/** Requests of an agent to the platform that name a workspace, a message or neither. */
import type { calls } from './walk.ts'

export interface Answer {
  readonly status: number
  readonly headers: string
  readonly body: string
}

interface Request {
  readonly path: string
  readonly method?: 'GET'
  readonly body?: object
}

/** What is asked about `id`; `self` is the workspace of the agent that asks. */
export function requestOf(call: (typeof calls)[number], id: string, self: string): Request {
  switch (call) {
    case 'register':
      return { path: '/registry/register', body: { id, agent_card: { name: 'x' }, url: '', delivery_mode: 'poll' } }
    case 'heartbeat':
      return {
        path: '/registry/heartbeat',
        body: {
          workspace_id: id,
          active_tasks: 7,
          error_rate: 1,
          sample_error: 'not its own',
          current_task: 'none of its own',
        },
      }
    case 'update-card':
      return { path: '/registry/update-card', body: { workspace_id: id, agent_card: { name: 'another' } } }
    case 'a2a':
      return {
        path: `/workspaces/${id}/a2a`,
        body: { id: 1, method: 'message/send', params: { text: 'from outside' } },
      }
    case 'take':
      return { path: `/workspaces/${id}/messages/take`, body: {} }
    case 'ack':
      return { path: `/workspaces/${self}/messages/ack`, body: { ids: [id] } }
    case 'state':
      return { path: `/workspaces/${id}/state`, method: 'GET' }
    case 'connection':
      return { path: `/workspaces/${id}/external/connection`, method: 'GET' }
    case 'rotate':
      return { path: `/workspaces/${id}/external/rotate`, body: {} }
    case 'tokens':
      return { path: `/admin/workspaces/${id}/tokens`, body: {} }
  }
}

export async function ask(
  platform: string,
  token: string | undefined,
  { path, method, body }: Request,
): Promise<Answer> {
  const response = await fetch(`${platform}${path}`, {
    method: method ?? 'POST',
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  })
  const headers = JSON.stringify([...response.headers].filter(([name]) => name !== 'date' && name !== 'keep-alive'))
  return { status: response.status, headers, body: await response.text() }
}

/** Whether two answers tell an id from another: what differs by the hour is no word about either. */
export function tells(about: string, one: Answer, other: Answer, unknown: string): boolean {
  const passing = (status: number) => status === 429 || status >= 500
  if (passing(one.status) && passing(other.status)) return false
  const plain = ({ status, body }: Answer, id: string) => `${status} ${body.replaceAll(id, '<id>')}`
  return plain(one, about) !== plain(other, unknown)
}
