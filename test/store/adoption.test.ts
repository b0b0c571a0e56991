import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { WorkspaceIntent, WorkspaceRow } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { beatOf, eventsOf, fenceOf, given, intent, keyOf, launchOf, lease, rowOf, someoneWaits } from './given.ts'

const url = await database()
const { store, sql } = given(url)
const other = given(url)
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const { workspaces, agents } = store
const record = (asked: WorkspaceIntent) => workspaces.record(asked, fence)

/** A row as the system before left it: nobody's, online, with an instance and an agent's token. */
async function left(more: Record<string, unknown> = {}): Promise<WorkspaceIntent['id']> {
  const { id } = intent()
  const columns = {
    id,
    name: `Left ${id}`,
    runtime: 'claude-code',
    model: 'opus',
    backend: 'docker',
    status: 'online',
    template: 'seo-agent',
    instance_id: 'container-1',
    url: 'http://127.0.0.1:4000',
    namespace: '',
    resource_name: '',
    observed_generation: 0,
    spec_hash: '',
    leader_epoch: 0,
    ...more,
  }
  const names = Object.keys(columns)
  await sql(
    `INSERT INTO workspaces (${names.join(', ')}) VALUES (${names.map((_, n) => `$${n + 1}`).join(', ')})`,
    ...Object.values(columns),
  )
  return id
}
const adopt = (id: WorkspaceIntent['id'], more: Partial<WorkspaceIntent> = {}) =>
  intent({ id, backend: 'docker', claim: 'adopt', generation: 7, ...more })

test('a row that nobody owns becomes the resource’s, with what it has', async () => {
  const id = await left()
  const asked = adopt(id, { tier: 4 })
  const row = rowOf(await record(asked))
  expect(row).toMatchObject({
    status: 'online',
    instanceId: 'container-1',
    url: 'http://127.0.0.1:4000',
    template: 'seo-agent',
    backend: 'docker',
  })
  expect(await sql('SELECT owner_uid, namespace, resource_name, name, tier FROM workspaces WHERE id = $1', id)).toEqual(
    [
      {
        owner_uid: asked.ownerUid,
        namespace: 'acme',
        resource_name: asked.resourceName,
        name: asked.displayName,
        tier: 4,
      },
    ],
  )
  expect(await eventsOf(sql, id)).toEqual(['WORKSPACE_ADOPTED'])
  expect(await record(asked)).toMatchObject({ kind: 'recorded', changed: false, row: { template: 'seo-agent' } })
  expect(await record({ ...asked, generation: 6 })).toEqual({ kind: 'stale' })
  expect(await record({ ...asked, generation: 8, runtime: 'codex' })).toMatchObject({ kind: 'recorded', changed: true })
  expect(await eventsOf(sql, id)).toHaveLength(1)
})

test('a template that nobody wrote down is unknown until the spec tells, and then is what it says', async () => {
  const unknown = await left({ template: '' })
  const asked = adopt(unknown)
  expect(rowOf(await record(asked)).template).toBeUndefined()
  expect(await record(asked)).toMatchObject({ changed: false })
  expect(rowOf(await record({ ...asked, generation: 8, template: 'told' })).template).toBe('told')
  const told = adopt(await left({ template: 'before' }), { template: 'now' })
  expect(rowOf(await record(told)).template).toBe('now')
  const own = intent({ template: 'mine' })
  expect(rowOf(await record(own)).template).toBe('mine')
  expect(rowOf(await record({ ...own, generation: 2, template: '' })).template).toBe('')
})

test('adopt needs a row; adoptOrCreate makes one', async () => {
  const asked = intent({ claim: 'adopt' })
  expect(await record(asked)).toEqual({ kind: 'nothingToAdopt' })
  expect(await sql('SELECT 1 FROM workspaces WHERE id = $1', asked.id)).toEqual([])
  const made = rowOf(await record({ ...asked, claim: 'adoptOrCreate', template: '' }))
  expect(made).toMatchObject({ status: 'provisioning', template: '' })
  expect(await eventsOf(sql, asked.id)).toEqual(['WORKSPACE_PROVISIONING'])
})

test('a live row of another is refused by name, and create takes nothing', async () => {
  const owner = intent()
  await record(owner)
  const by = { namespace: 'acme', resourceName: owner.resourceName }
  for (const claim of ['adopt', 'adoptOrCreate'] as const)
    expect(await record(intent({ id: owner.id, claim }))).toEqual({ kind: 'owned', by })
  const id = await left()
  expect(await record(adopt(id, { claim: 'create' }))).toEqual({ kind: 'stale' })
  expect(await sql('SELECT owner_uid FROM workspaces WHERE id = $1', id)).toEqual([{ owner_uid: null }])
})

test('what contradicts the row is refused, and nothing is written', async () => {
  const id = await left()
  expect(await record(adopt(id, { runtime: 'codex' }))).toEqual({
    kind: 'contradicts',
    field: 'runtime',
    row: 'claude-code',
    spec: 'codex',
  })
  expect(await record(adopt(id, { backend: 'process' }))).toEqual({
    kind: 'contradicts',
    field: 'backend',
    row: 'docker',
    spec: 'process',
  })
  expect(await sql('SELECT owner_uid FROM workspaces WHERE id = $1', id)).toEqual([{ owner_uid: null }])
})

test('names and parents are judged as for any other', async () => {
  const taken = intent({ displayName: 'Taken name' })
  await record(taken)
  const id = await left()
  expect(await record(adopt(id, { displayName: 'Taken name' }))).toMatchObject({ kind: 'siblingTaken' })
  expect(await record(adopt(id, { parentOwnerUid: intent().ownerUid }))).toEqual({ kind: 'parentMissing' })
  expect(await record(adopt(id, { parentOwnerUid: taken.ownerUid }))).toMatchObject({ kind: 'recorded' })
})

test('what was removed can be adopted explicitly, and begins anew', async () => {
  const before = intent()
  await record(before)
  const launch = launchOf(before)
  await workspaces.launch(launch, fence)
  await agents.heartbeat(beatOf(before.id))
  await workspaces.remove(before, fence)
  const heir = intent({ id: before.id, claim: 'adopt' })
  expect(rowOf(await record(heir))).toMatchObject({
    status: 'provisioning',
    launchedHash: undefined,
    launchedAt: undefined,
    registeredAt: undefined,
    restarts: 0,
  })
  expect(await agents.authenticate(launch.tokenHash)).toBeUndefined()
  expect(await workspaces.remove(before, fence)).toBeUndefined()
  expect(await record(before)).toEqual({ kind: 'stale' })
  expect(rowOf(await record(heir)).status).toBe('provisioning')
})

test('the schedules of what was removed wait, and go on with who adopts it', async () => {
  const before = intent()
  await record(before)
  await sql(
    `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt, next_run_at)
     VALUES ($1, 'own', '0 9 * * *', 'Mine.', now() - interval '1 minute')`,
    before.id,
  )
  await workspaces.remove(before, fence)
  const due = (await store.schedules.due(500)).filter(({ cron }) => cron === '0 9 * * *')
  for (const { id: scheduleId, seen } of due)
    await store.schedules.advance({ scheduleId, seen, next: new Date(), runAfter: undefined, fault: undefined }, fence)
  const schedule = () => sql('SELECT enabled, next_run_at FROM workspace_schedules WHERE workspace_id = $1', before.id)
  expect(await schedule()).toEqual([{ enabled: true, next_run_at: Number.POSITIVE_INFINITY }])
  rowOf(await record(intent({ id: before.id, claim: 'adopt' })))
  expect(await schedule()).toEqual([{ enabled: true, next_run_at: null }])
  // Of another pass over the same row nothing follows.
  await sql(`UPDATE workspace_schedules SET next_run_at = 'infinity' WHERE workspace_id = $1`, before.id)
  const [row] = await sql('SELECT owner_uid FROM workspaces WHERE id = $1', before.id)
  await record(intent({ id: before.id, claim: 'adopt', ownerUid: String(row?.['owner_uid']), generation: 9 }))
  expect(await schedule()).toEqual([{ enabled: true, next_run_at: Number.POSITIVE_INFINITY }])
})

test('of two that want one row, in one batch or at once, one gets it', async () => {
  for (const second of [store, other.store]) {
    const id = await left()
    const [a, b] = [adopt(id), adopt(id)]
    const [first, last] = await Promise.all([record(a), second.workspaces.record(b, fence)])
    const winners = [first, last].filter(({ kind }) => kind === 'recorded')
    expect(winners).toHaveLength(1)
    const [row] = await sql('SELECT owner_uid FROM workspaces WHERE id = $1', id)
    expect(row).toEqual({ owner_uid: (winners[0] === first ? a : b).ownerUid })
  }
})

test('a row that is taken while we wait for it is not taken again', async () => {
  const id = await left()
  await sql('BEGIN')
  await sql('UPDATE workspaces SET owner_uid = $2 WHERE id = $1', id, randomUUID())
  const recorded = record(adopt(id))
  await someoneWaits(other.sql)
  await sql('COMMIT')
  expect(await recorded).toEqual({ kind: 'stale' })
  expect(await record(adopt(id))).toMatchObject({ kind: 'owned' })
})

test('a parent that is gone: the row keeps the one it has, and one without waits', async () => {
  const parent = intent()
  const child = intent({ parentOwnerUid: parent.ownerUid })
  await Promise.all([parent, child].map(record))
  await workspaces.remove(parent, fence)
  const orphaned = { ...child, parentOwnerUid: undefined, keepsParent: true }
  expect(await record(orphaned)).toMatchObject({ kind: 'recorded', changed: false })
  expect(await record({ ...orphaned, generation: 2, role: 'new' })).toMatchObject({ changed: true })
  expect(await sql('SELECT parent_id, role FROM workspaces WHERE id = $1', child.id)).toEqual([
    { parent_id: parent.id, role: 'new' },
  ])
  expect(await record(intent({ keepsParent: true }))).toEqual({ kind: 'parentMissing' })
  const root = intent()
  await record(root)
  expect(await record({ ...root, keepsParent: true })).toEqual({ kind: 'parentMissing' })
})

test('an instance that runs already counts as launched, and as one that came to register', async () => {
  const id = await left({ launched_at: null })
  const asked = adopt(id)
  await record(asked)
  const facts = {
    ...keyOf(asked),
    instanceId: 'container-2',
    url: undefined,
    imageDigest: 'sha256:2',
    specHash: 'hash-1',
  }
  const row: WorkspaceRow = await workspaces.adopted(facts, fence)
  expect(row).toMatchObject({
    status: 'online',
    instanceId: 'container-2',
    url: 'http://127.0.0.1:4000',
    imageDigest: 'sha256:2',
    launchedHash: 'hash-1',
    launchAttempts: 0,
    restarts: 0,
  })
  expect(row.launchedAt).toBeInstanceOf(Date)
  expect(row.registeredAt).toBeInstanceOf(Date)
  const version = () => sql('SELECT xmin::text, xmax::text FROM workspaces WHERE id = $1', id)
  const before = await version()
  expect(await workspaces.adopted(facts, fence)).toEqual(row)
  expect(await version()).toEqual(before)
  expect(await eventsOf(sql, id)).toEqual(['WORKSPACE_ADOPTED', 'WORKSPACE_ADOPTED'])
})

test('since when a replacement is wanted', async () => {
  const asked = intent()
  await record(asked)
  await sql(`UPDATE workspaces SET wanted_since = now() - interval '1 hour' WHERE id = $1`, asked.id)
  const { wantedSince } = rowOf(await record(asked))
  expect(rowOf(await record({ ...asked, generation: 2, role: 'x' })).wantedSince).toEqual(wantedSince)
  const changed = rowOf(await record({ ...asked, generation: 3, specHash: 'hash-2' })).wantedSince
  expect(changed.getTime()).toBeGreaterThan(wantedSince.getTime())
})

test('why it ended is kept whole, whatever the instance said', async () => {
  const asked = intent()
  await record(asked)
  const failure = {
    reason: 'OutOfMemory',
    exitCode: 137,
    at: new Date(1_700_000_000_123),
    logTail: 'a "b"\n\\ {x,y} é',
  }
  const failing = { ...keyOf(asked), to: 'failed' as const, event: 'WORKSPACE_PROVISION_FAILED', reason: 'BootFailed' }
  expect(await workspaces.change({ ...failing, from: ['provisioning'], failure }, fence)).toMatchObject({
    lastFailure: failure,
  })
  const odd = { reason: 'Odd', exitCode: undefined, at: failure.at, logTail: 'nul \0, lone \ud800' }
  await workspaces.change({ ...failing, from: ['failed'], to: 'offline', failure: odd }, fence)
  expect(rowOf(await record(asked)).lastFailure).toEqual({ ...odd, logTail: 'nul , lone \ufffd' })
  await workspaces.change({ ...failing, from: ['offline'] }, fence)
  expect(rowOf(await record(asked)).lastFailure?.reason).toBe('Odd')
})

test('what is given up is written down once an owner', async () => {
  const asked = intent()
  const leak = { id: asked.id, ownerUid: asked.ownerUid, backend: 'docker', instanceId: 'c1', cause: 'engine gone' }
  for (let twice = 0; twice < 2; twice++) await workspaces.leak(leak, fence)
  await workspaces.leak({ ...leak, ownerUid: randomUUID(), instanceId: undefined }, fence)
  expect(
    await sql(
      'SELECT owner_uid = $2 AS own, backend, instance_id, cause FROM leaked_instances WHERE workspace_id = $1 ORDER BY 3',
      asked.id,
      asked.ownerUid,
    ),
  ).toEqual([
    { own: true, backend: 'docker', instance_id: 'c1', cause: 'engine gone' },
    { own: false, backend: 'docker', instance_id: null, cause: 'engine gone' },
  ])
  expect(await eventsOf(sql, asked.id)).toEqual(['WORKSPACE_INSTANCE_LEAKED', 'WORKSPACE_INSTANCE_LEAKED'])
})
