/** What the operator's calls carry to an agent, and what a caller is told where that does not fit. */
import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { addressRule } from '../../src/outbound.ts'
import { createForward } from '../../src/platform/forward.ts'
import { createPrompts } from '../../src/platform/prompt.ts'
import type { WorkspaceId } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { adminToken, call, openRegistry, refusal, startAgent } from './registry.ts'

let heard: IncomingHttpHeaders[] = []
let answer: { status: number; location?: string } = { status: 200 }
const agent = await startAgent((request, response) => {
  heard.push(request.headers)
  const { status, ...headers } = answer
  const respond = () => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end('{}')
  request.resume().on('end', respond)
})
const registry = await openRegistry(await database(), randomBytes(32))
const otherKey = registry.another(randomBytes(32))
const forward = createForward({ rule: addressRule(['127.0.0.0/8']), resolve: async () => [] })
const own = await registry.serve({ openNetworks: ['127.0.0.0/8'] })
const keyed = await registry.serve({ agents: otherKey.agents })
afterAll(async () => {
  await Promise.all([own.stop(), keyed.stop(), forward.close(), otherKey.close()])
  agent.stop()
  await registry.close()
})
beforeEach(() => {
  heard = []
  answer = { status: 200 }
})

const secretOf = () => randomBytes(32).toString('base64url')
const ask = (id: WorkspaceId, base = own.base) =>
  call(base, 'POST', `/workspaces/${id}/a2a`, adminToken, { method: 'message/send', params: {} })
const prompt = (to: WorkspaceId, agents = registry.store.agents) =>
  createPrompts({ agents, forward })(
    { id: crypto.randomUUID(), to, text: 'Good morning', metadata: {} },
    new AbortController().signal,
  )

test('a message and a prompt carry the secret of the last launch', async () => {
  const secret = secretOf()
  const { id } = await registry.online(agent.url, { secret })
  expect(await ask(id)).toMatchObject({ status: 200 })
  expect(await prompt(id)).toEqual({ kind: 'delivered' })
  expect(heard.map(({ authorization }) => authorization)).toEqual([`Bearer ${secret}`, `Bearer ${secret}`])
})

test('an agent that was launched before there were secrets is called without, and an external one too', async () => {
  const before = await registry.online(agent.url)
  const outside = await registry.online(agent.url, { backend: 'external', secret: secretOf() })
  for (const { id } of [before, outside]) {
    expect(await ask(id)).toMatchObject({ status: 200 })
    expect(await prompt(id)).toEqual({ kind: 'delivered' })
  }
  expect(heard).toHaveLength(4)
  for (const headers of heard) expect(headers).not.toHaveProperty('authorization')
})

test('a secret in the row of an external agent goes to no address that it registered', async () => {
  const { id } = await registry.online(agent.url, { secret: secretOf() })
  await registry.sql(`UPDATE workspaces SET backend = 'external' WHERE id = $1`, [id])
  expect(await ask(id)).toMatchObject({ status: 200 })
  expect(heard).toHaveLength(1)
  expect(heard[0]).not.toHaveProperty('authorization')
})

test('what an agent registers as its url is not where the secret goes', async () => {
  const { id } = await registry.online(agent.url, { secret: secretOf() })
  const elsewhere = 'http://127.0.0.1:9/'
  await registry.store.agents.register({ id, url: elsewhere, agentCard: { url: elsewhere }, deliveryMode: undefined })
  expect(await ask(id)).toMatchObject({ status: 200 })
  expect(heard).toHaveLength(1)
})

test('the secret follows no redirect', async () => {
  const led: unknown[] = []
  const other = await startAgent((request, response) => void (led.push(request.headers), response.end()))
  const { id } = await registry.online(agent.url, { secret: secretOf() })
  answer = { status: 307, location: other.url }
  expect(await ask(id)).toMatchObject({ status: 502, body: refusal('agent_redirected') })
  expect(led).toEqual([])
  other.stop()
})

test('an instance that does not know the secret is one that is being launched', async () => {
  const { id } = await registry.online(agent.url, { secret: secretOf() })
  answer = { status: 401 }
  const refused = await ask(id)
  expect(refused).toMatchObject({ status: 503, body: refusal('workspace_provisioning') })
  expect(refused.headers.get('retry-after')).toBe('15')
  expect(await prompt(id)).toMatchObject({ kind: 'notReached' })
  // Without a secret there is none to be out of date: the agent itself refuses.
  const before = await registry.online(agent.url)
  expect(await ask(before.id)).toMatchObject({ status: 502, body: refusal('agent_refused') })
})

test('a secret that was sealed with another key is a refusal that says so, and nothing is sent', async () => {
  const secret = secretOf()
  const { id } = await registry.online(agent.url, { secret })
  const refused = await ask(id, keyed.base)
  expect(refused).toMatchObject({ status: 503, body: refusal('agent_secret_unreadable') })
  expect(refused.headers.get('retry-after')).toBe('60')
  expect(await prompt(id, otherKey.agents)).toMatchObject({ kind: 'notReached' })
  expect(heard).toEqual([])
  expect(registry.lines.join('\n')).toContain('SECRETS_KEY')
  expect(registry.lines.join('\n')).not.toContain(secret)
})
