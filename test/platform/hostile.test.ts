/** Callers that mean harm or are broken, and a database that goes away: refused in time, in one shape, nothing told. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { milliseconds, seconds } from '../../src/duration.ts'
import { migrate } from '../../src/store/postgres/migrate.ts'
import { database, ownPostgres } from '../support/database.ts'
import { until } from '../support/until.ts'
import { adminToken, call, hashOf, openRegistry, raw, refusal, startAgent } from './registry.ts'

const registry = await openRegistry(await database())
const platform = await registry.serve()
/** For callers that take too long alone: on a slow machine everybody does. */
const impatient = await registry.serve({
  serverLimits: { headers: milliseconds(300), request: milliseconds(600), sweep: milliseconds(50) },
})
afterAll(async () => {
  await Promise.all([platform.stop(), impatient.stop()])
  await registry.close()
})

const sent = (bytes: string, { port } = platform) => raw(bytes, port)
const head = (token: string, more: string) =>
  `POST /registry/heartbeat HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n${more}`

describe('a request that does not come to an end', () => {
  it('is cut in its headers', async () => {
    expect(await sent('POST /registry/heartbeat HTTP/1.1\r\nhost: x\r\nx-slow: ', impatient)).toMatch(
      /^HTTP\/1.1 408 .*"request_timeout"/s,
    )
  })
  it('is cut in its body', async () => {
    const { token } = await registry.workspace()
    expect(await sent(head(token, 'content-length: 500\r\n\r\n{"workspace_id"'), impatient)).toMatch(
      /^HTTP\/1.1 408 .*"request_timeout"/s,
    )
  })
  it('is counted', async () => {
    const { values } = await registry.metrics.httpRequests.get()
    expect(values.find(({ labels }) => labels.status === 408)?.value).toBeGreaterThan(0)
  })
})

describe('a request that is too large or no request', () => {
  it('is refused by its length before it is read', async () => {
    const { token } = await registry.workspace()
    const answer = await sent(head(token, 'content-length: 70000\r\n\r\n'))
    expect(answer).toMatch(/^HTTP\/1.1 413 .*"body_too_large"/s)
  })
  it('is refused when it grew too large without a length', async () => {
    const { token } = await registry.workspace()
    const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`
    const answer = await sent(head(token, `transfer-encoding: chunked\r\n\r\n${chunk.repeat(5)}0\r\n\r\n`))
    expect(answer).toMatch(/^HTTP\/1.1 413 .*"body_too_large"/s)
  })
  it('is refused for its headers', async () => {
    expect(await sent(head('x'.repeat(9000), '\r\n'))).toMatch(/^HTTP\/1.1 431 .*"headers_too_large"/s)
  })
  it('is refused as garbage', async () => {
    expect(await sent('hello there\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*"bad_request"/s)
  })
  it('is refused as another kind of body', async () => {
    const { token } = await registry.workspace()
    const posted = (type: string, body: string) =>
      sent(
        head(token, `connection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`).replace(
          'application/json',
          type,
        ),
      )
    expect(await posted('text/html', '<p>')).toMatch(/^HTTP\/1.1 415 .*"unsupported_media_type"/s)
    expect(await posted('application/json', '{"a":')).toMatch(/^HTTP\/1.1 400 .*"invalid_json"/s)
    expect(await posted('application/json', '')).toMatch(/^HTTP\/1.1 400 .*"invalid_json"/s)
    expect(await posted('application/json', '{"__proto__":{"admin":true}}')).toMatch(/^HTTP\/1.1 400 /s)
  })
})

it('takes from one address a quarter of the connections that it was given, and others get through', async () => {
  // Those that are taken stay, since nothing is overdue for long; those beyond are closed at once.
  const narrow = await registry.serve({
    serverLimits: { connections: 40, headers: seconds(120), request: seconds(120) },
  })
  const sockets = Array.from({ length: 60 }, () => connect(narrow.port, '127.0.0.1').resume())
  let refused = 0
  for (const socket of sockets) socket.on('error', () => {}).on('close', () => refused++)
  await until(() => refused >= 50)
  expect(refused).toBe(50)
  const other = connect({ port: narrow.port, host: '127.0.0.1', localAddress: '127.0.0.2' })
  other.write('GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  expect(String(await once(other, 'data'))).toMatch(/^HTTP\/1.1 200 /)
  for (const socket of sockets) socket.destroy()
  await until(async () => (await call(narrow.base, 'GET', '/health')).status === 200)
  await narrow.stop()
})

it('slows down an address that only guesses, without asking the database', async () => {
  const guessed = await registry.serve({ serverLimits: { unknownRate: { perSecond: 0.01, burst: 20 } } })
  const guess = () => call(guessed.base, 'GET', '/workspaces/x/state', randomBytes(32).toString('base64url'))
  const asked = async () =>
    (await registry.metrics.sqlRows.get()).values.find(({ labels }) => labels.name === 'authenticate')?.value ?? 0
  const before = await asked()
  for (let i = 0; i < 20; i++) expect((await guess()).status).toBe(401)
  for (let i = 0; i < 5; i++) expect(await guess()).toMatchObject({ status: 429, body: refusal('too_many_requests') })
  expect((await asked()) - before).toBe(20)
  await guessed.stop()
})

it('never tells a secret, in an answer or in the log', async () => {
  const { id, token } = await registry.workspace()
  const planted = `planted-${randomBytes(16).toString('hex')}`
  const agent = await startAgent((_, response) => void response.writeHead(500, { 'x-key': planted }).destroy())
  const other = await registry.online(agent.url)
  const shown: string[] = []
  const say = async (path: string, bearer: string, body: unknown) => {
    const { text, headers } = await call(platform.base, 'POST', path, bearer, body)
    shown.push(text, JSON.stringify([...headers]))
  }
  const half = token.slice(0, 20)
  await say('/registry/register', token, { id, agent_card: planted })
  await say('/registry/register', token, { id, agent_card: {}, delivery_mode: planted, url: planted })
  await say('/registry/register', planted, { id })
  await say('/registry/heartbeat', token, { workspace_id: planted })
  await say('/registry/heartbeat', token, `{"${planted}":`)
  await say('/registry/heartbeat', `${half}${planted}`, { workspace_id: id })
  await say('/registry/heartbeat', token, { workspace_id: id, sample_error: planted, current_task: 7 })
  await say(`/workspaces/${other.id}/a2a`, token, { method: 'm', params: { key: planted } })
  await say(`/workspaces/${other.id}/a2a`, adminToken, { method: planted, id: {} })
  agent.stop()
  const external = await registry.workspace({ backend: 'external', initialPhase: 'awaiting_agent' })
  const url = `http://user:${planted}@127.0.0.1/`
  await say('/registry/register', external.token, { id: external.id, agent_card: {}, url })
  expect(shown.length).toBe(20)
  const seen = [...shown, ...registry.lines].join('\n')
  for (const secret of [planted, token, half, adminToken, hashOf(token).toString('hex')])
    expect(seen).not.toContain(secret)
})

describe('without its database', () => {
  let own: Awaited<ReturnType<typeof ownPostgres>>
  beforeAll(async () => {
    own = await ownPostgres()
    await migrate(own.url)
  })
  afterAll(() => own.stop())

  it(
    'asks agents to come again, tells nothing of the inside, logs it once, and is well afterwards',
    { timeout: 120_000 },
    async () => {
      const broken = await openRegistry(own.url)
      const served = await broken.serve()
      const { id, token } = await broken.workspace()
      const beat = () => call(served.base, 'POST', '/registry/heartbeat', token, { workspace_id: id })
      expect((await beat()).status).toBe(200)
      await own.server?.stop()
      const began = performance.now()
      const answers = await Promise.all(Array.from({ length: 20 }, beat))
      for (const answer of answers) {
        expect(answer).toMatchObject({ status: 503, body: refusal('store_unavailable') })
        expect(answer.headers.get('retry-after')).toBe('5')
        expect(answer.text).not.toMatch(/postgres|5432|ECONN|127\.0\.0\.1/i)
      }
      expect((await call(served.base, 'GET', '/health')).status).toBe(200)
      // Once in ten seconds, and the last of them may have come later than that.
      const logged = broken.lines.filter((line) => line.includes('request failed'))
      expect(logged).not.toEqual([])
      expect(logged.length).toBeLessThanOrEqual(1 + (performance.now() - began) / 10_000)
      await own.server?.start()
      await until(async () => (await beat()).status === 200, { within: 45_000 })
      await served.stop()
      await broken.close()
    },
  )
})

it('ends what is under way, then itself, when it is stopped', async () => {
  const asked = Promise.withResolvers<void>()
  const agent = await startAgent((_, response) => {
    asked.resolve()
    setTimeout(() => response.writeHead(200, { 'content-type': 'application/json' }).end('{"late":true}'), 100)
  })
  const stopping = await registry.serve()
  const to = await registry.online(agent.url)
  const answer = call(stopping.base, 'POST', `/workspaces/${to.id}/a2a`, adminToken, { method: 'm' })
  await asked.promise
  await stopping.stop()
  expect(await answer).toMatchObject({ status: 200, body: { late: true } })
  await expect(call(stopping.base, 'GET', '/health')).rejects.toThrow()
  agent.stop()
})
