/** Orphans on a real API server and database: a Workspace deleted by force while nobody watched. */
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { controlPlane, namespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { fakeWithAgents, startOperator, type TestOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const databaseUrl = await database()
const backend = fakeWithAgents()
const db = new Client({ connectionString: databaseUrl })
const env = { LEASE_NAME: 'test-orphans', ORPHAN_GRACE: '1s', BACKENDS: 'fake' }
let operator: TestOperator | undefined

const start = async () => (operator = await startOperator({ databaseUrl, backends: [backend], env }))
const stop = async () => operator?.stop()

beforeAll(async () => {
  await db.connect()
  await until(() => cluster.apply([runtime('orphans-agent', { default: true })]))
})
afterAll(async () => {
  await stop()
  await cluster.kubectl(['delete', 'runtime', '--all', '--wait=false'])
  const unlock = ['patch', 'runtime', 'orphans-agent', '--type=merge', '-p', '{"metadata":{"finalizers":null}}']
  await cluster.kubectl(unlock).catch(() => undefined)
  await db.end()
})

async function ready(name: string, spec: object = {}): Promise<string> {
  await cluster.apply([workspace(ns, name, spec)])
  const made = await until(
    async () => {
      const found = await readWorkspace(cluster, ns, name)
      expect(conditionOf(found.status, 'Ready')).toBe('True Settled')
      return found
    },
    { what: `${name} to be ready`, within: 30_000 },
  )
  return made.metadata.uid
}

async function paused(name: string): Promise<void> {
  const phase = async () => (await readWorkspace(cluster, ns, name)).status?.phase
  await until(async () => (await phase()) === 'paused', { what: `${name} to be paused`, within: 30_000 })
}

/** Takes the finalizer off by hand, and the object away. */
async function force(name: string): Promise<void> {
  await cluster.kubectl(['patch', 'ws', name, '-n', ns, '--type=merge', '-p', '{"metadata":{"finalizers":null}}'])
  await cluster.kubectl(['delete', 'ws', name, '-n', ns])
}

const statusOf = async (uid: string): Promise<unknown> =>
  (await db.query('SELECT status FROM workspaces WHERE id = $1', [uid])).rows[0]?.status
const liveTokens = async (uid: string): Promise<number> =>
  (await db.query('SELECT FROM workspace_auth_tokens WHERE workspace_id = $1 AND revoked_at IS NULL', [uid]))
    .rowCount ?? 0
const told = async (uid: string): Promise<unknown[]> =>
  (
    await db.query(
      `SELECT event_type || ' ' || (payload ->> 'plane') AS told FROM structure_events
       WHERE workspace_id = $1 AND event_type LIKE 'ORPHAN%' ORDER BY created_at, 1`,
      [uid],
    )
  ).rows.map((row: { told: string }) => row.told)

const eventList = z.object({
  items: z.array(
    z.object({ reason: z.string(), note: z.string(), regarding: z.object({ uid: z.string().optional() }) }),
  ),
})
async function eventsOf(uid: string): Promise<readonly string[]> {
  const { items } = eventList.parse(await cluster.getJson('events.events.k8s.io', '-n', ns))
  return items.filter(({ regarding }) => regarding.uid === uid).map(({ reason }) => reason)
}
async function metric(line: string): Promise<number> {
  const text = await (await fetch(`${operator?.healthUrl ?? ''}/metrics`)).text()
  return Number(
    text
      .split('\n')
      .find((each) => each.startsWith(`molecule_operator_${line} `))
      ?.split(' ')[1],
  )
}

test('the first run reports, the next removes; Retain and the living are left', async () => {
  await start()
  const [gone, retained, kept, deleted] = [
    await ready('gone'),
    await ready('retained', { deletionPolicy: 'Retain' }),
    await ready('kept'),
    await ready('deleted', { deletionPolicy: 'Retain' }),
  ]
  await cluster.kubectl(['delete', 'ws', 'deleted', '-n', ns])
  await cluster.apply([workspace(ns, 'resting', { power: 'Paused' })])
  await paused('resting')
  await stop()
  await force('gone')
  await force('retained')
  await force('resting')
  // Somebody applies it anew: the name is taken until the old row is gone.
  await cluster.apply([workspace(ns, 'gone'), workspace(ns, 'resting', { power: 'Paused' })])

  // The same first run goes on only within its epoch: this start is a later one, so the record of it is taken back.
  await db.query('DELETE FROM orphan_collectors')
  await start()
  await until(async () => (await eventsOf(gone)).includes('OrphanFound'), { what: 'the report', within: 40_000 })
  expect(await told(gone)).toEqual(['ORPHAN_REPORTED row'])
  expect([await statusOf(gone), backend.has(gone)]).toEqual(['online', true])
  expect(await metric('orphans_reported_total{plane="row"}')).toBeGreaterThan(0)
  await stop()

  await start()
  await until(async () => (await metric('orphans_removed_total{plane="volume"}')) === 1, {
    what: 'the volumes to go',
    within: 40_000,
  })
  expect([await statusOf(gone), await liveTokens(gone)]).toEqual(['removed', 0])
  expect([backend.has(gone), backend.volumes.has(gone)]).toEqual([false, false])
  expect((await told(gone)).slice(1)).toEqual([
    'ORPHAN_REMOVED row',
    'ORPHAN_REMOVED instance',
    'ORPHAN_REMOVED volume',
  ])
  await until(async () => (await eventsOf(gone)).includes('OrphanRemoved'), { what: 'the event' })
  await until(async () => conditionOf((await readWorkspace(cluster, ns, 'gone')).status, 'Ready') === 'True Settled', {
    what: 'the new one of that name to run',
    within: 30_000,
  })
  // Nothing but its old row stood in the way: no instance ended that could have told.
  await paused('resting')
  expect([await statusOf(retained), backend.has(retained), backend.volumes.has(retained)]).toEqual([
    'removed',
    true,
    true,
  ])
  expect([backend.has(deleted), backend.volumes.has(deleted)]).toEqual([true, true])
  expect([await statusOf(kept), backend.has(kept)]).toEqual(['online', true])
  expect(await metric('orphan_sweep_held{reason="ResourcesEmpty"}')).toBe(0)
})
