/**
 * The hostile tenant, in a process of its own: told by one message what to send and for how long, and answers with how
 * often each kind was sent and refused. Bounded in number and time, and sent to this machine alone.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { reasonOf } from '../../src/errors.ts'
import { administrator, post, type Agent, type Ask } from './tenant.ts'

export interface FloodOrder {
  readonly platform: string
  readonly kubeconfig: string
  readonly namespace: string
  readonly agents: readonly Agent[]
  readonly seconds: number
  /** Kinds whose name matches are sent. */
  readonly only: string
}

export type FloodReport = Readonly<Record<string, string>>

/** Requests of a kind that are under way at once, and in all. */
const [atOnce, most] = [32, 4000]
/** ConfigMaps that are made, of a megabyte each: what the API server itself keeps is not what is tried here. */
const mostConfigMaps = 60

process.once('message', (order: FloodOrder) => void flood(order))

async function flood(order: FloodOrder): Promise<void> {
  const { ask, close } = await administrator(order.kubeconfig)
  // An agent that takes messages and never answers them.
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { id = '', token = '' } = order.agents[1] ?? {}
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  await post(`${order.platform}/registry/register`, token, { id, agent_card: {}, url, delivery_mode: 'push' })
  const until = performance.now() + order.seconds * 1000
  const all = Object.entries(kindsOf(order, ask, until))
  const kinds = all.filter(([name]) => new RegExp(order.only).test(name))
  const reports = await Promise.all(kinds.map(async ([name, one]) => [name, await sent(one, until)] as const))
  close()
  silent.closeAllConnections()
  silent.close()
  process.send?.(Object.fromEntries(reports))
  process.disconnect()
}

type Send = (count: number) => Promise<number> | undefined

/** By its status what came of each; undefined: there is no more of it. */
async function sent(send: Send, until: number): Promise<string> {
  const seen = new Map<string, number>()
  let count = 0
  const one = async () => {
    while (performance.now() < until && count < most) {
      const asked = send(count++)
      if (asked === undefined) return
      const status = await asked.then(String, (error: unknown) => reasonOf(error).slice(0, 40))
      seen.set(status, (seen.get(status) ?? 0) + 1)
      // One that is refused tries again soon, but does not spin.
      if (status !== '200') await wait(5)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return [...seen].map(([status, times]) => `${times} × ${status}`).join(', ')
}

function kindsOf({ platform, namespace, agents }: FloodOrder, ask: Ask, until: number): Readonly<Record<string, Send>> {
  const large = JSON.stringify({ method: 'message/send', params: { text: '\\'.repeat(500_000) } })
  const small = { method: 'message/send', params: { text: 'again' } }
  const card = { skills: Array.from({ length: 500 }, (_, at) => ({ id: `skill-${at}`, description: 'x'.repeat(80) })) }
  const of = (at: number) => agents[at % agents.length] ?? { id: '', name: '', token: '' }
  const answer = async (path: string, token: string, body: object | string) =>
    (await post(`${platform}${path}`, token, body, Math.max(1, Math.ceil(until - performance.now())))).status
  return {
    'messages of a megabyte to itself': (at) => answer(`/workspaces/${of(at).id}/a2a`, of(at).token, large),
    'an inbox filled': (at) => answer(`/workspaces/${of(0).id}/a2a`, of(at).token, small),
    'messages that are never answered': (at) => answer(`/workspaces/${of(1).id}/a2a`, of(at).token, small),
    'wrong tokens': () =>
      answer('/registry/heartbeat', randomBytes(32).toString('base64url'), { workspace_id: of(0).id }),
    'names that do not resolve': (at) =>
      answer('/registry/register', of(at).token, {
        id: of(at).id,
        agent_card: {},
        url: `https://${randomBytes(6).toString('hex')}.invalid/`,
        delivery_mode: 'push',
      }),
    'cards of 60 kB': (at) =>
      answer('/registry/update-card', of(at).token, { workspace_id: of(at).id, agent_card: { ...card, version: at } }),
    'ConfigMaps of a megabyte': (at) =>
      at >= mostConfigMaps
        ? undefined
        : ask('POST', `/api/v1/namespaces/${namespace}/configmaps`, {
            metadata: { name: `load-${at}` },
            data: { text: 'x'.repeat(1_000_000) },
          }).then(() => 200),
  }
}
