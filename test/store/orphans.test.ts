/** The orphan collector's side of the rows: the census, the quarantine, and what a removal writes down for it. */
import { randomUUID } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { Fenced } from '../../src/errors.ts'
import type { Suspect } from '../../src/store/orphan-store.ts'
import type { WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { asWritten, fenceOf, given, intent, keyOf, launchOf, lease } from './given.ts'

const { store, sql } = given(await database())
const { orphans, workspaces } = store
const fence = fenceOf(await store.leaders.begin(lease, 'me'))

beforeEach(async () => {
  for (const table of ['workspaces', 'orphans', 'retained_instances', 'structure_events', 'orphan_collectors'])
    await sql(`DELETE FROM ${table}`)
})

async function recorded(more: Partial<WorkspaceIntent> = {}): Promise<WorkspaceIntent> {
  const wanted = intent(more)
  await workspaces.record(wanted, fence)
  return wanted
}

const suspect = (more: Partial<Suspect> = {}): Suspect => ({
  plane: 'instance',
  backend: 'docker',
  ownerUid: randomUUID(),
  namespace: 'acme',
  resourceName: 'agent',
  cause: 'nobody knows it',
  ...more,
})

const told = () => sql(`SELECT event_type, workspace_id, payload FROM structure_events ${asWritten}`)

test('a census finds live rows of owners that are not there, and says nothing of the others', async () => {
  const [here, gone, removed] = [await recorded(), await recorded({ deletionPolicy: 'Retain' }), await recorded()]
  await workspaces.remove(removed, fence)
  const census = await orphans.census([here.ownerUid], [])
  expect(census.total).toBe(3)
  expect(census.retained).toEqual([])
  expect(census.rows).toEqual([
    {
      id: gone.id,
      ownerUid: gone.ownerUid,
      namespace: gone.namespace,
      resourceName: gone.resourceName,
      backend: 'process',
      instanceId: undefined,
      live: true,
      deletionPolicy: 'Retain',
    },
  ])
})

test('a row that nobody owns is not told of, live or not', async () => {
  const legacy = await recorded()
  await sql(`UPDATE workspaces SET owner_uid = NULL, instance_id = 'i-1' WHERE id = $1`, legacy.id)
  expect((await orphans.census([], [{ ownerUid: '', instanceId: 'i-1' }])).rows).toEqual([])
})

test('of strays every row is told: by owner, removed ones too, and by the instance it names', async () => {
  const [removed, adopter] = [await recorded(), await recorded()]
  await workspaces.remove(removed, fence, 'Delete')
  await workspaces.launch(launchOf(adopter), fence)
  const facts = { ...keyOf(adopter), instanceId: 'i-7', url: '', imageDigest: undefined }
  await workspaces.observed(facts, fence)
  const strays = [
    { ownerUid: removed.ownerUid, instanceId: '' },
    { ownerUid: 'somebody', instanceId: 'i-7' },
  ]
  const { rows } = await orphans.census([adopter.ownerUid], strays)
  expect(rows.map(({ ownerUid, live, deletionPolicy }) => ({ ownerUid, live, deletionPolicy }))).toEqual(
    expect.arrayContaining([
      { ownerUid: removed.ownerUid, live: false, deletionPolicy: 'Delete' },
      { ownerUid: adopter.ownerUid, live: true, deletionPolicy: undefined },
    ]),
  )
  expect(rows).toHaveLength(2)
})

test('the last word on what to keep is written with the removal, and may still change after it', async () => {
  const made = await recorded({ deletionPolicy: 'Delete' })
  const policy = async () => (await sql('SELECT deletion_policy AS p FROM workspaces WHERE id = $1', made.id))[0]?.['p']
  const stray = [{ ownerUid: made.ownerUid, instanceId: '' }]
  const retained = async () => (await orphans.census([], stray)).retained
  await workspaces.record({ ...made, generation: 2, deletionPolicy: 'Retain' }, fence)
  expect(await policy()).toBe('Retain')
  expect(await retained()).toEqual([])
  await workspaces.remove(made, fence)
  expect([await policy(), await retained()]).toEqual(['Retain', [made.ownerUid]])
  await workspaces.remove(made, fence, 'Delete')
  expect([await policy(), await retained()]).toEqual(['Delete', []])
  await workspaces.remove(made, fence, 'Retain')
  expect([await policy(), await retained()]).toEqual(['Retain', [made.ownerUid]])
})

test('what was retained is known even when the row is gone or another’s', async () => {
  const made = await recorded()
  await workspaces.remove(made, fence, 'Retain')
  await sql('DELETE FROM workspaces WHERE id = $1', made.id)
  expect(await orphans.census([], [{ ownerUid: made.ownerUid, instanceId: '' }])).toEqual({
    total: 0,
    rows: [],
    retained: [made.ownerUid],
  })
})

test('who is found enters the quarantine and grows older; who is no longer found leaves it', async () => {
  const [a, b] = [suspect(), suspect({ plane: 'volume' })]
  const first = await orphans.quarantine([a, b], fence)
  expect(first.held.map(({ suspect }) => suspect)).toEqual(expect.arrayContaining([a, b]))
  expect(first.held.every(({ age, reported }) => age < 1000 && !reported)).toBe(true)
  await sql(`UPDATE orphans SET found_at = now() - interval '1 hour'`)
  const again = await orphans.quarantine([a], fence)
  expect(again.held).toHaveLength(1)
  expect(again.held[0]?.age).toBeGreaterThan(3_000_000)
  expect(again.gone).toEqual([])
  expect((await orphans.quarantine([b], fence)).held[0]?.age).toBeLessThan(1000)
  expect(await orphans.quarantine([], fence)).toEqual({ held: [], gone: [] })
  expect(await told()).toEqual([])
})

test('who was taken and is no longer found is told of, once, with the sweep that took it', async () => {
  const made = await recorded()
  const [taken, sweep] = [suspect({ ownerUid: made.ownerUid }), randomUUID()]
  await sql('DELETE FROM structure_events')
  await orphans.quarantine([taken], fence)
  await orphans.mark(taken, 'taken', sweep, fence)
  expect((await orphans.quarantine([taken], fence)).gone).toEqual([])
  expect((await orphans.quarantine([], fence)).gone).toEqual([taken])
  expect((await orphans.quarantine([], fence)).gone).toEqual([])
  expect(await told()).toEqual([
    {
      event_type: 'ORPHAN_REMOVED',
      workspace_id: made.id,
      payload: {
        plane: 'instance',
        backend: 'docker',
        uid: made.ownerUid,
        namespace: 'acme',
        name: 'agent',
        cause: 'nobody knows it',
        reconcileId: sweep,
      },
    },
  ])
})

test('a report is told once, however often it is made', async () => {
  const reported = suspect()
  await orphans.quarantine([reported], fence)
  for (let i = 0; i < 3; i++) await orphans.mark(reported, 'reported', randomUUID(), fence)
  expect((await told()).map(({ event_type }) => event_type)).toEqual(['ORPHAN_REPORTED'])
  expect((await orphans.quarantine([reported], fence)).held[0]?.reported).toBe(true)
})

test('the first run is that of one epoch, and stays it', async () => {
  expect([await orphans.firstRun(fence), await orphans.firstRun(fence)]).toEqual([true, true])
  const later = fenceOf(await store.leaders.begin(lease, 'another'))
  expect([await orphans.firstRun(later), await orphans.firstRun(later)]).toEqual([false, false])
})

test('a leader whose epoch is over writes nothing', async () => {
  const old = fenceOf(await store.leaders.begin(lease, 'me'))
  await store.leaders.begin(lease, 'another')
  await expect(orphans.quarantine([suspect()], old)).rejects.toThrow(Fenced)
  await expect(orphans.mark(suspect(), 'taken', randomUUID(), old)).rejects.toThrow(Fenced)
  await expect(orphans.firstRun(old)).rejects.toThrow(Fenced)
  expect(await sql('SELECT FROM orphans')).toEqual([])
  expect(await sql('SELECT FROM orphan_collectors')).toEqual([])
})
