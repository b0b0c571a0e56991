import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { minutes } from '../../src/duration.ts'
import type { WorkspaceIntent, WorkspaceRow } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { beatOf, eventsOf, fenceOf, given, intent, keyOf, launchOf, lease, rowOf, someoneWaits } from './given.ts'

const url = await database()
const { store, sql } = given(url)
const other = given(url)
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const { workspaces, agents } = store
const record = (asked: WorkspaceIntent) => workspaces.record(asked, fence)

/** A row as the system before left it: nobody's, online, with an instance; assigned by an administrator. */
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
    assigned_namespace: 'acme',
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
  intent({ adopts: id, backend: 'docker', claim: 'adopt', generation: 7, ...more })

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
    legacy: true,
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
  const chosen = intent().id
  const asked = intent({ claim: 'adopt', adopts: chosen })
  expect(await record(asked)).toEqual({ kind: 'nothingToAdopt' })
  expect(await sql('SELECT 1 FROM workspaces WHERE id = ANY ($1)', [asked.id, chosen])).toEqual([])
  const made = rowOf(await record({ ...asked, claim: 'adoptOrCreate', template: '' }))
  expect(made).toMatchObject({ id: asked.id, status: 'provisioning', template: '', legacy: false })
  // It stays with the row it has, also when the one it asked for appears.
  await left({ id: chosen })
  expect(await record({ ...asked, claim: 'adoptOrCreate' })).toMatchObject({ changed: false, row: { id: asked.id } })
  expect(await sql('SELECT owner_uid FROM workspaces WHERE id = $1', chosen)).toEqual([{ owner_uid: null }])
  expect(await eventsOf(sql, asked.id)).toEqual(['WORKSPACE_PROVISIONING'])
})

test('a live row of another in the namespace is refused by name, and create takes nothing', async () => {
  const owner = intent()
  await record(owner)
  for (const claim of ['adopt', 'adoptOrCreate'] as const)
    expect(await record(intent({ adopts: owner.id, claim }))).toEqual({ kind: 'owned', by: owner.resourceName })
  const id = await left()
  expect(await record(intent({ id, backend: 'docker' }))).toEqual({ kind: 'stale' })
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

test('what the namespace retained can be adopted explicitly, and begins anew', async () => {
  const before = intent()
  await record(before)
  const launch = launchOf(before)
  await workspaces.launch(launch, fence)
  await agents.heartbeat(beatOf(before.id))
  await workspaces.remove(before, fence, 'Retain')
  const heir = intent({ adopts: before.id, claim: 'adopt' })
  expect(rowOf(await record(heir))).toMatchObject({
    id: before.id,
    legacy: false,
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
  await workspaces.remove(before, fence, 'Retain')
  const due = (await store.schedules.due(500)).filter(({ cron }) => cron === '0 9 * * *')
  for (const { id: scheduleId, seen } of due)
    await store.schedules.advance({ scheduleId, seen, next: new Date(), runAfter: undefined, fault: undefined }, fence)
  const schedule = () => sql('SELECT enabled, next_run_at FROM workspace_schedules WHERE workspace_id = $1', before.id)
  expect(await schedule()).toEqual([{ enabled: true, next_run_at: Number.POSITIVE_INFINITY }])
  const heir = intent({ adopts: before.id, claim: 'adopt' })
  rowOf(await record(heir))
  expect(await schedule()).toEqual([{ enabled: true, next_run_at: null }])
  // Of another pass over the same row nothing follows.
  await sql(`UPDATE workspace_schedules SET next_run_at = 'infinity' WHERE workspace_id = $1`, before.id)
  await record({ ...heir, generation: 9 })
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
  await sql(`UPDATE workspaces SET owner_uid = $2, namespace = 'acme' WHERE id = $1`, id, randomUUID())
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
    id,
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

/** The row and all that is joined to it, as text. */
const whole = async (id: string) =>
  JSON.stringify(await sql('SELECT to_jsonb(w) AS row FROM workspaces w WHERE id = $1', id))

test('a row that the namespace may not take is as if it did not exist, and another is made instead', async () => {
  const victim = { namespace: 'victim' }
  const [live, deleted, dropped, kept] = [intent(victim), intent(victim), intent(), intent(victim)]
  for (const each of [live, deleted, dropped, kept]) await record(each)
  await workspaces.remove(deleted, fence, 'Delete')
  await workspaces.remove(dropped, fence, 'Delete')
  await workspaces.remove(kept, fence, 'Retain')
  const rows = [
    live.id,
    deleted.id,
    dropped.id,
    kept.id,
    await left({ assigned_namespace: null }),
    await left({ assigned_namespace: 'victim' }),
    intent().id,
  ]
  for (const id of rows) {
    const before = await whole(id)
    expect(await record(adopt(id, { backend: 'process' }))).toEqual({ kind: 'nothingToAdopt' })
    const instead = adopt(id, { backend: 'process', claim: 'adoptOrCreate' })
    expect(rowOf(await record(instead))).toMatchObject({ id: instead.id, status: 'provisioning', legacy: false })
    expect(await whole(id)).toBe(before)
  }
})

test('an heir of another namespace gets no message, no child and no schedule of what was removed', async () => {
  const root = intent({ namespace: 'victim' })
  const poll = intent({ namespace: 'victim', deliveryMode: 'poll', parentOwnerUid: root.ownerUid })
  const child = intent({ namespace: 'victim', parentOwnerUid: poll.ownerUid })
  for (const each of [root, poll, child]) await record(each)
  await agents.logMessage({
    from: root.id,
    to: poll.id,
    method: 'm',
    outcome: 'queued',
    body: JSON.stringify({ secret: 'merger' }),
  })
  await workspaces.remove(poll, fence, 'Delete')
  const heir = intent({ namespace: 'attacker', adopts: poll.id, claim: 'adoptOrCreate', deliveryMode: 'poll' })
  const { id } = rowOf(await record(heir))
  expect(await agents.takeMessages(id, 10, minutes(1))).toEqual([])
  expect(await agents.mayTalk(id, child.id)).toBe(false)
})

test('what an administrator assigns is adopted once, by that namespace, and the row knows where it came from', async () => {
  const id = await left({ assigned_namespace: 'victim' })
  const asked = adopt(id)
  expect(await record(asked)).toEqual({ kind: 'nothingToAdopt' })
  await sql(`UPDATE workspaces SET assigned_namespace = 'acme' WHERE id = $1`, id)
  expect(rowOf(await record(asked))).toMatchObject({ id, legacy: true })
  expect(await sql('SELECT assigned_namespace FROM workspaces WHERE id = $1', id)).toEqual([
    { assigned_namespace: null },
  ])
  await workspaces.remove(asked, fence, 'Retain')
  expect(rowOf(await record(adopt(id)))).toMatchObject({ id, legacy: true })
})

test('a row may be found in the batch by two of one namespace: a canvas and a name are written once', async () => {
  const id = await left()
  const canvas = { x: 1, y: 1, collapsed: false }
  const two = [adopt(id, { canvas }), adopt(id, { canvas })]
  const kinds = (await Promise.all(two.map(record))).map(({ kind }) => kind)
  expect(kinds.sort()).toEqual(['recorded', 'stale'])
})

test('a container is of a namespace where the row that names it is assigned to it', async () => {
  const container = 'c'.repeat(64)
  const byId = await left({ instance_id: container.slice(0, 12), assigned_namespace: 'ids' })
  const byName = await left({ instance_id: null, assigned_namespace: 'names' })
  await left({ instance_id: 'd'.repeat(64), assigned_namespace: null })
  const name = `ws-${byName.slice(0, 12)}`
  const assigned = (namespace: string, instance: { id: string; name: string }, at = 'docker') =>
    workspaces.isAssigned(namespace, at, instance)
  const unnamed = { id: container, name: 'some-name' }
  expect(await assigned('ids', unnamed)).toBe(true)
  expect(await assigned('names', { id: 'e'.repeat(64), name })).toBe(true)
  for (const refused of [
    assigned('names', unnamed),
    assigned('ids', { id: 'e'.repeat(64), name }),
    assigned('ids', unnamed, 'process'),
    assigned('', { id: 'd'.repeat(64), name: 'x' }),
    assigned('ids', { id: 'd'.repeat(64), name: 'x' }),
  ])
    expect(await refused).toBe(false)
  // Once the row is somebody's, so is what it names.
  rowOf(await record(adopt(byId, { namespace: 'ids' })))
  expect(await assigned('ids', unnamed)).toBe(false)
})
