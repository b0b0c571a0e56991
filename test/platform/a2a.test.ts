/** One message to an agent and its answer back, or a reason that says what to do. */
import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { phases } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { adminToken, call, keyOf, openRegistry, raw, refusal, startAgent } from './registry.ts'

interface Heard {
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
}
const heard: Heard[] = []
const mebi = 1024 * 1024

/** What the agent does is asked for by the message's method. */
const agent = await startAgent((request, response) => {
  let sent = ''
  request.setEncoding('utf8').on('data', (chunk: string) => (sent += chunk))
  request.on('end', () => {
    const body = JSON.parse(sent) as { method: string; id: unknown }
    heard.push({ headers: request.headers, body })
    behave(body.method, body.id, response)
  })
})
let leftAlone = 0

function behave(method: string, id: unknown, response: ServerResponse): void {
  const json = (status: number, body: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body))
  const [verb, detail] = method.split('/')
  switch (verb) {
    case 'answer':
      return void json(Number(detail), { jsonrpc: '2.0', id, result: 'hello' })
    case 'redirect':
      return void response.writeHead(307, { location: 'http://169.254.169.254/' }).end()
    case 'html':
      return void response.writeHead(200, { 'content-type': 'text/html' }).end('<script>alert(1)</script>')
    case 'stream': {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
      return void setTimeout(() => response.end('data: 2\n\n'), 20)
    }
    case 'huge':
      return void response.writeHead(200, { 'content-length': 11 * mebi }).end(Buffer.alloc(11 * mebi))
    case 'endless':
      response.writeHead(200)
      return flood(response)
    case 'large':
      return void response.writeHead(200).end(Buffer.alloc(9 * mebi))
    case 'hang':
      return void response.on('close', () => leftAlone++)
    default:
      return void response.destroy()
  }
}

function flood(response: ServerResponse): void {
  while (!response.destroyed && response.write(Buffer.alloc(mebi)));
  if (!response.destroyed) response.once('drain', () => flood(response))
}

const registry = await openRegistry(await database())
const platform = await registry.serve()
const impatient = await registry.serve({ forwardLimits: { head: milliseconds(200) } })
const open = await registry.serve({ openNetworks: ['127.0.0.0/8'] })
afterAll(async () => {
  await Promise.all([platform, impatient, open].map(({ stop }) => stop()))
  agent.stop()
  await registry.close()
})

const ask = (token: string, id: string, body: unknown, base = platform.base) =>
  call(base, 'POST', `/workspaces/${id}/a2a`, token, body)
const activity = (id: string) =>
  registry.sql(
    'SELECT source_id, target_id, method, status, error_detail, request_body FROM activity_logs WHERE workspace_id = $1',
    [id],
  )

describe('a message', () => {
  it('reaches the agent in full form and its answer comes back', async () => {
    const [from, to] = [await registry.online(agent.url), await registry.online(agent.url)]
    const answer = await ask(from.token, to.id, { method: 'answer/200', params: { text: 'hi' } })
    const { body, headers } = heard.at(-1) ?? {}
    expect(body).toEqual({ jsonrpc: '2.0', id: expect.any(String), method: 'answer/200', params: { text: 'hi' } })
    expect(headers).toMatchObject({ 'x-workspace-id': from.id, 'content-type': 'application/json' })
    expect(answer).toMatchObject({ status: 200, body: { jsonrpc: '2.0', result: 'hello' } })
    expect(answer.headers.get('content-type')).toBe('application/json')
    const logged = {
      source_id: from.id,
      target_id: to.id,
      method: 'answer/200',
      status: 'ok',
      error_detail: null,
      request_body: null,
    }
    await until(async () => (await activity(to.id)).length > 0)
    expect(await activity(to.id)).toEqual([logged])
    expect(await registry.row(from.id)).toMatchObject({ last_outbound_at: expect.any(Date) })
  })

  it("never carries the caller's credentials on", async () => {
    const [from, to] = [await registry.online(agent.url), await registry.online(agent.url)]
    await ask(from.token, to.id, { method: 'answer/200' })
    await ask(adminToken, to.id, { method: 'answer/200' })
    expect(heard.length).toBeGreaterThan(1)
    expect(JSON.stringify(heard)).not.toContain(from.token)
    expect(JSON.stringify(heard)).not.toContain(adminToken)
    expect(heard.at(-1)?.headers).not.toHaveProperty('x-workspace-id')
  })

  it('comes back with the code of the agent, piece by piece when it streams, and never as a page', async () => {
    const to = await registry.online(agent.url)
    expect(await ask(adminToken, to.id, { method: 'answer/400' })).toMatchObject({
      status: 400,
      body: { result: 'hello' },
    })
    const streamed = await ask(adminToken, to.id, { method: 'stream' })
    expect(streamed).toMatchObject({ status: 200, text: 'data: 1\n\ndata: 2\n\n' })
    expect(streamed.headers.get('content-type')).toBe('text/event-stream')
    const page = await ask(adminToken, to.id, { method: 'html' })
    expect(page.headers.get('content-type')).toBe('application/octet-stream')
    expect(page.headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('waits in a row for an agent that polls', async () => {
    const from = await registry.workspace()
    const to = await registry.workspace({ deliveryMode: 'poll', backend: 'external', initialPhase: 'awaiting_agent' })
    const body = { jsonrpc: '2.0', id: 1, method: 'message/send', params: { text: 'later' } }
    const answer = await ask(from.token, to.id, body)
    expect(answer).toMatchObject({
      status: 200,
      body: { status: 'queued', delivery_mode: 'poll', method: 'message/send' },
    })
    expect(await activity(to.id)).toMatchObject([{ source_id: from.id, status: 'queued', request_body: body }])
  })
})

describe('who may talk', () => {
  it('is the family: self, siblings, up and down', async () => {
    const root = await registry.online(agent.url)
    const child = await registry.online(agent.url, { parentOwnerUid: root.id })
    const grandchild = await registry.online(agent.url, { parentOwnerUid: child.id })
    const nephew = await registry.online(agent.url, { parentOwnerUid: root.id })
    const other = await registry.online(agent.url)
    const may = async (from: typeof root, to: typeof root) =>
      (await ask(from.token, to.id, { method: 'answer/200' })).status
    expect(await may(root, root)).toBe(200)
    expect(await may(root, grandchild)).toBe(200)
    expect(await may(grandchild, root)).toBe(200)
    expect(await may(child, nephew)).toBe(200)
    expect(await may(root, other)).toBe(200)
    expect(await may(grandchild, nephew)).toBe(403)
    expect(await may(other, child)).toBe(403)
  })

  it('says nothing about workspaces that are not there, but to an admin', async () => {
    const { token } = await registry.online(agent.url)
    expect(await ask(token, randomUUID(), { method: 'm' })).toMatchObject({ status: 403, body: refusal('forbidden') })
    expect(await ask(adminToken, randomUUID(), { method: 'm' })).toMatchObject({ status: 404 })
    expect(await ask(adminToken, 'nobody', { method: 'm' })).toMatchObject({ status: 404 })
  })
})

describe('no answer', () => {
  it.each([
    [[], 'invalid_body'],
    [{}, 'invalid_body'],
    [{ method: 'm', jsonrpc: '1.0' }, 'invalid_body'],
    ['{"method":', 'invalid_json'],
  ])('to %j', async (body, code) => {
    const to = await registry.online(agent.url)
    expect(await ask(adminToken, to.id, body)).toMatchObject({ status: 400, body: refusal(code) })
  })

  it.each(phases.filter((phase) => phase !== 'online' && phase !== 'degraded' && phase !== 'removed'))(
    'from a workspace that is %s, and when to come again',
    async (phase) => {
      const to = await registry.online(agent.url)
      await registry.setStatus(to.id, phase)
      const answer = await ask(adminToken, to.id, { method: 'answer/200' })
      expect(answer).toMatchObject({ status: 503, body: refusal(`workspace_${phase}`) })
      const soon = ['provisioning', 'offline', 'hibernating', 'hibernated'].includes(phase)
      expect(answer.headers.get('retry-after')).toBe(soon ? '15' : '60')
      const sleeps = phase === 'hibernating' || phase === 'hibernated'
      expect(answer.body).toEqual({ ...refusal(`workspace_${phase}`), ...(sleeps && { waking: true }) })
      expect((await registry.row(to.id))['wake_requested_at'] !== null).toBe(sleeps)
    },
  )

  it('from one that is paused, with the reason', async () => {
    const to = await registry.online(agent.url)
    const change = { ...keyOf(to.id), from: ['online'] as const, to: 'paused' as const, event: 'WORKSPACE_PAUSED' }
    await registry.store.workspaces.change({ ...change, reason: 'AncestorPaused' }, registry.fence)
    const message = 'the workspace is paused (AncestorPaused)'
    expect(await ask(adminToken, to.id, { method: 'm' })).toMatchObject({
      status: 503,
      body: { error: { code: 'workspace_paused', message } },
    })
  })

  it('and how long a woken one lets its caller wait is measured, once', async () => {
    const to = await registry.online(agent.url)
    const measured = async () =>
      (await registry.metrics.wakeSeconds.get()).values.find(({ metricName }) => metricName?.endsWith('_count'))?.value
    const before = (await measured()) ?? 0
    await registry.setStatus(to.id, 'hibernated')
    expect((await ask(adminToken, to.id, { method: 'answer/200' })).status).toBe(503)
    await registry.setStatus(to.id, 'provisioning')
    expect((await ask(adminToken, to.id, { method: 'answer/200' })).status).toBe(503)
    await registry.setStatus(to.id, 'online')
    for (let i = 0; i < 2; i++) expect((await ask(adminToken, to.id, { method: 'answer/200' })).status).toBe(200)
    expect(await measured()).toBe(before + 1)
  })

  it('and no wake for what is no request, or from a stranger', async () => {
    const [to, stranger] = [await registry.online(agent.url), await registry.online(agent.url)]
    const child = await registry.online(agent.url, { parentOwnerUid: stranger.id })
    await registry.setStatus(to.id, 'hibernated')
    expect((await ask(adminToken, to.id, { method: 7 })).status).toBe(400)
    expect((await ask(child.token, to.id, { method: 'm' })).status).toBe(403)
    expect(await registry.row(to.id)).toMatchObject({ wake_requested_at: null })
  })

  it('from one that was removed', async () => {
    const to = await registry.online(agent.url)
    await registry.setStatus(to.id, 'removed')
    expect(await ask(adminToken, to.id, { method: 'answer/200' })).toMatchObject({ status: 404 })
  })

  it.each([
    ['redirect', 502, 'agent_redirected', null],
    ['answer/401', 502, 'agent_refused', null],
    ['answer/403', 502, 'agent_refused', null],
    ['answer/502', 503, 'agent_unavailable', '15'],
    ['answer/503', 503, 'agent_unavailable', '15'],
    ['huge', 502, 'agent_answer_too_large', null],
    ['hang', 504, 'agent_timeout', null],
    ['break', 503, 'agent_unreachable', '15'],
  ])('when the agent says %s', async (method, status, code, retryAfter) => {
    const to = await registry.online(agent.url)
    const answer = await ask(adminToken, to.id, { method }, (method === 'hang' ? impatient : platform).base)
    expect(answer).toMatchObject({ status, body: refusal(code) })
    expect(answer.headers.get('retry-after')).toBe(retryAfter)
    await until(async () =>
      (await activity(to.id)).some((row) => row['status'] === 'error' && row['error_detail'] === code),
    )
  })

  it('from where nobody listens', async () => {
    const gone = await startAgent(() => {})
    gone.stop()
    for (const url of [gone.url, '', 'not a url']) {
      const to = await registry.online(url)
      const answer = await ask(adminToken, to.id, { method: 'm' })
      expect(answer).toMatchObject({ status: 503, body: refusal('agent_unreachable') })
    }
  })

  it('of more than 10 MiB, though 9 pass', async () => {
    const to = await registry.online(agent.url)
    expect((await ask(adminToken, to.id, { method: 'large' })).text.length).toBe(9 * mebi)
    await expect(ask(adminToken, to.id, { method: 'endless' })).rejects.toThrow()
  })

  it('to more than 1 MiB, though nearly as much passes', async () => {
    const to = await registry.online(agent.url)
    const body = { method: 'answer/200', params: { text: 'x'.repeat(mebi - 1000) } }
    expect((await ask(adminToken, to.id, body)).status).toBe(200)
    // By its length alone: who is refused before he has sent it all may find the connection reset, not the answer.
    const head = `POST /workspaces/${to.id}/a2a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${adminToken}\r\n`
    const length = `content-type: application/json\r\ncontent-length: ${mebi + 1}\r\n\r\n`
    expect(await raw(head + length, platform.port)).toMatch(/^HTTP\/1.1 413 .*"body_too_large"/s)
  })
})

it('never goes where no backend of this machine publishes an agent, whatever the row says', async () => {
  const method = 'answer/200/elsewhere'
  for (const host of ['localhost', '0.0.0.0', '[::ffff:127.0.0.1]', '169.254.169.254']) {
    const to = await registry.online(`http://${host}:${agent.port}/`)
    expect(await ask(adminToken, to.id, { method })).toMatchObject({ status: 502, body: refusal('agent_url_refused') })
  }
  expect(heard.filter(({ body }) => (body as { method: string }).method === method)).toEqual([])
})

describe('an external agent', () => {
  const external = async (url: string) => registry.online(url, { backend: 'external', initialPhase: 'awaiting_agent' })

  it('is reached at the address it registered, where that is open', async () => {
    const to = await external(agent.url)
    expect((await ask(adminToken, to.id, { method: 'answer/200' }, open.base)).status).toBe(200)
  })

  it('is not followed to a forbidden address, whatever the row says', async () => {
    const method = 'answer/200/nobody'
    const resolving = await registry.serve({ resolve: async () => [{ address: '127.0.0.1', family: 4 }] })
    for (const url of [agent.url, `http://localhost:${agent.port}/`, `http://rebound.test:${agent.port}/`]) {
      const to = await external(url)
      for (const { base } of [platform, resolving]) {
        const answer = await ask(adminToken, to.id, { method }, base)
        // The system's own name service knows no such name, which may change.
        const unknown = base === platform.base && url.includes('rebound.test')
        expect(answer).toMatchObject(
          unknown
            ? { status: 503, body: refusal('agent_unreachable') }
            : { status: 502, body: refusal('agent_url_refused') },
        )
      }
    }
    expect(heard.filter(({ body }) => (body as { method: string }).method === method)).toEqual([])
    await resolving.stop()
  })
})

it('is traffic while it lasts, and stops working for a caller who has left', async () => {
  const slow = await registry.serve({ serverLimits: { traffic: milliseconds(20) } })
  const to = await registry.online(agent.url)
  const before = heard.length
  const traffic = async () => (await registry.row(to.id))['last_traffic_at'] as Date | null
  const socket = connect(slow.port, '127.0.0.1')
  const body = JSON.stringify({ method: 'hang' })
  socket.write(
    `POST /workspaces/${to.id}/a2a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${adminToken}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  )
  await until(() => heard.length > before, { what: 'the agent to be asked' })
  // An answer that takes long keeps the agent awake for as long.
  const first = await until(traffic)
  await until(async () => (await until(traffic)) > first)
  const left = leftAlone
  socket.destroy()
  await until(() => leftAlone > left, { what: 'the agent to be left' })
  await until(async () => {
    const before = await traffic()
    // Longer than a mark is left as it is.
    await wait(1500)
    return (await traffic())?.getTime() === before?.getTime()
  })
  await slow.stop()
})

it('is not sent for a caller that went before the agent was looked up', async () => {
  const to = await registry.online(agent.url)
  const before = heard.length
  await registry.sql('BEGIN')
  await registry.sql('SELECT id FROM workspaces WHERE id = $1 FOR UPDATE', [to.id])
  const socket = connect(platform.port, '127.0.0.1')
  const body = JSON.stringify({ method: 'hang' })
  socket.write(
    `POST /workspaces/${to.id}/a2a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${adminToken}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  )
  await until(
    async () =>
      (
        await registry.sql(
          "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
      ).length > 0,
    { what: 'the look-up to wait' },
  )
  const closed = new Promise((resolve) => void socket.once('close', resolve))
  socket.resume().end()
  await closed
  await registry.sql('COMMIT')
  await until(async () => (await activity(to.id)).length > 0)
  expect(await activity(to.id)).toMatchObject([{ status: 'error' }])
  expect(heard.length).toBe(before)
})
