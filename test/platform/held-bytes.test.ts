/** Bodies and answers in memory: a share for each caller, and none that others pay for. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, expect, it, onTestFinished } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { heldLimits } from '../../src/platform/held-bytes.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { call, openRegistry, refusal } from './registry.ts'

const url = await database()
const registry = await openRegistry(url)
afterAll(() => registry.close())

const mebi = 1024 * 1024
const outside = { backend: 'external', deliveryMode: 'poll', initialPhase: 'awaiting_agent' } as const
const beat = (base: string, { id, token }: { id: string; token: string }) =>
  call(base, 'POST', '/registry/heartbeat', token, { workspace_id: id })
const headOf = (path: string, token: string, more: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n${more}\r\n\r\n`
const held = async (kind: string) =>
  (await registry.metrics.heldBytes.get()).values.find(({ labels }) => labels.kind === kind)?.value

/** Begins a message whose body never comes. */
function begin(port: number, path: string, token: string, more: string): Socket {
  const first = more.startsWith('transfer-encoding') ? '1\r\n{\r\n' : '{'
  const socket = connect(port, '127.0.0.1', () => void socket.write(headOf(path, token, more) + first))
  socket.on('error', () => {}).resume()
  onTestFinished(() => void socket.destroy())
  return socket
}

it('a caller has two mebibytes of messages under way; its beats and all others go on', async () => {
  const platform = await registry.serve()
  const [loud, quiet] = [await registry.workspace(outside), await registry.workspace(outside)]
  const path = `/workspaces/${loud.id}/a2a`
  const sockets = Array.from({ length: 2 }, (_, n) =>
    begin(platform.port, path, loud.token, n === 0 ? 'transfer-encoding: chunked' : `content-length: ${mebi}`),
  )
  await until(async () => (await held('message')) === 2 * mebi)
  // Refused by its length, before any of the body is there.
  const refused = begin(platform.port, path, loud.token, `content-length: ${mebi}`)
  const [answer] = (await once(refused.setEncoding('utf8'), 'data')) as [string]
  expect(answer).toMatch(/^HTTP\/1.1 503 .*retry-after: 1\r\n.*"busy".*of this caller/s)
  expect(await beat(platform.base, loud)).toMatchObject({ status: 200 })
  expect(await beat(platform.base, quiet)).toMatchObject({ status: 200 })
  const other = await call(platform.base, 'POST', `/workspaces/${quiet.id}/a2a`, quiet.token, { method: 'm' })
  expect(other).toMatchObject({ status: 200 })
  for (const socket of [...sockets, refused]) socket.destroy()
  await until(async () => (await held('message')) === 0)
  expect(await call(platform.base, 'POST', path, loud.token, { method: 'm' })).toMatchObject({ status: 200 })
  await platform.stop()
})

it('a body that comes slowly holds its share until it is cut', async () => {
  const limits = { headers: milliseconds(300), request: milliseconds(600), sweep: milliseconds(50) }
  const impatient = await registry.serve({ serverLimits: limits })
  const { id, token } = await registry.workspace(outside)
  begin(impatient.port, `/workspaces/${id}/a2a`, token, `content-length: ${mebi}`)
  await until(async () => (await held('message')) === mebi)
  await until(async () => (await held('message')) === 0)
  await impatient.stop()
})

it('a caller that goes while it is looked up holds nothing', async () => {
  const { agents } = registry.store
  const lookedUp = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<void>()
  const authenticate: typeof agents.authenticate = async (hash) => {
    lookedUp.resolve()
    await gone.promise
    return agents.authenticate(hash)
  }
  const handled = Promise.withResolvers<void>()
  const mayTalk: typeof agents.mayTalk = async (...pair) => {
    setImmediate(handled.resolve)
    return agents.mayTalk(...pair)
  }
  const platform = await registry.serve({ agents: { ...agents, authenticate, mayTalk } })
  const { id, token } = await registry.workspace(outside)
  const socket = begin(platform.port, `/workspaces/${id}/a2a`, token, `content-length: ${mebi}`)
  await lookedUp.promise
  socket.end()
  await once(socket, 'close')
  gone.resolve()
  await handled.promise
  // Another body of the same caller has come and gone after it.
  expect(await call(platform.base, 'POST', `/workspaces/${id}/a2a`, token, { method: 'm' })).toMatchObject({
    status: 200,
  })
  await until(async () => (await held('message')) === 0)
  await platform.stop()
})

it('an answer of an inbox takes its share before it is made, and gives it back', async () => {
  const { id, token } = await registry.workspace(outside)
  const path = `/workspaces/${id}/messages/take`
  const body = { jsonrpc: '2.0', id: 1, method: 'm' }
  const answer = { ...heldLimits.answer, caller: JSON.stringify(body).length - 1 }
  for (const [limits, expected] of [
    [heldLimits, { status: 200 }],
    [
      { ...heldLimits, answer },
      { status: 503, body: refusal('busy') },
    ],
  ] as const) {
    const platform = await registry.serve({ serverLimits: { held: limits } })
    expect(await call(platform.base, 'POST', `/workspaces/${id}/a2a`, token, body)).toMatchObject({ status: 200 })
    expect(await call(platform.base, 'POST', path, token, {})).toMatchObject(expected)
    await until(async () => (await held('answer')) === 0)
    await platform.stop()
  }
})

it('sixty agents of one namespace look into their empty inboxes at once', async () => {
  const platform = await registry.serve()
  const agents = await Promise.all(Array.from({ length: 60 }, () => registry.workspace(outside)))
  const looks = agents.map(({ id, token }) => call(platform.base, 'POST', `/workspaces/${id}/messages/take`, token, {}))
  expect((await Promise.all(looks)).map(({ status }) => status)).toEqual(agents.map(() => 200))
  await platform.stop()
})

it('an agent, and a namespace, sends so many bytes of messages a second, and is then told to wait', async () => {
  // Nothing comes back while the test runs, however slow the machine.
  const byteRates = { caller: { perSecond: 1, burst: 4 * mebi }, namespace: { perSecond: 1, burst: 8 * mebi } }
  const platform = await registry.serve({ serverLimits: { byteRates } })
  const crowd = 'bytes-of-a-crowd'
  const text = 'x'.repeat(mebi - 200)
  const send = ({ id, token }: { id: string; token: string }) =>
    call(platform.base, 'POST', `/workspaces/${id}/a2a`, token, { method: 'm', params: { text } })
  const small = ({ id, token }: { id: string; token: string }) =>
    call(platform.base, 'POST', `/workspaces/${id}/a2a`, token, { method: 'm' })
  const agents = await Promise.all(
    Array.from({ length: 4 }, () => registry.workspace({ ...outside, namespace: crowd })),
  )
  const refusals: unknown[] = []
  for (const agent of agents)
    for (let n = 0; n < 6; n++) {
      const answer = await send(agent)
      if (answer.status !== 200) refusals.push([answer.status, answer.body])
    }
  const whose = (word: string) => [
    429,
    refusal('too_many_bytes', `too many bytes of messages a second of this ${word}`),
  ]
  expect(refusals).toContainEqual(whose('caller'))
  expect(refusals).toContainEqual(whose('namespace'))
  const quiet = await registry.workspace(outside)
  expect((await send(quiet)).status).toBe(200)
  expect((await small(quiet)).status).toBe(200)
  await platform.stop()
})

it('small messages in chunks are paced by their length', async () => {
  const platform = await registry.serve()
  const { id, token } = await registry.workspace(outside)
  for (let n = 0; n < 12; n++) {
    const response = await fetch(`${platform.base}/workspaces/${id}/a2a`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: new Blob(['{"method":"m"}']).stream(),
      duplex: 'half',
    })
    expect(response.status).toBe(200)
    await response.body?.cancel()
  }
  await platform.stop()
})

it('200 messages of a mebibyte at once from one agent cost little memory, and another is answered', async () => {
  const child = fork(join(import.meta.dirname, 'platform-process.ts'))
  onTestFinished(() => void child.kill())
  const ready = once(child, 'message')
  child.send(url)
  const [port] = (await ready) as [number]
  const base = `http://127.0.0.1:${String(port)}`
  const peak = async () => {
    const said = once(child, 'message')
    child.send('peak')
    return ((await said) as [number])[0]
  }
  const [loud, quiet] = [await registry.workspace(outside), await registry.workspace(outside)]
  for (const member of [loud, quiet]) expect((await beat(base, member)).status).toBe(200)
  const before = await peak()
  // Each backslash is two in JSON, and four in a statement.
  const heavy = `{"method":"m","params":{"t":"${'\\\\'.repeat(mebi / 2 - 30)}"}}`
  const messages = Array.from({ length: 200 }, () =>
    call(base, 'POST', `/workspaces/${loud.id}/a2a`, loud.token, heavy).then(
      ({ status }) => status,
      () => 0,
    ),
  )
  expect((await beat(base, quiet)).status).toBe(200)
  const statuses = await Promise.all(messages)
  expect(statuses).toContain(200)
  // Too many under way, or too many a second: which of the two says so first is a matter of timing.
  expect(statuses.some((status) => status === 503 || status === 429)).toBe(true)
  expect(((await peak()) - before) / mebi).toBeLessThan(300)
})
