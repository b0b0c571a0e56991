/** How much of PostgreSQL, and of the memory before it, one agent can take. */
import { randomUUID } from 'node:crypto'
import { afterAll, expect, test } from 'vitest'
import { minutes } from '../../src/duration.ts'
import { inboxLimits } from '../../src/store/agent-store.ts'
import { openAgents } from '../../src/store/postgres/agents.ts'
import { openPool, type Database } from '../../src/store/postgres/pool.ts'
import type { WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { database } from '../support/database.ts'
import { fenceOf, given, intent, lease } from './given.ts'

const url = await database()
const { store, sql } = given(url)
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const mebi = 1024 * 1024

/** The store of agents over a real database, and the bytes of every statement that it sent. */
const metrics = createMetrics()
const pool = openPool({ databaseUrl: () => url, metrics })
const sent: { name: string; bytes: number }[] = []
const recording: Database = {
  ...pool,
  async query(name, text, values, guard) {
    sent.push({ name, bytes: values.reduce<number>((sum, value) => sum + Buffer.byteLength(String(value)), 0) })
    return await pool.query(name, text, values, guard)
  },
}
const agents = openAgents(recording, metrics, undefined)
afterAll(async () => {
  await agents.close()
  await pool.close()
})

async function recorded(more: Partial<WorkspaceIntent> = {}): Promise<WorkspaceIntent['id']> {
  const asked = intent(more)
  await store.workspaces.record(asked, fence)
  return asked.id
}
const queue = (to: WorkspaceIntent['id'], body: string, id: string = randomUUID()) =>
  agents.logMessage({ id, from: to, to, method: 'm', outcome: 'queued', body })
const inbox = async (id: string) =>
  (await sql('SELECT messages, bytes::int FROM workspace_inboxes WHERE workspace_id = $1', id))[0]
/** Puts messages there at one go, as if they had come one by one. */
const fill = (id: string, messages: number, body: string) =>
  sql(
    `INSERT INTO activity_logs (workspace_id, activity_type, status, request_body, body_bytes)
     SELECT $1, 'a2a_receive', 'queued', $3::jsonb, octet_length($3::jsonb::text) FROM generate_series(1, $2)`,
    id,
    messages,
    body,
  )

test('no statement carries more than four mebibytes, or one item', async () => {
  // Each backslash is two in JSON and four in the statement.
  const heavy = JSON.stringify('\\'.repeat(mebi / 4))
  const receivers = await Promise.all(Array.from({ length: 10 }, () => recorded()))
  sent.length = 0
  await Promise.all(Array.from({ length: 60 }, (_, n) => queue(receivers[n % 10] as WorkspaceIntent['id'], heavy)))
  const card = { text: '\\'.repeat(mebi / 4) }
  await Promise.all(receivers.map((id) => agents.updateCard(id, card)))
  await Promise.all(receivers.map((id) => agents.register({ id, url: '', agentCard: card, deliveryMode: 'poll' })))
  for (const [name, items] of [
    ['trace_large_message', 60],
    ['update_card', 10],
    ['register', 10],
  ] as const) {
    const statements = sent.filter((one) => one.name === name).map(({ bytes }) => bytes)
    expect(Math.max(...statements)).toBeLessThan(5 * mebi)
    expect(statements.length).toBeGreaterThanOrEqual(items / 4)
  }
  expect(await sql('SELECT DISTINCT messages FROM workspace_inboxes WHERE workspace_id = ANY ($1)', receivers)).toEqual(
    [{ messages: 6 }],
  )
})

test('an inbox takes a thousand messages; what was acknowledged makes room', async () => {
  const [id, other] = [await recorded(), await recorded()]
  await fill(id, 990, '{}')
  const answers = await Promise.all(Array.from({ length: 50 }, () => queue(id, '{}')))
  expect(answers.filter((answer) => answer === undefined)).toHaveLength(10)
  expect(answers.filter((answer) => answer === 'workspace')).toHaveLength(40)
  expect(await inbox(id)).toEqual({ messages: 1000, bytes: 2000 })
  expect(await queue(other, '{}')).toBeUndefined()
  const taken = await agents.takeMessages(id, 100, minutes(1))
  expect(await inbox(id)).toEqual({ messages: 1000, bytes: 2000 })
  const ids = taken.map((message) => message.id)
  for (let twice = 0; twice < 2; twice++) await agents.acknowledge(id, ids)
  expect(await inbox(id)).toEqual({ messages: 900, bytes: 1800 })
  expect(await queue(id, '{}')).toBeUndefined()
})

test('an inbox takes sixteen mebibytes, counted as they are handed out', async () => {
  const id = await recorded()
  const body = JSON.stringify('x'.repeat(mebi))
  const answers = await Promise.all(Array.from({ length: 20 }, () => queue(id, body)))
  expect(answers.filter((answer) => answer === undefined)).toHaveLength(15)
  expect(await inbox(id)).toEqual({ messages: 15, bytes: 15 * (mebi + 2) })
  // A few bytes on the wire are hundreds when PostgreSQL writes the number out.
  const [small, wide] = [await recorded(), `[${'1e300,'.repeat(60_000)}1]`]
  expect(wide.length).toBeLessThan(mebi)
  expect(await Promise.all([queue(small, wide), queue(small, '{}')])).toEqual(['workspace', undefined])
  expect(await inbox(small)).toEqual({ messages: 1, bytes: 2 })
})

test('a message that is there already is no second one, however full the inbox is', async () => {
  const id = await recorded()
  await fill(id, 999, '{}')
  const same = randomUUID()
  for (let twice = 0; twice < 2; twice++) expect(await queue(id, '{}', same)).toBeUndefined()
  expect(await queue(id, '{}')).toBe('workspace')
  expect(await inbox(id)).toMatchObject({ messages: 1000 })
})

test('the inboxes of a namespace share its limit, and another namespace has its own', async () => {
  const [mine, sibling, stranger] = [
    await recorded({ namespace: 'crowd' }),
    await recorded({ namespace: 'crowd' }),
    await recorded({ namespace: 'elsewhere' }),
  ]
  const count = 'INSERT INTO workspace_inboxes (workspace_id, namespace, messages, bytes) VALUES ($1, $2, $3, 0)'
  await sql(count, mine, 'crowd', inboxLimits.namespace.messages - 1)
  expect(await Promise.all([queue(sibling, '{}'), queue(sibling, '{}'), queue(stranger, '{}')])).toEqual([
    undefined,
    'namespace',
    undefined,
  ])
  await sql('DELETE FROM workspace_inboxes WHERE workspace_id = $1', mine)
  expect(await queue(sibling, '{}')).toBeUndefined()
  await sql(count, mine, 'crowd', inboxLimits.total.messages)
  expect(await queue(stranger, '{}')).toBe('total')
  await sql('DELETE FROM workspace_inboxes WHERE workspace_id = $1', mine)
})

test('namespaces that do not fetch leave room for one more, however many they are', async () => {
  const { namespace, total } = inboxLimits
  const free = async () => {
    const [{ used } = {}] = await sql('SELECT sum(messages)::int AS used FROM workspace_inboxes')
    return total.messages - Number(used)
  }
  for (let n = 0; n < 24; n++) {
    const [full, sibling] = [await recorded({ namespace: `crowd-${n}` }), await recorded({ namespace: `crowd-${n}` })]
    const share = Math.min(namespace.messages, Math.floor((await free()) / 3))
    const count = 'INSERT INTO workspace_inboxes (workspace_id, namespace, messages, bytes) VALUES ($1, $2, $3, 0)'
    await sql(count, full, `crowd-${n}`, share - 1)
    expect(await queue(sibling, '{}')).toBeUndefined()
    expect(await queue(sibling, '{}')).toBe(share === namespace.messages ? 'namespace' : 'total')
  }
  expect(await free()).toBeLessThan(total.messages / 100)
  expect(await queue(await recorded({ namespace: 'late' }), '{}')).toBeUndefined()
  await sql(`DELETE FROM workspace_inboxes WHERE namespace LIKE 'crowd-%'`)
})

test('a small message does not wait for the statement of large ones', async () => {
  const [loud, quiet] = [await recorded(), await recorded()]
  const body = JSON.stringify('\\'.repeat(mebi / 4))
  const order: string[] = []
  const large = Array.from({ length: 12 }, () => queue(loud, body).then(() => order.push('large')))
  await Promise.all([...large, queue(quiet, '{}').then(() => order.push('small'))])
  expect(order.indexOf('small')).toBeLessThan(4)
})

test('messages of before the count are handed out, and count in number', async () => {
  const id = await recorded()
  await sql(
    `INSERT INTO activity_logs (workspace_id, activity_type, status, request_body)
     SELECT $1, 'a2a_receive', 'queued', to_jsonb(repeat('x', 1024 * 1024)) FROM generate_series(1, 5)`,
    id,
  )
  expect(await inbox(id)).toEqual({ messages: 5, bytes: 0 })
  expect(await agents.takeMessages(id, 100, minutes(1))).toHaveLength(3)
  expect(await agents.takeMessages(id, 100, minutes(1))).toHaveLength(2)
  await sql(`UPDATE activity_logs SET created_at = now() - interval '8 days' WHERE workspace_id = $1`, id)
  expect(await store.history.forget('activity', minutes(7 * 24 * 60), 10)).toBe(5)
  expect(await inbox(id)).toEqual({ messages: 0, bytes: 0 })
  expect(await queue(id, '{}')).toBeUndefined()
})

test('the history of a card holds its digest', async () => {
  const id = await recorded()
  for (let n = 0; n < 5; n++) await agents.updateCard(id, { n: n >> 1, t: 'x'.repeat(60_000) })
  const rows = await sql(
    `SELECT length(payload::text) AS length, payload ->> 'sha256' AS digest FROM structure_events
     WHERE workspace_id = $1 AND event_type = 'AGENT_CARD_UPDATED'`,
    id,
  )
  expect(rows).toHaveLength(3)
  expect(new Set(rows.map(({ digest }) => digest)).size).toBe(3)
  for (const { length } of rows) expect(length).toBeLessThan(100)
})
