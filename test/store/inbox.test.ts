import { randomBytes, randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { milliseconds, minutes } from '../../src/duration.ts'
import type { WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { beatOf, eventsOf, fenceOf, given, intent, launchOf, lease } from './given.ts'

const url = await database()
const { store, sql } = given(url)
const replica = given(url)
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const { workspaces, agents } = store

async function recorded(more: Partial<WorkspaceIntent> = {}): Promise<WorkspaceIntent['id']> {
  const asked = intent(more)
  await workspaces.record({ ...asked, ownerUid: asked.id }, fence)
  return asked.id
}
const keyOfId = (id: WorkspaceIntent['id']) => ({ id, ownerUid: id, namespace: 'acme' })
const queue = (to: WorkspaceIntent['id'], n: number, id?: string) =>
  agents.logMessage({
    ...(id !== undefined && { id }),
    from: undefined,
    to,
    method: `m${n}`,
    outcome: 'queued',
    body: JSON.stringify({ n }),
  })
const take = (id: WorkspaceIntent['id'], limit = 100, from = store) => from.agents.takeMessages(id, limit, minutes(1))
const methods = (taken: readonly { method: string }[]) => taken.map(({ method }) => method)

test('messages are handed out in the order they came, each once', async () => {
  const id = await recorded()
  await Promise.all(Array.from({ length: 50 }, (_, n) => queue(id, n)))
  const first = await take(id, 20)
  expect(methods(first)).toEqual(Array.from({ length: 20 }, (_, n) => `m${n}`))
  expect(first[3]).toMatchObject({ from: undefined, body: '{"n": 3}', at: expect.any(Date) as unknown })
  const rest = await take(id)
  expect(methods(rest)).toEqual(Array.from({ length: 30 }, (_, n) => `m${n + 20}`))
  expect(await take(id)).toEqual([])
})

test('what was not acknowledged comes back, what was does not', async () => {
  const id = await recorded()
  for (let n = 0; n < 3; n++) await queue(id, n)
  const taken = await take(id)
  expect(await agents.acknowledge(id, [taken[1]?.id ?? ''])).toBe(1)
  expect(await take(id)).toEqual([])
  const again = await until(async () => {
    const back = await agents.takeMessages(id, 100, milliseconds(1))
    return back.length > 0 ? back : undefined
  })
  expect(again).toEqual([taken[0], taken[2]])
  expect(
    await agents.acknowledge(
      id,
      again.map((message) => message.id),
    ),
  ).toBe(2)
  expect(
    await agents.acknowledge(
      id,
      again.map((message) => message.id),
    ),
  ).toBe(0)
  expect(await agents.takeMessages(id, 100, milliseconds(0))).toEqual([])
  expect(await sql('SELECT DISTINCT status, request_body FROM activity_logs WHERE workspace_id = $1', id)).toEqual([
    { status: 'ok', request_body: null },
  ])
})

test('two that ask at once share, and nobody acknowledges for another', async () => {
  const [id, stranger] = [await recorded(), await recorded()]
  await Promise.all(Array.from({ length: 40 }, (_, n) => queue(id, n)))
  const taken = (await Promise.all([take(id, 30), take(id, 30, replica.store), take(id, 30)])).flat()
  expect(new Set(methods(taken)).size).toBe(taken.length)
  expect(taken.length).toBe(40)
  expect(
    await agents.acknowledge(
      stranger,
      taken.map((message) => message.id),
    ),
  ).toBe(0)
})

test('a message that another is just taking is left to it, and not waited for', async () => {
  const id = await recorded()
  for (let n = 0; n < 3; n++) await queue(id, n)
  await sql('BEGIN')
  await sql(`SELECT 1 FROM activity_logs WHERE workspace_id = $1 AND method = 'm1' FOR UPDATE`, id)
  expect(methods(await take(id))).toEqual(['m0', 'm2'])
  await sql('ROLLBACK')
  expect(methods(await take(id))).toEqual(['m1'])
})

test('one answer carries some megabytes, and one large message all the same', async () => {
  const id = await recorded()
  const body = JSON.stringify({ text: 'x'.repeat(900_000) })
  for (let n = 0; n < 6; n++)
    await agents.logMessage({ from: undefined, to: id, method: `m${n}`, outcome: 'queued', body })
  expect(methods(await take(id))).toEqual(['m0', 'm1', 'm2', 'm3'])
  expect(methods(await take(id))).toEqual(['m4', 'm5'])
  const large = await recorded()
  await agents.logMessage({
    from: undefined,
    to: large,
    method: 'm',
    outcome: 'queued',
    body: JSON.stringify({ text: 'x'.repeat(5_000_000) }),
  })
  expect(await take(large)).toHaveLength(1)
})

test('a message without a body is one, too', async () => {
  const id = await recorded()
  await agents.logMessage({ from: undefined, to: id, method: 'm0', outcome: 'queued' })
  await queue(id, 1)
  expect(methods(await take(id))).toEqual(['m0', 'm1'])
})

test('the same message queued twice is one', async () => {
  const id = await recorded()
  const same = randomUUID()
  await Promise.all([queue(id, 1, same), queue(id, 1, same)])
  await queue(id, 1, same)
  expect(await take(id)).toMatchObject([{ id: same }])
})

test('a token counts in a beat only while it is a live one of that workspace', async () => {
  const [id, other] = [await recorded(), await recorded()]
  const [old, now, foreign] = [launchOf(keyOfId(id)), launchOf(keyOfId(id)), launchOf(keyOfId(other))]
  await workspaces.launch(old, fence)
  await workspaces.launch(foreign, fence)
  expect(await agents.heartbeat({ ...beatOf(id), tokenHash: old.tokenHash })).toEqual({ status: 'online' })
  await workspaces.launch(now, fence)
  const beats = [old, now, foreign].map(({ tokenHash }, n) =>
    agents.heartbeat(beatOf(id, { tokenHash, uptimeSeconds: n })),
  )
  expect(await Promise.all(beats)).toEqual([undefined, { status: 'online' }, undefined])
  expect(await sql('SELECT uptime_seconds FROM workspaces WHERE id = $1', id)).toEqual([{ uptime_seconds: 1 }])
  expect(await replica.store.agents.heartbeat(beatOf(id, { tokenHash: old.tokenHash }))).toBeUndefined()
})

test('two live tokens of one workspace in one batch: both beats are answered', async () => {
  const id = await recorded()
  const hashes = [randomBytes(32), randomBytes(32)]
  for (const hash of hashes) await agents.mintToken(id, hash, 'prefix12')
  const beats = hashes.map((tokenHash) => agents.heartbeat(beatOf(id, { tokenHash })))
  expect(await Promise.all(beats)).toEqual([{ status: 'online' }, { status: 'online' }])
  expect(await eventsOf(sql, id)).toEqual(['WORKSPACE_PROVISIONING', 'WORKSPACE_ONLINE'])
})

test('rotation leaves one live token of an external agent, and touches no other', async () => {
  const [outside, inside] = [await recorded({ backend: 'external', initialPhase: 'awaiting_agent' }), await recorded()]
  const [old, now] = [randomBytes(32), randomBytes(32)]
  for (let n = 0; n < 49; n++) await agents.mintToken(outside, randomBytes(32), 'prefix12')
  await agents.mintToken(outside, old, 'prefix12')
  for (let twice = 0; twice < 2; twice++) expect(await agents.rotateToken(outside, now, 'prefix12')).toBe('rotated')
  expect(await agents.authenticate(old)).toBeUndefined()
  expect(await agents.authenticate(now)).toMatchObject({ id: outside })
  expect(
    await sql(
      'SELECT count(*)::int AS n FROM workspace_auth_tokens WHERE workspace_id = $1 AND revoked_at IS NULL',
      outside,
    ),
  ).toEqual([{ n: 1 }])
  expect(await eventsOf(sql, outside)).toEqual(['WORKSPACE_AWAITING_AGENT', 'EXTERNAL_CREDENTIALS_ROTATED'])
  const launch = launchOf(keyOfId(inside))
  await workspaces.launch(launch, fence)
  expect(await agents.rotateToken(inside, randomBytes(32), 'prefix12')).toBe('notExternal')
  expect(await agents.authenticate(launch.tokenHash)).toMatchObject({ id: inside })
  expect(await agents.rotateToken(intent().id, randomBytes(32), 'prefix12')).toBe('absent')
})

test('a launch leaves an external agent its token and its address', async () => {
  const id = await recorded({ backend: 'external', initialPhase: 'awaiting_agent' })
  const token = randomBytes(32)
  await agents.mintToken(id, token, 'prefix12')
  await agents.register({ id, url: 'https://agent.test/', agentCard: {}, deliveryMode: 'push' })
  const launch = launchOf(keyOfId(id))
  for (let twice = 0; twice < 2; twice++)
    expect(await workspaces.launch(launch, fence)).toMatchObject({ url: 'https://agent.test/', launchAttempts: 1 })
  expect(await agents.authenticate(token)).toMatchObject({ id: id })
  expect(await agents.authenticate(launch.tokenHash)).toBeUndefined()
})

test('a card is kept, and told of where it differs', async () => {
  const id = await recorded()
  const card = { name: 'Ada', skills: ['x'] }
  for (let twice = 0; twice < 2; twice++) expect(await agents.updateCard(id, card)).toBe(true)
  expect(await sql('SELECT agent_card FROM workspaces WHERE id = $1', id)).toEqual([{ agent_card: card }])
  expect((await eventsOf(sql, id)).slice(1)).toEqual(['AGENT_CARD_UPDATED'])
  expect(await agents.updateCard(intent().id, card)).toBe(false)
})

test('history ends by age, at most so much at once', async () => {
  const id = await recorded()
  for (let n = 0; n < 5; n++) await queue(id, n)
  await sql(
    `UPDATE activity_logs SET created_at = now() - interval '8 days' WHERE workspace_id = $1 AND method < 'm3'`,
    id,
  )
  await sql(`UPDATE structure_events SET created_at = now() - interval '31 days' WHERE workspace_id = $1`, id)
  const week = minutes(7 * 24 * 60)
  expect(await store.history.forget('activity', week, 2)).toBe(2)
  expect(await store.history.forget('activity', week, 2)).toBe(1)
  expect(await store.history.forget('activity', week, 2)).toBe(0)
  expect(methods(await take(id))).toEqual(['m3', 'm4'])
  expect(await store.history.forget('structure', minutes(30 * 24 * 60), 100)).toBe(1)
  expect(await eventsOf(sql, id)).toEqual([])
})
