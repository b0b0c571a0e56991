/** Rows that are ahead of their resource, or removed while it lives: what follows a restored API server. */
import { expect, test } from 'vitest'
import { Fenced } from '../../src/errors.ts'
import { database } from '../support/database.ts'
import { eventsOf, fenceOf, given, intent, keyOf, launchOf, lease, rowOf } from './given.ts'

const { store, sql } = given(await database())
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const { workspaces } = store
const rowById = async (id: string) => (await sql('SELECT * FROM workspaces WHERE id = $1', id))[0]

test('a row that is ahead follows its resource, and keeps what runs', async () => {
  const asked = intent({ generation: 6, role: 'Counts to 5.', specHash: 'hash-6' })
  await workspaces.record(asked, fence)
  await workspaces.launch(launchOf(asked, 'hash-6'), fence)
  const back = { ...asked, generation: 2, role: 'Counts again.', specHash: 'hash-2' }
  expect(await workspaces.record(back, fence)).toEqual({ kind: 'stale' })
  const row = rowOf(await workspaces.follow(back, fence))
  expect(row).toMatchObject({ id: asked.id, status: 'provisioning', launchedHash: 'hash-6' })
  expect(await rowById(asked.id)).toMatchObject({
    observed_generation: '2',
    role: 'Counts again.',
    spec_hash: 'hash-2',
  })
  // From there on it is a row like any other.
  expect(await workspaces.record(back, fence)).toMatchObject({ kind: 'recorded', changed: false })
  expect(await workspaces.record({ ...back, generation: 3 }, fence)).toMatchObject({ changed: true })
  expect(await workspaces.record(back, fence)).toEqual({ kind: 'stale' })
})

test('a removed row begins anew under its id: nothing launched, no token, a place in the world', async () => {
  const asked = intent({ canvas: { x: 1, y: 2, collapsed: false } })
  await workspaces.record(asked, fence)
  await workspaces.launch(launchOf(asked), fence)
  await workspaces.observed({ ...keyOf(asked), instanceId: 'i-1', url: 'http://a', imageDigest: undefined }, fence)
  await store.parts.recordParts(
    {
      ...keyOf(asked),
      generation: 1,
      hash: 'h',
      schedules: [],
      channels: [],
      keptChannels: [],
      memories: [],
      plugins: [],
      routing: {},
    },
    fence,
  )
  await workspaces.remove(asked, fence, 'Retain')
  expect(await workspaces.record(asked, fence)).toEqual({ kind: 'stale' })
  const row = rowOf(await workspaces.follow(asked, fence))
  expect(row).toMatchObject({ id: asked.id, status: 'provisioning', launchAttempts: 0, restarts: 0 })
  expect([row.launchedHash, row.launchedAt, row.registeredAt, row.instanceId, row.partsHash]).toEqual(
    Array.from({ length: 5 }, () => undefined),
  )
  expect(await workspaces.find(asked)).toMatchObject({ id: asked.id })
  expect(
    await sql('SELECT 1 FROM workspace_auth_tokens WHERE workspace_id = $1 AND revoked_at IS NULL', asked.id),
  ).toEqual([])
  expect(await sql('SELECT 1 FROM retained_instances WHERE owner_uid = $1', asked.ownerUid)).toEqual([])
  expect(await sql('SELECT x FROM canvas_layouts WHERE workspace_id = $1', asked.id)).toEqual([{ x: 1 }])
  expect((await eventsOf(sql, asked.id)).slice(-2)).toEqual(['WORKSPACE_REMOVED', 'WORKSPACE_PROVISIONING'])
  // Twice is once.
  expect(await workspaces.follow(asked, fence)).toMatchObject({ kind: 'recorded', changed: false })
})

test.each(['follows its resource', 'is adopted'])(
  'of a removed row that %s, the schedules go on that its agent had on, and no others',
  async (way) => {
    const asked = intent()
    await workspaces.record(asked, fence)
    await sql(
      `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt, enabled, next_run_at)
       VALUES ($1, 'on', '0 9 * * *', 'Mine.', true, now()), ($1, 'off', '0 9 * * *', 'Mine.', false, now())`,
      asked.id,
    )
    // Twice, as by a pass that was repeated.
    for (let i = 0; i < 2; i++) await workspaces.remove(asked, fence, 'Delete')
    const found = await sql('SELECT id, enabled FROM workspace_schedules WHERE workspace_id = $1', asked.id)
    expect(found.map(({ enabled }) => enabled)).toEqual([false, false])
    const due = new Set((await store.schedules.due(1000)).map(({ id }) => id))
    expect(found.filter(({ id }) => due.has(String(id)))).toEqual([])
    if (way === 'is adopted') {
      // The policy may change while the deletion waits.
      await workspaces.remove(asked, fence, 'Retain')
      rowOf(await workspaces.record(intent({ claim: 'adopt', adopts: asked.id }), fence))
    } else rowOf(await workspaces.follow(asked, fence))
    expect(
      await sql(
        'SELECT name, enabled, next_run_at FROM workspace_schedules WHERE workspace_id = $1 ORDER BY name',
        asked.id,
      ),
    ).toEqual([
      { name: 'off', enabled: false, next_run_at: null },
      { name: 'on', enabled: true, next_run_at: null },
    ])
  },
)

test('one that has an adopted row follows that, not one of its own id', async () => {
  const left = intent()
  await workspaces.record(left, fence)
  await workspaces.remove(left, fence, 'Retain')
  const heir = intent({ claim: 'adopt', adopts: left.id })
  expect(rowOf(await workspaces.record(heir, fence)).id).toBe(left.id)
  await workspaces.remove(heir, fence, 'Delete')
  expect(rowOf(await workspaces.follow(heir, fence)).id).toBe(left.id)
  expect(await rowById(heir.id)).toBeUndefined()
  // Its first owner, put back as well, has lost it for good.
  expect(await workspaces.record(left, fence)).toEqual({ kind: 'stale' })
  expect(await workspaces.follow(left, fence)).toEqual({ kind: 'foreign' })
  expect(await rowById(left.id)).toMatchObject({ owner_uid: heir.ownerUid })
})

test('a row of another owner or namespace is never followed', async () => {
  const asked = intent({ generation: 5 })
  await workspaces.record(asked, fence)
  const before = await rowById(asked.id)
  expect(await workspaces.follow({ ...asked, generation: 1, ownerUid: 'another' }, fence)).toEqual({ kind: 'foreign' })
  expect(await workspaces.follow({ ...asked, generation: 1, namespace: 'other' }, fence)).toEqual({ kind: 'foreign' })
  expect(await rowById(asked.id)).toEqual(before)
})

test('what begins anew is judged like what is new: by its name, and by its parent', async () => {
  const parent = intent()
  const child = intent({ parentOwnerUid: parent.ownerUid, displayName: 'Child' })
  await Promise.all([parent, child].map((each) => workspaces.record(each, fence)))
  await Promise.all([parent, child].map((each) => workspaces.remove(each, fence, 'Delete')))
  // It keeps its place below a parent that is still to begin anew, as a child whose parent is removed does.
  rowOf(await workspaces.follow(child, fence))
  const other = intent({ parentOwnerUid: 'nobody', displayName: 'Lost' })
  expect(await workspaces.follow(other, fence)).toEqual({ kind: 'parentMissing' })
  rowOf(await workspaces.follow(parent, fence))
  const twin = intent({ parentOwnerUid: parent.ownerUid, displayName: 'Child' })
  expect(await workspaces.record(twin, fence)).toMatchObject({ kind: 'siblingTaken' })
  await workspaces.remove(child, fence, 'Delete')
  rowOf(await workspaces.record(twin, fence))
  expect(await workspaces.follow(child, fence)).toEqual({ kind: 'siblingTaken', by: twin.resourceName })
  expect(await rowById(child.id)).toMatchObject({ status: 'removed' })
})

test('a leader of an earlier epoch changes nothing', async () => {
  const asked = intent({ generation: 4 })
  await workspaces.record(asked, fence)
  const stale = fenceOf(fence.epoch - 1n)
  await expect(workspaces.follow({ ...asked, generation: 1 }, stale)).rejects.toThrow(Fenced)
  expect(await rowById(asked.id)).toMatchObject({ observed_generation: '4' })
})
