import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { Fenced, Terminal } from '../../src/errors.ts'
import { channelPlace } from '../../src/store/postgres/parts.ts'
import { createSeal } from '../../src/store/postgres/seal.ts'
import type { WorkspaceParts } from '../../src/store/part-store.ts'
import { database } from '../support/database.ts'
import { fenceOf, given, intent, lease, rowOf } from './given.ts'

const url = await database()
const secretsKey = randomBytes(32)
const { store, sql, metrics } = given(url, { secretsKey })
const keyless = given(url)
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const { workspaces, parts } = store

const daily = { name: 'daily', cron: '30 9 * * 1-5', timezone: 'Europe/Berlin', prompt: 'Report.', enabled: true }
const hourly = { ...daily, name: 'hourly', cron: '0 * * * *' }
const channel = {
  name: 'tg',
  type: 'telegram',
  config: { chat_id: '5' },
  credentials: { bot_token: '123:hunter2' },
  allowedUsers: ['ada'],
  enabled: true,
}

const partsSealedWith = (key: Buffer) => given(url, { secretsKey: key }).store.parts

let hashes = 0
async function recorded(more: Partial<WorkspaceParts> = {}): Promise<WorkspaceParts> {
  const asked = intent()
  rowOf(await workspaces.record(asked, fence))
  const { id, ownerUid, namespace, generation } = asked
  const all = {
    id,
    ownerUid,
    namespace,
    generation,
    hash: `h-${++hashes}`,
    schedules: [],
    channels: [],
    keptChannels: [],
  }
  const given: WorkspaceParts = { ...all, memories: [], plugins: [], routing: {}, ...more }
  expect(await parts.recordParts(given, fence)).toMatchObject({ kind: 'recorded' })
  return given
}
const next = (before: WorkspaceParts, more: Partial<WorkspaceParts>): WorkspaceParts => ({
  ...before,
  hash: `h-${++hashes}`,
  ...more,
})
const hashOf = async (id: string) =>
  (await sql('SELECT parts_hash FROM workspaces WHERE id = $1', id))[0]?.['parts_hash']
const schedulesOf = (id: string) =>
  sql('SELECT name, prompt, source, next_run_at FROM workspace_schedules WHERE workspace_id = $1 ORDER BY name', id)
const namesOf = async (id: string) => (await schedulesOf(id)).map(({ name }) => name)
/** Every version of every row that a workspace has: whatever writes changes it. */
const versions = async (id: string) => [
  await sql('SELECT xmin::text, xmax::text, ctid::text FROM workspaces WHERE id = $1', id),
  await sql('SELECT xmin::text, ctid::text FROM workspace_schedules WHERE workspace_id = $1 ORDER BY name', id),
  await sql('SELECT xmin::text, ctid::text FROM workspace_channels WHERE workspace_id = $1 ORDER BY name', id),
  await sql('SELECT xmin::text, ctid::text FROM agent_memories WHERE workspace_id = $1 ORDER BY id', id),
  await sql('SELECT xmin::text FROM workspace_declared_plugins WHERE workspace_id = $1', id),
]

const everything = {
  schedules: [daily, hourly],
  channels: [channel],
  memories: [{ content: 'Ada "likes" \\ tea', scope: 'TEAM' as const }],
  plugins: [{ name: 'careful-bash', source: 'github://acme/careful-bash#v1' }],
  routing: { design: ['Ada'] },
}

test('all parts become rows, and the row says so', async () => {
  const given = await recorded(everything)
  expect(await schedulesOf(given.id)).toEqual([
    { name: 'daily', prompt: 'Report.', source: 'template', next_run_at: null },
    { name: 'hourly', prompt: 'Report.', source: 'template', next_run_at: null },
  ])
  expect(await sql('SELECT content, scope, namespace FROM agent_memories WHERE workspace_id = $1', given.id)).toEqual([
    { content: 'Ada "likes" \\ tea', scope: 'TEAM', namespace: 'general' },
  ])
  expect(
    await sql('SELECT plugin_name, source_raw FROM workspace_declared_plugins WHERE workspace_id = $1', given.id),
  ).toEqual([{ plugin_name: 'careful-bash', source_raw: 'github://acme/careful-bash#v1' }])
  expect(await sql('SELECT category_routing FROM workspaces WHERE id = $1', given.id)).toEqual([
    { category_routing: { design: ['Ada'] } },
  ])
  const asked = intent({ id: given.id, ownerUid: given.ownerUid })
  expect(rowOf(await workspaces.record(asked, fence)).partsHash).toBe(given.hash)
})

test('the same parts write nothing; other parts write only what differs', async () => {
  const given = await recorded(everything)
  const before = await versions(given.id)
  expect(await parts.recordParts(given, fence)).toEqual({ kind: 'recorded', changed: false, taken: [] })
  expect(await versions(given.id)).toEqual(before)
  await parts.recordParts(next(given, { schedules: [daily, { ...hourly, prompt: 'Other.' }] }), fence)
  const [, schedules, ...rest] = await versions(given.id)
  expect(rest).toEqual(before.slice(2))
  expect(schedules?.[0]).toEqual(before[1]?.[0])
  expect(schedules?.[1]).not.toEqual(before[1]?.[1])
})

test('a thousand go in ten statements', async () => {
  const asked = Array.from({ length: 1000 }, () => intent())
  await Promise.all(asked.map((one) => workspaces.record(one, fence)))
  const sent = async () =>
    (await metrics.sqlStatements.get()).values.find((v) => v.labels.name === 'record_parts')?.value
  const before = (await sent()) ?? 0
  await Promise.all(
    asked.map(({ id, ownerUid, namespace, generation }) =>
      parts.recordParts({ id, ownerUid, namespace, generation, hash: 'same', keptChannels: [], ...everything }, fence),
    ),
  )
  expect(((await sent()) ?? 0) - before).toBeLessThanOrEqual(10)
  expect((await sql(`SELECT count(*)::int AS n FROM workspaces WHERE parts_hash = 'same'`))[0]).toEqual({ n: 1000 })
})

test('what left the spec goes; what the agent made, and what it remembers, stays', async () => {
  const given = await recorded(everything)
  await sql(
    `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt) VALUES ($1, 'own', '* * * * *', 'Mine.')`,
    given.id,
  )
  await parts.recordParts(next(given, { schedules: [hourly], channels: [], memories: [], plugins: [] }), fence)
  expect(await namesOf(given.id)).toEqual(['hourly', 'own'])
  expect(await sql('SELECT 1 FROM workspace_channels WHERE workspace_id = $1', given.id)).toEqual([])
  expect(await sql('SELECT 1 FROM workspace_declared_plugins WHERE workspace_id = $1', given.id)).toEqual([])
  expect(await sql('SELECT content FROM agent_memories WHERE workspace_id = $1', given.id)).toHaveLength(1)
})

test('a name that the agent uses is told, left alone, and taken up when it is free', async () => {
  const given = await recorded()
  await sql(
    `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt) VALUES ($1, 'daily', '* * * * *', 'Mine.')`,
    given.id,
  )
  const wanted = next(given, { schedules: [daily, hourly] })
  expect(await parts.recordParts(wanted, fence)).toEqual({ kind: 'recorded', changed: true, taken: ['daily'] })
  expect(await schedulesOf(given.id)).toMatchObject([
    { name: 'daily', prompt: 'Mine.', source: 'runtime' },
    { name: 'hourly', source: 'template' },
  ])
  expect(await hashOf(given.id)).toBe('')
  await sql(`DELETE FROM workspace_schedules WHERE workspace_id = $1 AND source = 'runtime'`, given.id)
  expect(await parts.recordParts(wanted, fence)).toMatchObject({ taken: [] })
  expect(await namesOf(given.id)).toEqual(['daily', 'hourly'])
  expect(await hashOf(given.id)).toBe(wanted.hash)
})

test('a changed time is reckoned anew, a changed prompt is not', async () => {
  const given = await recorded({ schedules: [daily, hourly] })
  await sql(`UPDATE workspace_schedules SET next_run_at = now() + interval '1 day' WHERE workspace_id = $1`, given.id)
  await parts.recordParts(
    next(given, {
      schedules: [
        { ...daily, prompt: 'Other.' },
        { ...hourly, timezone: 'UTC' },
      ],
    }),
    fence,
  )
  const [first, second] = await schedulesOf(given.id)
  expect(first).toMatchObject({ prompt: 'Other.', next_run_at: expect.any(Date) as Date })
  expect(second?.['next_run_at']).toBeNull()
})

test('a memory is given once: what the agent made of it, or forgot, is not undone', async () => {
  const memories = [
    { content: 'one', scope: 'LOCAL' as const },
    { content: 'two', scope: 'LOCAL' as const },
  ]
  const given = await recorded({ memories: [...memories, ...memories] })
  await sql(`UPDATE agent_memories SET content = 'changed' WHERE workspace_id = $1 AND content = 'one'`, given.id)
  await sql(`UPDATE agent_memories SET forgotten_at = now() WHERE workspace_id = $1 AND content = 'two'`, given.id)
  await parts.recordParts(next(given, { memories: [...memories, { content: 'two', scope: 'TEAM' }] }), fence)
  const kept = await sql(
    'SELECT content, scope, forgotten_at IS NOT NULL AS forgotten FROM agent_memories WHERE workspace_id = $1 ORDER BY 1, 2',
    given.id,
  )
  expect(kept).toEqual([
    { content: 'changed', scope: 'LOCAL', forgotten: false },
    { content: 'two', scope: 'LOCAL', forgotten: true },
    { content: 'two', scope: 'TEAM', forgotten: false },
  ])
})

test('credentials are sealed: in no column in clear, opened by the key, in their own place alone', async () => {
  const given = await recorded({ channels: [channel] })
  const [row] = await sql('SELECT * FROM workspace_channels WHERE workspace_id = $1', given.id)
  expect(row).toMatchObject({ channel_config: { chat_id: '5' }, allowed_users: ['ada'], encryption_version: 1 })
  const [text] = await sql('SELECT c::text AS all FROM workspace_channels c WHERE workspace_id = $1', given.id)
  expect(text?.['all']).not.toContain('hunter2')
  expect(text?.['all']).not.toContain(Buffer.from('hunter2').toString('hex'))
  const sealed = row?.['credentials'] as Buffer
  const place = channelPlace(given.id, 'tg')
  expect(JSON.parse(createSeal(secretsKey).open(sealed, place))).toEqual({ bot_token: '123:hunter2' })
  expect(() => createSeal(secretsKey).open(sealed, channelPlace(given.id, 'other'))).toThrow()
  expect(() => createSeal(randomBytes(32)).open(sealed, place)).toThrow()
})

test('a credential is sealed anew when it or the key differs, and not otherwise', async () => {
  const given = await recorded({ channels: [channel] })
  const credentials = async () =>
    (await sql('SELECT credentials FROM workspace_channels WHERE workspace_id = $1', given.id))[0]?.['credentials']
  const first = await credentials()
  await parts.recordParts(next(given, { routing: { a: ['b'] } }), fence)
  expect(await credentials()).toEqual(first)
  await parts.recordParts(next(given, { channels: [{ ...channel, credentials: { bot_token: 'other' } }] }), fence)
  const second = await credentials()
  expect(second).not.toEqual(first)
  const rekeyed = partsSealedWith(randomBytes(32))
  await rekeyed.recordParts(next(given, { channels: [{ ...channel, credentials: { bot_token: 'other' } }] }), fence)
  expect(await credentials()).not.toEqual(second)
})

test('without a key, credentials are refused and nothing is written', async () => {
  const before = await recorded()
  const wanted = next(before, { channels: [channel] })
  await expect(keyless.store.parts.recordParts(wanted, fence)).rejects.toThrow(Terminal)
  expect(await hashOf(before.id)).toBe(before.hash)
  expect(await sql('SELECT 1 FROM workspace_channels WHERE workspace_id = $1', before.id)).toEqual([])
  const open = next(before, { channels: [{ ...channel, credentials: undefined, allowedUsers: undefined }] })
  expect(await keyless.store.parts.recordParts(open, fence)).toMatchObject({ changed: true })
  expect(
    await sql(
      'SELECT encryption_version, credentials, allowed_users FROM workspace_channels WHERE workspace_id = $1',
      before.id,
    ),
  ).toEqual([{ encryption_version: 0, credentials: null, allowed_users: null }])
})

test('a channel of which nothing can be said keeps its row', async () => {
  const given = await recorded({ channels: [channel, { ...channel, name: 'other' }] })
  await parts.recordParts(next(given, { channels: [], keptChannels: ['tg'] }), fence)
  expect(await sql('SELECT name FROM workspace_channels WHERE workspace_id = $1', given.id)).toEqual([{ name: 'tg' }])
})

test('what is deleted leaves no channel and no schedule that is on; what is retained keeps both', async () => {
  const all = { schedules: [daily, hourly], channels: [channel] }
  const [deleted, retained, undecided] = [await recorded(all), await recorded(all), await recorded(all)]
  await sql(
    `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt) VALUES ($1, 'own', '0 0 * * *', 'Mine.')`,
    deleted.id,
  )
  const channels = (id: string) => sql('SELECT name FROM workspace_channels WHERE workspace_id = $1', id)
  const on = (id: string) => sql('SELECT name FROM workspace_schedules WHERE workspace_id = $1 AND enabled', id)
  await workspaces.remove(deleted, fence, 'Delete')
  await workspaces.remove(retained, fence, 'Retain')
  expect([await channels(deleted.id), await on(deleted.id), await hashOf(deleted.id)]).toEqual([[], [], null])
  expect([(await channels(retained.id)).length, (await on(retained.id)).length]).toEqual([1, 2])
  // The policy may change while the deletion waits; a collector without a word of its own goes by the last.
  await workspaces.remove(undecided, fence, 'Retain')
  await workspaces.remove(undecided, fence)
  expect(await channels(undecided.id)).toHaveLength(1)
  await workspaces.remove(undecided, fence, 'Delete')
  expect([await channels(undecided.id), await on(undecided.id), await hashOf(undecided.id)]).toEqual([[], [], null])
  const before = await versions(deleted.id)
  await workspaces.remove(deleted, fence, 'Delete')
  expect(await versions(deleted.id)).toEqual(before)
})

test('a pass that is out of date writes nothing', async () => {
  const given = await recorded({ schedules: [daily] })
  const other = { schedules: [hourly] }
  expect(await parts.recordParts(next(given, { ...other, ownerUid: 'other' }), fence)).toEqual({ kind: 'stale' })
  expect(await parts.recordParts(next(given, { ...other, generation: 0 }), fence)).toEqual({ kind: 'stale' })
  expect(await parts.recordParts(next(given, { ...other, id: intent().id }), fence)).toEqual({ kind: 'stale' })
  await workspaces.remove(given, fence)
  expect(await parts.recordParts(next(given, other), fence)).toEqual({ kind: 'stale' })
  expect(await namesOf(given.id)).toEqual(['daily'])
})

test('a leader of an earlier epoch writes nothing', async () => {
  const given = await recorded()
  const late = fenceOf(fence.epoch - 1n)
  await expect(parts.recordParts(next(given, { schedules: [daily] }), late)).rejects.toThrow(Fenced)
  expect(await namesOf(given.id)).toEqual([])
})
