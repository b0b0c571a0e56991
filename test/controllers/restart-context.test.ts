/** An agent that is back from a restart is told of it, once, whichever way its messages take; and of nothing else. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { openScene, restartAt, stays } from '../incidents/scene.ts'
import { until } from '../support/until.ts'

const message = z.object({
  id: z.string(),
  params: z.object({
    message: z.object({
      messageId: z.string(),
      parts: z.tuple([z.object({ text: z.string() })]),
      metadata: z.record(z.string(), z.string()),
    }),
  }),
})
type Told = z.output<typeof message>

/** What came to the agent that is pushed to, and what it answers. */
const pushed: Told[] = []
let answers = 200
const take = async (request: IncomingMessage, response: ServerResponse) => {
  const told = message.parse(await json(request))
  if (answers === 200) pushed.push(told)
  response.writeHead(answers, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":1,"result":{}}')
}
const server = createServer((request, response) => void take(request, response))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const bound = server.address()
const port = bound === null || typeof bound === 'string' ? 0 : bound.port
afterAll(() => server.close())

const pushing = new FakeBackend({
  name: 'docker',
  onRunning: registerAt,
  addressOf: () => `http://127.0.0.1:${port}`,
})
const scene = await openScene({ more: [pushing] })
const { backend, edit, make, settles } = scene

async function inbox(uid: string): Promise<Told[]> {
  const token = backend.volumes.get(uid)?.get('.auth_token') ?? ''
  const response = await fetch(`${scene.operator().platformUrl}/workspaces/${uid}/messages/take`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{}',
  })
  const { messages } = z.object({ messages: z.array(z.object({ body: message })) }).parse(await response.json())
  return messages.map(({ body }) => body)
}
const owed = async (uid: string) => (await scene.row(uid))?.['restart_context']

test('of an agent that polls it waits in the inbox: once for each restart, names of variables alone, none at first', async () => {
  await make('poller', { delivery: 'poll', env: [{ name: 'API_KEY', value: 'planted-value' }] })
  const { uid } = (await settles('poller', 'Ready', 'True Settled')).metadata
  expect(await owed(uid)).toBeNull()
  await edit('poller', restartAt('1'))
  await until(() => backend.creates.get(uid) === 2)
  await settles('poller', 'Ready', 'True Settled')
  await until(async () => (await owed(uid)) === null, { what: 'the message to be queued', within: 40_000 })
  const [told, ...more] = await inbox(uid)
  expect(more).toEqual([])
  const text = told?.params.message.parts[0].text ?? ''
  expect(text).toMatch(/^This workspace was restarted at \S+Z\. The session before was last heard of at \S+Z\./)
  expect(text).toContain('API_KEY')
  expect(text).not.toContain('planted-value')
  expect(told?.params.message.metadata).toMatchObject({ source: 'system:restart-context' })
  await scene.restarted()
  await stays(() => scene.query('SELECT id FROM activity_logs WHERE workspace_id = $1', [uid]), 3_000)

  await edit('poller', { spec: { power: 'Paused' } })
  await settles('poller', 'Ready', 'True Paused')
  await edit('poller', { spec: { power: 'Running' } })
  await settles('poller', 'Ready', 'True Settled')
  expect(backend.creates.get(uid)).toBe(3)
  expect(await owed(uid)).toBeNull()
})

test('of an agent that is pushed to it is sent until it is taken, under one id, also by the next leader', async () => {
  await make('pushed', { backend: 'docker' })
  const { uid } = (await settles('pushed', 'Ready', 'True Settled')).metadata
  answers = 503
  await edit('pushed', restartAt('1'))
  await until(() => pushing.creates.get(uid) === 2)
  await settles('pushed', 'Ready', 'True Settled')
  const context = z.object({ id: z.string() }).parse(await owed(uid))
  await scene.restarted(async () => void (answers = 200))
  await until(() => pushed.length > 0, { what: 'the message to come', within: 40_000 })
  await until(async () => (await owed(uid)) === null)
  expect(pushed.map(({ params }) => params.message.messageId)).toEqual([context.id])
  await stays(() => pushed.length, 7_000)
})
