/** What else a Workspace is made of, from its spec to its rows: recorded, changed, blocked, and taken away. */
import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { ExternalBackend } from '../../src/backends/external/backend.ts'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { fakeWithAgents, startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const databaseUrl = await database()
const client = new Client({ connectionString: databaseUrl })
const backend = fakeWithAgents()
const token = `123:${'a'.repeat(30)}`

await client.connect()
await openNamespace(ns, cluster)
await until(() => cluster.apply([runtime('parts')]))
const env = { SECRETS_KEY: randomBytes(32).toString('base64') }
let operator = await startOperator({ databaseUrl, backends: [backend, new ExternalBackend()], env })
afterAll(async () => {
  await operator.stop()
  await client.end()
  await cluster.kubectl(['delete', 'runtime', 'parts', '--wait=false'])
})

const rows = async (table: string, id: string) =>
  (await client.query<Record<string, unknown>>(`SELECT * FROM ${table} WHERE workspace_id = $1 ORDER BY 2, 3`, [id]))
    .rows
const apply = (name: string, spec: object) => cluster.apply([workspace(ns, name, { runtime: 'parts', ...spec })])
const settles = (name: string, condition: string, message = ''): Promise<Workspace> =>
  until(
    async () => {
      const ws = await readWorkspace(cluster, ns, name)
      expect(ws.status?.observedGeneration).toBe(ws.metadata.generation)
      expect(`${conditionOf(ws.status, 'PartsRecorded')} ${messageOf(ws.status, 'PartsRecorded')}`).toContain(condition)
      expect(messageOf(ws.status, 'PartsRecorded')).toContain(message)
      return ws
    },
    { within: 30_000, what: `${name}: ${condition} ${message}` },
  )
const secret = (data: object) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'telegram', namespace: ns },
  stringData: data,
})

const daily = { name: 'daily', cron: '30 9 * * 1-5', timezone: 'Europe/Berlin', prompt: 'Report.' }
const telegram = { name: 'tg', type: 'telegram', config: { chat_id: '5' }, secretRef: { name: 'telegram' } }

test('all parts have their rows; one that leaves the spec goes; no restart follows from any of them', async () => {
  await cluster.apply([secret({ bot_token: token })])
  await apply('whole', { schedules: [daily], channels: [telegram], memories: [{ content: 'Ada likes tea.' }] })
  const { metadata, status } = await settles('whole', 'True Recorded')
  expect(conditionOf(status, 'Unsupported')).toBeUndefined()
  const id = metadata.uid
  await until(async () => (await rows('workspace_schedules', id))[0]?.['next_run_at'] ?? undefined)
  expect(await rows('workspace_schedules', id)).toMatchObject([{ name: 'daily', source: 'template', enabled: true }])
  const [channel] = await rows('workspace_channels', id)
  expect(channel).toMatchObject({ channel_config: { chat_id: '5' }, encryption_version: 1 })
  expect(JSON.stringify(await rows('workspace_channels', id))).not.toContain(token)
  expect(await rows('agent_memories', id)).toMatchObject([{ content: 'Ada likes tea.', scope: 'LOCAL' }])

  await apply('whole', { schedules: [{ ...daily, name: 'other' }], memories: [] })
  await settles('whole', 'True Recorded')
  expect(await rows('workspace_schedules', id)).toMatchObject([{ name: 'other' }])
  expect(await rows('workspace_channels', id)).toEqual([])
  expect(await rows('agent_memories', id)).toHaveLength(1)
  expect(backend.creates.get(id)).toBe(1)

  await apply('whole', {})
  await until(async () => (await rows('workspace_schedules', id)).length === 0)
  await until(async () => (await readWorkspace(cluster, ns, 'whole')).status?.parts?.schedules === undefined)
})

test('a new token in the Secret reaches the row, without a touch of the Workspace', async () => {
  await apply('rotated', { channels: [telegram], backend: 'external' })
  const { metadata } = await settles('rotated', 'True Recorded')
  const [before] = await rows('workspace_channels', metadata.uid)
  await cluster.apply([secret({ bot_token: `9${token}` })])
  await until(async () => {
    const [after] = await rows('workspace_channels', metadata.uid)
    expect(after?.['credentials_digest']).not.toEqual(before?.['credentials_digest'])
    return true
  })
})

test('what cannot be is said, and stops nothing else', async () => {
  const spec = {
    schedules: [
      { ...daily, cron: '99 9 * * *' },
      { ...daily, name: 'good' },
    ],
  }
  await apply('wrong', spec)
  const wrong = await settles('wrong', 'False ScheduleInvalid', 'spec.schedules[daily]: cron "99 9 * * *"')
  expect(wrong.status?.phase).toBeDefined()
  const next = async () =>
    (await rows('workspace_schedules', wrong.metadata.uid)).map((row) => [row['name'], row['next_run_at']])
  await until(async () => (await next()).every(([, time]) => time !== null))
  expect(await next()).toEqual([
    ['daily', Number.POSITIVE_INFINITY],
    ['good', expect.any(Date) as Date],
  ])
})

test('a name that the agent uses for its own is said, and taken once it is free', async () => {
  await apply('taken', {})
  const { metadata } = await until(
    async () => {
      const ws = await readWorkspace(cluster, ns, 'taken')
      return ws.status?.phase === 'online' ? ws : undefined
    },
    { what: 'taken to be online', within: 30_000 },
  )
  const own = `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt) VALUES ($1, 'daily', '0 0 1 1 *', 'Mine.')`
  await client.query(own, [metadata.uid])
  await apply('taken', { schedules: [daily, { ...daily, name: 'other' }] })
  const { status } = await settles('taken', 'False ScheduleNameTaken', 'spec.schedules[daily]')
  expect(status?.parts).toEqual({ schedules: 1, channels: 0 })
  expect(await rows('workspace_schedules', metadata.uid)).toMatchObject([{ prompt: 'Mine.' }, { name: 'other' }])
  // All of them leave the spec: what was declared goes, although not all of it ever was there.
  await apply('taken', {})
  await until(async () => (await rows('workspace_schedules', metadata.uid)).length === 1)
  expect(await rows('workspace_schedules', metadata.uid)).toMatchObject([{ prompt: 'Mine.' }])
})

test('an operator without a key keeps no credential, says so, and leaves what is sealed alone', async () => {
  const before = await readWorkspace(cluster, ns, 'rotated')
  const [sealed] = await rows('workspace_channels', before.metadata.uid)
  await operator.stop()
  // One that launches nothing: others do not start without it.
  const keyless = { SECRETS_KEY: '', BACKENDS: 'external', DEFAULT_BACKEND: 'external' }
  operator = await startOperator({ databaseUrl, backends: [backend, new ExternalBackend()], env: keyless })
  await apply('keyless', { channels: [telegram], schedules: [daily] })
  const { metadata } = await settles('keyless', 'False SecretsKeyMissing', 'SECRETS_KEY')
  expect(await rows('workspace_channels', metadata.uid)).toEqual([])
  expect(await rows('workspace_schedules', metadata.uid)).toHaveLength(1)
  await settles('rotated', 'False SecretsKeyMissing')
  expect(await rows('workspace_channels', before.metadata.uid)).toEqual([sealed])
})
