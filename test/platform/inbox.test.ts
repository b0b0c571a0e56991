/** Agents that poll: their messages, and what somebody needs who connects such an agent. */
import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { milliseconds, minutes } from '../../src/duration.ts'
import { retentionSweeper } from '../../src/sweepers/retention.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { adminToken, call, keyOf, openRegistry, refusal } from './registry.ts'

const registry = await openRegistry(await database())
const platform = await registry.serve()
const replica = await registry.serve()
afterAll(async () => {
  await Promise.all([platform.stop(), replica.stop()])
  await registry.close()
})
const post = (path: string, token: string, body?: unknown, base = platform.base) =>
  call(base, 'POST', path, token, body)
const outside = { backend: 'external', deliveryMode: 'poll', initialPhase: 'awaiting_agent' } as const
const told = (id: string, event: string) =>
  registry.sql('SELECT payload FROM structure_events WHERE workspace_id = $1 AND event_type = $2', [id, event])

interface Taken {
  readonly messages: readonly { readonly id: string; readonly method: string }[]
}

describe('the inbox', () => {
  it('hands out what was sent, in order, until it is acknowledged', async () => {
    const from = await registry.workspace()
    const to = await registry.workspace(outside)
    for (const method of ['m1', 'm2']) await post(`/workspaces/${to.id}/a2a`, from.token, { method, params: { x: 1 } })
    const taken = await post(`/workspaces/${to.id}/messages/take`, to.token)
    expect(taken).toMatchObject({
      status: 200,
      body: {
        lease_seconds: 60,
        messages: [
          { id: expect.any(String) as unknown, from: from.id, method: 'm1', body: { method: 'm1', params: { x: 1 } } },
          { method: 'm2', queued_at: expect.stringMatching(/^\d{4}-.*Z$/) as unknown },
        ],
      },
    })
    expect(await post(`/workspaces/${to.id}/messages/take`, to.token, { limit: 1 })).toMatchObject({
      body: { messages: [] },
    })
    const ids = (taken.body as Taken).messages.map((message) => message.id)
    const ack = () => post(`/workspaces/${to.id}/messages/ack`, to.token, { ids })
    expect(await ack()).toMatchObject({ status: 200, body: { acknowledged: 2 } })
    expect(await ack()).toMatchObject({ status: 200, body: { acknowledged: 0 } })
  })

  it('refuses what finds no room in it, says so and counts it', async () => {
    const [from, to] = [await registry.workspace(), await registry.workspace(outside)]
    const send = () => post(`/workspaces/${to.id}/a2a`, from.token, { method: 'm' })
    expect(await send()).toMatchObject({ status: 200 })
    await registry.sql('UPDATE workspace_inboxes SET messages = 1000 WHERE workspace_id = $1', [to.id])
    const refused = await send()
    expect(refused).toMatchObject({ status: 429, body: refusal('inbox_full', expect.stringContaining('of the agent')) })
    expect(refused.headers.get('retry-after')).toBe('30')
    const { values } = await registry.metrics.inboxRefused.get()
    expect(values.find(({ labels }) => labels.limit === 'workspace')?.value).toBe(1)
    const { body } = await post(`/workspaces/${to.id}/messages/take`, to.token)
    expect((body as Taken).messages).toHaveLength(1)
  })

  it('is its agent’s alone', async () => {
    const [to, other] = [await registry.workspace(outside), await registry.workspace()]
    for (const token of [other.token, adminToken])
      for (const verb of ['take', 'ack'])
        expect(await post(`/workspaces/${to.id}/messages/${verb}`, token, { ids: [] })).toMatchObject({
          status: 403,
          body: refusal('forbidden'),
        })
  })

  it.each([
    ['take', { limit: 0 }],
    ['take', { limit: 101 }],
    ['take', { limit: 'all' }],
    ['ack', {}],
    ['ack', { ids: ['x'] }],
    ['ack', { ids: Array.from({ length: 1001 }, () => randomUUID()) }],
    ['ack', []],
  ])('refuses %s %j', async (verb, body) => {
    const { id, token } = await registry.workspace(outside)
    expect(await post(`/workspaces/${id}/messages/${verb}`, token, body)).toMatchObject({
      status: 400,
      body: refusal('invalid_body'),
    })
  })
})

describe('the credentials of an external agent', () => {
  it('are rotated by an admin: shown once, the old refused at once, on every replica', async () => {
    const { id, token: old } = await registry.workspace(outside)
    const beat = (token: string, base: string) => post('/registry/heartbeat', token, { workspace_id: id }, base)
    for (const { base } of [platform, replica]) expect((await beat(old, base)).status).toBe(200)
    const rotated = await post(`/workspaces/${id}/external/rotate`, adminToken)
    expect(rotated).toMatchObject({
      status: 200,
      body: {
        connection: {
          workspace_id: id,
          platform_url: 'https://molecule.test',
          auth_token: expect.stringMatching(/^[\w-]{43}$/) as unknown,
          registry_endpoint: 'https://molecule.test/registry/register',
          heartbeat_endpoint: 'https://molecule.test/registry/heartbeat',
        },
      },
    })
    expect(rotated.headers.get('cache-control')).toBe('no-store')
    const { connection } = rotated.body as { connection: Record<string, string> }
    const token = connection['auth_token'] ?? ''
    for (const { base } of [platform, replica]) {
      expect(await beat(old, base)).toMatchObject({ status: 401, body: refusal('unauthorized') })
      expect((await beat(token, base)).status).toBe(200)
    }
    expect(await told(id, 'EXTERNAL_CREDENTIALS_ROTATED')).toEqual([{ payload: { workspace_id: id } }])
    for (const [key, value] of Object.entries(connection)) if (key !== 'auth_token') expect(value).not.toContain(token)
  })

  it('are never shown again, but everything else is', async () => {
    const { id, token } = await registry.workspace(outside)
    const shown = await call(platform.base, 'GET', `/workspaces/${id}/external/connection`, adminToken)
    expect(shown).toMatchObject({ status: 200, body: { connection: { workspace_id: id, auth_token: '' } } })
    expect(shown.text).not.toContain(token)
    expect(shown.text).not.toContain('{{')
    const rotated = await post(`/workspaces/${id}/external/rotate`, adminToken)
    const keys = ({ body }: { body: unknown }) => Object.keys((body as { connection: object }).connection)
    expect(keys(shown)).toEqual(keys(rotated))
  })

  it('are rotated and shown by the agent itself as well, which is how it ends a token that has leaked', async () => {
    const { id, token: old } = await registry.workspace(outside)
    const shown = await call(platform.base, 'GET', `/workspaces/${id}/external/connection`, old)
    expect(shown).toMatchObject({ status: 200, body: { connection: { workspace_id: id, auth_token: '' } } })
    const rotated = await post(`/workspaces/${id}/external/rotate`, old)
    const { connection } = rotated.body as { connection: Record<string, string> }
    const beat = (token: string) => post('/registry/heartbeat', token, { workspace_id: id })
    expect((await beat(old)).status).toBe(401)
    expect((await beat(connection['auth_token'] ?? '')).status).toBe(200)
  })

  it('are rotated five times at once, and then refused for a while', async () => {
    const { id, token } = await registry.workspace(outside)
    const statuses: number[] = []
    let now = token
    for (let n = 0; n < 7; n++) {
      const answer = await post(`/workspaces/${id}/external/rotate`, now)
      statuses.push(answer.status)
      now = (answer.body as { connection?: { auth_token: string } }).connection?.auth_token ?? now
    }
    expect(statuses.slice(0, 5)).toEqual([200, 200, 200, 200, 200])
    expect(statuses).toContain(429)
  })

  it('are those of external agents alone, and for no other agent to see', async () => {
    const inside = await registry.workspace()
    const ask = (id: string, token: string) =>
      Promise.all([
        post(`/workspaces/${id}/external/rotate`, token),
        call(platform.base, 'GET', `/workspaces/${id}/external/connection`, token),
      ])
    const all = (status: number, code: string) => [1, 2].map(() => ({ status, body: refusal(code) }))
    expect(await ask(inside.id, adminToken)).toMatchObject(all(400, 'not_external'))
    expect(await ask(randomUUID(), adminToken)).toMatchObject(all(404, 'workspace_not_found'))
    expect(await ask('x', adminToken)).toMatchObject(all(404, 'workspace_not_found'))
    const [external, other] = [await registry.workspace(outside), await registry.workspace(outside)]
    expect(await ask(external.id, other.token)).toMatchObject(all(403, 'forbidden'))
    expect(await ask(external.id, 'a token that is none')).toMatchObject(all(401, 'unauthorized'))
    expect((await post('/registry/heartbeat', inside.token, { workspace_id: inside.id })).status).toBe(200)
  })
})

describe('a token that was good before', () => {
  it('is refused at once after a launch, on every replica, and so is that of a removed workspace', async () => {
    const { id, token } = await registry.workspace()
    const beat = (base: string) => post('/registry/heartbeat', token, { workspace_id: id }, base)
    for (const { base } of [platform, replica]) expect((await beat(base)).status).toBe(200)
    const launch = {
      ...keyOf(id),
      specHash: 'hash',
      tokenHash: Buffer.alloc(32, 7),
      tokenPrefix: 'prefix12',
      at: new Date(),
    }
    await registry.store.workspaces.launch(launch, registry.fence)
    for (const { base } of [platform, replica])
      for (let twice = 0; twice < 2; twice++)
        expect(await beat(base)).toMatchObject({ status: 401, body: refusal('unauthorized') })
    expect(await registry.row(id)).toMatchObject({ status: 'provisioning' })
    // Once it was refused it is as any guess: its body is not even read.
    expect(await post('/registry/heartbeat', token, '{"broken')).toMatchObject({ status: 401 })
    const gone = await registry.workspace()
    const last = () => post('/registry/heartbeat', gone.token, { workspace_id: gone.id })
    expect((await last()).status).toBe(200)
    await registry.store.workspaces.remove(keyOf(gone.id), registry.fence)
    expect(await last()).toMatchObject({ status: 401 })
    expect(await registry.row(gone.id)).toMatchObject({ status: 'removed' })
  })

  it('costs a beat no statement of its own', async () => {
    const { id, token } = await registry.workspace()
    const beat = () => post('/registry/heartbeat', token, { workspace_id: id })
    await beat()
    const asked = async () =>
      (await registry.metrics.sqlRows.get()).values.find(({ labels }) => labels.name === 'authenticate')?.value
    const before = await asked()
    for (let n = 0; n < 5; n++) expect((await beat()).status).toBe(200)
    expect(await asked()).toBe(before)
  })
})

it('keeps the card of an agent, and tells of it', async () => {
  const { id, token } = await registry.workspace()
  const card = { name: 'Ada', skills: [{ id: 'x' }] }
  const update = (bearer: string, body: unknown) => post('/registry/update-card', bearer, body)
  expect(await update(token, { workspace_id: id, agent_card: card })).toMatchObject({
    status: 200,
    body: { status: 'updated' },
  })
  expect(await registry.row(id)).toMatchObject({ agent_card: card, status: 'provisioning' })
  expect(await told(id, 'AGENT_CARD_UPDATED')).toEqual([
    { payload: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown } },
  ])
  expect(await update(token, { workspace_id: id, agent_card: [] })).toMatchObject({ status: 400 })
  expect(await update(token, { workspace_id: randomUUID(), agent_card: card })).toMatchObject({ status: 403 })
  expect(await update(adminToken, { workspace_id: id, agent_card: card })).toMatchObject({ status: 403 })
})

it('sweeps old history away in small bites, and goes on after a failure', async () => {
  const { id } = await registry.workspace()
  for (let n = 0; n < 25; n++)
    await registry.store.agents.logMessage({ from: undefined, to: id, method: `m${n}`, outcome: 'ok' })
  await registry.sql(`UPDATE activity_logs SET created_at = now() - interval '8 days' WHERE method <> 'm24'`)
  const abort = new AbortController()
  let failures = 0
  const bites: number[] = []
  const history: typeof registry.store.history = {
    async forget(kind, age, limit) {
      if (failures++ === 0) throw new Error('away')
      const gone = await registry.store.history.forget(kind, age, limit)
      if (kind === 'activity') bites.push(gone)
      return gone
    },
    purge: (...asked) => registry.store.history.purge(...asked),
  }
  const keep = { activity: minutes(7 * 24 * 60), structure: minutes(30 * 24 * 60) }
  const resources = { trouble: () => undefined, uids: () => [] }
  const { metrics } = registry
  const sweeper = retentionSweeper({
    history,
    keep,
    resources,
    metrics,
    log: registry.log,
    every: milliseconds(20),
    atOnce: 10,
  })
  expect(sweeper.leaderOnly).toBe(true)
  const ended = sweeper.start(abort.signal)
  const left = () => registry.sql('SELECT method FROM activity_logs WHERE workspace_id = $1', [id])
  await until(async () => (await left()).length === 1)
  abort.abort()
  await ended
  expect(await left()).toEqual([{ method: 'm24' }])
  expect(Math.max(...bites)).toBe(10)
  expect(await registry.sql('SELECT 1 FROM structure_events WHERE workspace_id = $1', [id])).not.toEqual([])
})
