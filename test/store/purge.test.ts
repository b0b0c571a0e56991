/** What removed workspaces leave behind ends, except where anything may still ask for it. */
import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { milliseconds, minutes } from '../../src/duration.ts'
import type { WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { retentionSweeper } from '../../src/sweepers/retention.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { fenceOf, given, intent, launchOf, lease } from './given.ts'

const { store, sql, metrics } = given(await database())
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const { workspaces, agents, history } = store
const month = minutes(30 * 24 * 60)

/** Removed as long ago as is asked. */
async function removed(policy: 'Delete' | 'Retain' | undefined, days = 31, more: Partial<WorkspaceIntent> = {}) {
  const asked = intent(more)
  await workspaces.record(asked, fence)
  await workspaces.launch(launchOf(asked), fence)
  await workspaces.remove(asked, fence, policy)
  await sql(`UPDATE workspaces SET status_since = now() - make_interval(days => $2) WHERE id = $1`, asked.id, days)
  return asked
}
const there = async (all: readonly { id: string }[]) =>
  (
    await sql(
      'SELECT id FROM workspaces WHERE id = ANY ($1)',
      all.map(({ id }) => id),
    )
  ).length
const purge = (present: readonly string[] = [], limit = 100) => history.purge('rows', month, present, limit)

test('rows that were deleted go after their time, a bite at a time, with all that hangs on them', async () => {
  const old = [await removed('Delete'), await removed('Delete'), await removed('Delete')]
  const young = await removed('Delete', 29)
  const live = intent()
  await workspaces.record(live, fence)
  expect([await purge([], 2), await purge([], 2), await purge([], 2)]).toEqual([2, 1, 0])
  expect(await there(old)).toBe(0)
  expect(await there([young, live])).toBe(2)
  const hung = await sql(
    'SELECT 1 FROM workspace_auth_tokens WHERE workspace_id = ANY ($1)',
    old.map(({ id }) => id),
  )
  expect(hung).toEqual([])
})

// Fifty seconds where each row is compared with each; one where what is there is hashed.
test('what is there is compared in time, however much it is', { timeout: 25_000 }, async () => {
  const { id: like } = await removed('Delete')
  await sql(
    `INSERT INTO workspaces SELECT (jsonb_populate_record(w, jsonb_build_object('id', g.id, 'owner_uid', g.id, 'name', g.id))).*
     FROM workspaces w, (SELECT gen_random_uuid() AS id FROM generate_series(1, 4999)) g WHERE w.id = $1`,
    like,
  )
  const owners = await sql(`SELECT owner_uid AS "ownerUid" FROM workspaces WHERE status = 'removed'`)
  const others = Array.from({ length: 100_000 }, () => randomUUID())
  expect(await purge([...others, ...owners.map(({ ownerUid }) => String(ownerUid))], 10_000)).toBe(0)
  expect(await purge(others, 10_000)).toBe(5000)
})

test('what an adoption, an orphan sweep, a deletion under way, a child or a message may ask for stays', async () => {
  const retained = await removed('Retain')
  const untold = await removed(undefined)
  const present = await removed('Delete')
  const [orphan, leaked, parent, addressed] = [
    await removed('Delete'),
    await removed('Delete'),
    await removed('Delete'),
    await removed('Delete'),
  ]
  await sql(
    `INSERT INTO orphans (plane, backend, owner_uid, namespace, resource_name, cause) VALUES ('volume', 'docker', $1, '', '', '')`,
    orphan.ownerUid,
  )
  const leak = { ...leaked, instanceId: undefined, cause: 'away' }
  await workspaces.leak(leak, fence)
  const child = intent()
  await workspaces.record(child, fence)
  await sql('UPDATE workspaces SET parent_id = $2 WHERE id = $1', child.id, parent.id)
  await sql(
    `INSERT INTO activity_logs (id, workspace_id, activity_type) VALUES ($1, $2, 'a2a_receive')`,
    randomUUID(),
    addressed.id,
  )
  const kept = [retained, untold, present, orphan, leaked, parent, addressed]
  expect(await purge([present.ownerUid])).toBe(0)
  expect(await there(kept)).toBe(kept.length)
  await sql('DELETE FROM activity_logs WHERE workspace_id = $1', addressed.id)
  expect(await purge([present.ownerUid])).toBe(1)
  expect(await there(kept)).toBe(kept.length - 1)
})

/** As a replica of a version before leaves it, which removes the row alone. */
async function withChannel(asked: { readonly id: string }) {
  await sql(
    `INSERT INTO workspace_channels (workspace_id, name, channel_type, credentials, encryption_version)
     VALUES ($1, 'tg', 'telegram', '\\x00', 1)`,
    asked.id,
  )
  await sql(`UPDATE workspaces SET parts_hash = 'h' WHERE id = $1`, asked.id)
  return asked.id
}
const connected = async (id: string) =>
  (
    await sql(
      `SELECT w.parts_hash, count(c.name)::int AS channels FROM workspaces w
         LEFT JOIN workspace_channels c ON c.workspace_id = w.id WHERE w.id = $1 GROUP BY w.id`,
      id,
    )
  )[0]

test('channels that a removal left go at once, where the row was removed with Delete', async () => {
  const live = intent()
  await workspaces.record(live, fence)
  const [gone, kept, untold, lives] = [
    await withChannel(await removed('Delete', 0)),
    await withChannel(await removed('Retain', 0)),
    await withChannel(await removed(undefined, 0)),
    await withChannel(live),
  ]
  expect(await history.purge('channels', month, [], 100)).toBe(1)
  expect(await connected(gone)).toEqual({ parts_hash: null, channels: 0 })
  for (const id of [kept, untold, lives]) expect(await connected(id)).toEqual({ parts_hash: 'h', channels: 1 })
  expect(await history.purge('channels', month, [], 100)).toBe(0)
})

test('revoked tokens go after their time, and live ones never', async () => {
  const asked = intent()
  await workspaces.record(asked, fence)
  const [first, second, third] = [launchOf(asked), launchOf(asked), launchOf(asked)]
  for (const launch of [first, second, third]) await workspaces.launch(launch, fence)
  await sql(
    `UPDATE workspace_auth_tokens SET created_at = now() - interval '99 days' WHERE workspace_id = $1`,
    asked.id,
  )
  const revoked = `UPDATE workspace_auth_tokens SET revoked_at = now() - interval '31 days' WHERE token_hash = $1`
  await sql(revoked, first.tokenHash)
  const before = await sql('SELECT 1 FROM workspace_auth_tokens')
  expect(await history.purge('tokens', month, [], 100)).toBe(1)
  expect(await sql('SELECT 1 FROM workspace_auth_tokens')).toHaveLength(before.length - 1)
  expect(await agents.authenticate(third.tokenHash)).toMatchObject({ id: asked.id })
})

test('the sweep counts what it deletes, and deletes no row while the cache of Workspaces cannot be trusted', async () => {
  const old = await removed('Delete')
  const young = await withChannel(await removed('Delete', 0))
  let trouble: string | undefined = 'not synced'
  let rounds = 0
  const abort = new AbortController()
  const resources = { trouble: () => (rounds++, trouble), uids: () => [] }
  const keep = { activity: month, structure: month }
  const log = pino({ level: 'silent' })
  const ended = retentionSweeper({ history, keep, resources, metrics, log, every: milliseconds(5) }).start(abort.signal)
  await until(() => rounds > 2)
  expect(await there([old])).toBe(1)
  trouble = undefined
  await until(async () => (await there([old])) === 0)
  expect(await connected(young)).toMatchObject({ channels: 0 })
  abort.abort()
  await ended
  const counted = (await metrics.rowsPurged.get()).values.find(({ labels }) => labels['kind'] === 'rows')
  expect(counted?.value).toBeGreaterThanOrEqual(1)
})
