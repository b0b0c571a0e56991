/** Agents register, beat and ask; everybody else is refused. Seen in rows. */
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import type { Resolve } from '../../src/outbound.ts'
import type { WorkspaceId } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { adminToken, call, keyOf, openRegistry, refusal } from './registry.ts'

const registry = await openRegistry(await database())
const resolve: Resolve = async (host) => [{ address: host === 'agents.test' ? '93.184.216.34' : '10.0.0.8', family: 4 }]
const platform = await registry.serve({ resolve })
afterAll(async () => {
  await platform.stop()
  await registry.close()
})
const post = (path: string, token: string | undefined, body: unknown) => call(platform.base, 'POST', path, token, body)
const get = (path: string, token?: string) => call(platform.base, 'GET', path, token)

describe('register', () => {
  it('brings a launched workspace online, with the url that the operator knows', async () => {
    const { id, token } = await registry.workspace({ url: 'http://127.0.0.1:49001' })
    const card = { name: 'Ada', skills: [{ id: 'echo' }], 'x\0': 'a\0b' }
    const answer = await post('/registry/register', token, { id, agent_card: card, url: 'http://evil.test/', more: 1 })
    expect(answer).toMatchObject({ status: 200, body: { status: 'registered', delivery_mode: 'push' } })
    expect(await registry.row(id)).toMatchObject({
      status: 'online',
      url: 'http://127.0.0.1:49001',
      agent_card: { name: 'Ada', skills: [{ id: 'echo' }], x: 'ab' },
    })
  })

  it('keeps the url of an external agent, once it passed the address rules', async () => {
    const { id, token } = await registry.workspace({ backend: 'external', initialPhase: 'awaiting_agent' })
    const register = (url: string) => post('/registry/register', token, { id, agent_card: {}, url })
    expect(await register('http://inside.test/')).toMatchObject({ status: 400, body: refusal('url_refused') })
    expect(await register('http://127.0.0.1:8000/')).toMatchObject({ status: 400, body: refusal('url_refused') })
    expect(await register('')).toMatchObject({ status: 400, body: refusal('url_required') })
    expect(await registry.row(id)).toMatchObject({ url: '', registered_at: null })
    expect(await register('https://agents.test/ada')).toMatchObject({ status: 200 })
    expect(await registry.row(id)).toMatchObject({ status: 'online', url: 'https://agents.test/ada' })
  })

  it('takes an external agent without a url that polls', async () => {
    const { id, token } = await registry.workspace({ backend: 'external', initialPhase: 'awaiting_agent' })
    const answer = await post('/registry/register', token, {
      id,
      agent_card: {},
      delivery_mode: 'poll',
      url: 'http://127.0.0.1/',
    })
    expect(answer.body).toEqual({ status: 'registered', delivery_mode: 'poll' })
    expect(await registry.row(id)).toMatchObject({ status: 'online', url: '', delivery_mode: 'poll' })
  })

  it.each(['paused', 'hibernated'] as const)('does not wake a %s workspace', async (status) => {
    const { id, token } = await registry.workspace()
    await registry.setStatus(id, status)
    expect((await post('/registry/register', token, { id, agent_card: {} })).status).toBe(200)
    expect(await registry.row(id)).toMatchObject({ status })
  })

  it.each([
    ['without a card', { agent_card: undefined }],
    ['with a card that is a list', { agent_card: [] }],
    [
      'with a card nested without end',
      { agent_card: JSON.parse(`${'{"a":'.repeat(70)}1${'}'.repeat(70)}`) as unknown },
    ],
    ['with an unknown delivery mode', { delivery_mode: 'pigeon' }],
    ['with a url that is none', { url: 7 }],
    ['with a url without end', { url: `http://agents.test/${'x'.repeat(3000)}` }],
    ['with an id that is none', { id: 'me' }],
  ])('refuses one %s', async (_, part) => {
    const { id, token } = await registry.workspace()
    const answer = await post('/registry/register', token, { id, agent_card: {}, ...part })
    expect(answer.status).toBe(400)
    expect(answer.body).toEqual({
      error: { code: expect.stringMatching(/^(invalid_body|too_deep)$/), message: expect.any(String) },
    })
    const { message } = (answer.body as { error: { message: string } }).error
    expect(await registry.row(id)).toMatchObject({ status: 'provisioning', registration_refusal: message })
  })

  it('keeps what a push agent without an address is refused for, which its beats do not make online', async () => {
    const { id, token } = await registry.workspace({ backend: 'external', initialPhase: 'awaiting_agent' })
    await registry.setStatus(id, 'awaiting_agent')
    const answer = await post('/registry/register', token, { id, agent_card: {}, url: 'http://127.0.0.1:9/' })
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'url_refused' } } })
    expect((await post('/registry/heartbeat', token, { workspace_id: id })).status).toBe(200)
    expect(await registry.row(id)).toMatchObject({
      status: 'awaiting_agent',
      registration_refusal: expect.stringContaining('url cannot be used') as string,
    })
    await post('/registry/register', token, { id, agent_card: {}, delivery_mode: 'poll' })
    expect(await registry.row(id)).toMatchObject({ status: 'online', registration_refusal: null })
  })
})

describe('heartbeat', () => {
  it('becomes a row, brought into range', async () => {
    const { id, token } = await registry.workspace({ url: 'http://127.0.0.1:9' })
    const answer = await post('/registry/heartbeat', token, {
      workspace_id: id.toUpperCase(),
      error_rate: 0.04,
      sample_error: `boom\0${'x'.repeat(2000)}`,
      active_tasks: -3,
      uptime_seconds: 12.9,
      current_task: 'writing tests',
      monthly_spend: 1e300,
      runtime_state: null,
      runtime_metadata: { capabilities: { heartbeat: true }, idle_timeout_seconds: 5 },
      unknown: { field: true },
    })
    expect(answer).toMatchObject({ status: 200, body: { status: 'ok' } })
    const row = await registry.row(id)
    expect(row).toMatchObject({
      status: 'online',
      last_error_rate: 0.04,
      active_tasks: 0,
      uptime_seconds: 12,
      current_task: 'writing tests',
      monthly_spend: '1000000000000',
    })
    expect(row['last_sample_error']).toBe(`boom${'x'.repeat(1019)}…`)
  })

  it('needs no more than the id', async () => {
    const { id, token } = await registry.workspace({ url: 'http://127.0.0.1:9' })
    expect((await post('/registry/heartbeat', token, { workspace_id: id })).status).toBe(200)
    expect(await registry.row(id)).toMatchObject({ status: 'online', active_tasks: 0, last_error_rate: 0 })
  })

  it('degrades a wedged agent, and one that errs unless it judges itself', async () => {
    const { id, token } = await registry.online('')
    const beat = async (more: object) => {
      await post('/registry/heartbeat', token, { workspace_id: id, ...more })
      return (await registry.row(id))['status']
    }
    expect(await beat({ runtime_state: 'wedged' })).toBe('degraded')
    expect(await beat({ error_rate: 0.05 })).toBe('online')
    expect(await beat({ error_rate: 7, runtime_metadata: { capabilities: { status_mgmt: true } } })).toBe('online')
    expect(await beat({ error_rate: 7 })).toBe('degraded')
  })

  it('says each time whether it runs its schedules itself', async () => {
    const { id, token } = await registry.online('')
    for (const scheduler of [true, null, false]) {
      const capabilities = { scheduler }
      await post('/registry/heartbeat', token, { workspace_id: id, runtime_metadata: { capabilities } })
      expect(await registry.row(id)).toMatchObject({ owns_schedules: scheduler === true })
    }
  })

  it.each([
    ['a text for a number', { active_tasks: '3' }],
    ['a list for a text', { current_task: ['x'] }],
    ['no id', { workspace_id: undefined }],
  ])('refuses %s', async (_, part) => {
    const { id, token } = await registry.workspace()
    const answer = await post('/registry/heartbeat', token, { workspace_id: id, ...part })
    expect(answer).toMatchObject({ status: 400, body: refusal('invalid_body') })
    expect(await registry.row(id)).toMatchObject({ status: 'provisioning', last_heartbeat_at: null })
  })
})

describe('who is let in', () => {
  const unauthorized = { error: { code: 'unauthorized', message: 'a valid bearer token is required' } }

  it('is nobody without a live token, and all are told the same', async () => {
    const { id } = await registry.workspace()
    const revoked = await registry.workspace()
    await registry.sql('UPDATE workspace_auth_tokens SET revoked_at = now() WHERE workspace_id = $1', [revoked.id])
    const removed = await registry.workspace()
    await registry.setStatus(removed.id, 'removed')
    const tokens = [
      undefined,
      '',
      'short',
      randomBytes(32).toString('base64url'),
      revoked.token,
      removed.token,
      'x'.repeat(600),
    ]
    const paths = [
      ['POST', '/registry/register'],
      ['POST', '/registry/heartbeat'],
      ['POST', `/workspaces/${id}/a2a`],
      ['GET', `/workspaces/${id}/state`],
      ['POST', `/admin/workspaces/${id}/tokens`],
    ] as const
    for (const token of tokens)
      for (const [method, path] of paths) {
        const answer = await call(
          platform.base,
          method,
          path,
          token,
          method === 'POST' ? { id, workspace_id: id } : undefined,
        )
        expect(answer, `${path} with ${token}`).toMatchObject({ status: 401, body: unauthorized })
      }
  })

  it('is refused before the body is read', async () => {
    const answer = await post('/registry/heartbeat', undefined, 'not json, and nobody looks')
    expect(answer.status).toBe(401)
  })

  it('is no workspace for another, and no admin in place of one', async () => {
    const [a, b] = [await registry.workspace(), await registry.workspace()]
    for (const token of [b.token, adminToken]) {
      expect(await post('/registry/register', token, { id: a.id, agent_card: {} })).toMatchObject({ status: 403 })
      expect(await post('/registry/heartbeat', token, { workspace_id: a.id })).toMatchObject({ status: 403 })
      expect(await get(`/workspaces/${a.id}/state`, token)).toMatchObject({ status: 403, body: refusal('forbidden') })
    }
    expect(await registry.row(a.id)).toMatchObject({ status: 'provisioning', last_heartbeat_at: null })
  })

  it('is the new incarnation only', async () => {
    const { id, token } = await registry.workspace()
    const next = { ...keyOf(id), specHash: 'next', tokenHash: randomBytes(32), tokenPrefix: 'abcdefgh', at: new Date() }
    await registry.store.workspaces.launch(next, registry.fence)
    expect(await post('/registry/heartbeat', token, { workspace_id: id })).toMatchObject({ status: 401 })
  })

  it('is slowed down when it calls without end', async () => {
    const strict = await registry.serve({ serverLimits: { callerRate: { perSecond: 0.01, burst: 20 } } })
    const { id, token } = await registry.workspace()
    const ask = () => call(strict.base, 'GET', `/workspaces/${id}/state`, token)
    const answers = await Promise.all(Array.from({ length: 30 }, ask))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(20)
    const slowed = answers.find(({ status }) => status === 429)
    expect(slowed).toMatchObject({ body: refusal('too_many_requests') })
    expect(Number(slowed?.headers.get('retry-after'))).toBeGreaterThan(0)
    const other = await registry.workspace()
    expect(await call(strict.base, 'GET', `/workspaces/${other.id}/state`, other.token)).toMatchObject({ status: 200 })
    await strict.stop()
  })
})

describe('state', () => {
  it('tells the agent how it stands', async () => {
    const { id, token } = await registry.workspace()
    expect((await get(`/workspaces/${id}/state`, token)).body).toEqual({
      status: 'provisioning',
      paused: false,
      deleted: false,
    })
    await registry.setStatus(id, 'paused')
    expect((await get(`/workspaces/${id}/state`, token)).body).toEqual({
      status: 'paused',
      paused: true,
      deleted: false,
    })
  })
})

describe('tokens', () => {
  it('are minted by an admin, shown once, kept as hashes, and work', async () => {
    const { id } = await registry.workspace({ backend: 'external', initialPhase: 'awaiting_agent' })
    const answer = await post(`/admin/workspaces/${id}/tokens`, adminToken, {})
    expect(answer.status).toBe(201)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const { auth_token: token } = answer.body as { auth_token: string }
    expect(token).toMatch(/^[\w-]{43}$/)
    const kept = await registry.sql('SELECT * FROM workspace_auth_tokens WHERE workspace_id = $1', [id])
    expect(JSON.stringify(kept)).not.toContain(token)
    expect((await post('/registry/heartbeat', token, { workspace_id: id })).status).toBe(200)
  })

  it('are for workspaces that live, fifty at most', async () => {
    expect(await post(`/admin/workspaces/${randomUUID()}/tokens`, adminToken, {})).toMatchObject({ status: 404 })
    const { id, token } = await registry.workspace()
    expect(await post(`/admin/workspaces/${id}/tokens`, token, {})).toMatchObject({ status: 403 })
    for (let i = 1; i < 50; i++) await registry.store.agents.mintToken(id, randomBytes(32), 'prefix12')
    expect(await post(`/admin/workspaces/${id}/tokens`, adminToken, {})).toMatchObject({ status: 429 })
    await registry.setStatus(id, 'removed')
    expect(await post(`/admin/workspaces/${id}/tokens`, adminToken, {})).toMatchObject({ status: 404 })
  })

  it('make nobody an admin where no admin token is set', async () => {
    const closed = await registry.serve({ adminToken: undefined })
    const { id } = await registry.workspace()
    expect(await call(closed.base, 'POST', `/admin/workspaces/${id}/tokens`, adminToken, {})).toMatchObject({
      status: 401,
    })
    expect(await call(closed.base, 'POST', `/admin/workspaces/${id}/tokens`, 'undefined', {})).toMatchObject({
      status: 401,
    })
    await closed.stop()
  })
})

describe('the rest', () => {
  it('is no 200 for what was not done: the workspace is removed in the middle of the call', async () => {
    const { agents } = registry.store
    const afterRemoval = async <Answer>(id: WorkspaceId, write: () => Promise<Answer>): Promise<Answer> => {
      await registry.setStatus(id, 'removed')
      return await write()
    }
    const late = await registry.serve({
      agents: {
        ...agents,
        register: (said) => afterRemoval(said.id, () => agents.register(said)),
        heartbeat: (said) => afterRemoval(said.id, () => agents.heartbeat(said)),
      },
    })
    const tell = async (path: string) => {
      const { id, token } = await registry.workspace()
      return await call(late.base, 'POST', path, token, { id, workspace_id: id, agent_card: {} })
    }
    expect(await tell('/registry/register')).toMatchObject({ status: 410, body: refusal('workspace_removed') })
    expect(await tell('/registry/heartbeat')).toMatchObject({ status: 401, body: refusal('unauthorized') })
    await late.stop()
  })

  it('answers /health to everyone, and 404 in the one shape to all else', async () => {
    expect(await get('/health')).toMatchObject({ status: 200, body: { status: 'ok' } })
    expect(await get('/nothing')).toMatchObject({ status: 404, body: refusal('not_found') })
    const { id, token } = await registry.workspace()
    expect(await get(`/workspaces/${id.slice(1)}/state`, token)).toMatchObject({ status: 404 })
  })

  it('counts by the template of the route', async () => {
    const routes = '/registry/register /registry/heartbeat /workspaces/:id/state /workspaces/:id/a2a /health'
    const expected = new Set([...routes.split(' '), '/admin/workspaces/:id/tokens', 'unmatched'])
    // The count is made once the answer is out, which its caller may know of before.
    await until(async () => {
      const counted = (await registry.metrics.httpRequests.get()).values.map(({ labels }) => labels.path)
      expect(new Set(counted)).toEqual(expected)
      return true
    })
  })
})
