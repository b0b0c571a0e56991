/** What a user can do with a Workspace once it runs, on a real API server and database; instances are counted fakes. */
import { setTimeout as wait } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { administrator, pathOf } from '../support/admin.ts'
import { adminToken, fakeWithAgents, startOperator, type TestOperator } from '../support/operator.ts'
import { settling } from '../support/settling.ts'
import { until } from '../support/until.ts'
import { conditionOf, readWorkspace, removeRuntimes, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ask = administrator(cluster)
const ns = await namespace(cluster)
const databaseUrl = await database()
const backend = fakeWithAgents()
const db = new Client({ connectionString: databaseUrl })
let operator: TestOperator

beforeAll(async () => {
  await db.connect()
  await openNamespace(ns, cluster)
  await until(() => cluster.apply([runtime('life', { default: true })]))
  operator = await startOperator({ databaseUrl, backends: [backend], env: { BACKENDS: 'fake' } })
})
afterAll(async () => {
  await operator.stop()
  await removeRuntimes(cluster, 'life')
  await db.end()
})

const get = (name: string) => readWorkspace(cluster, ns, name)
const apply = (name: string, spec: object = {}, metadata: object = {}) =>
  cluster.apply([workspace(ns, name, spec, metadata)])
const annotate = (name: string, key: string, value: string) =>
  cluster.kubectl(['annotate', 'ws', name, '-n', ns, '--overwrite', `molecule.dev/${key}=${value}`])

const settles = settling(get)
const ready = async (name: string) => (await settles(name, 'Ready', 'True Settled')).metadata.uid

async function rowOf(id: string) {
  const { rows } = await db.query('SELECT * FROM workspaces WHERE id = $1', [id])
  return rows[0] as Record<string, unknown> | undefined
}
const statusOf = async (id: string) => (await rowOf(id))?.['status']

/** How often a row became that: what lasts for a moment only cannot be waited for. */
async function times(id: string, became: string): Promise<number> {
  const events = 'SELECT 1 FROM structure_events WHERE workspace_id = $1 AND event_type = $2'
  return (await db.query(events, [id, `WORKSPACE_${became}`])).rowCount ?? 0
}

const post = (path: string, token: string, body: object) =>
  fetch(`${operator.platformUrl}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const message = (uid: string) =>
  post(`/workspaces/${uid}/a2a`, adminToken, {
    jsonrpc: '2.0',
    id: '1',
    method: 'message/send',
    params: { message: { role: 'user', messageId: 'm1', parts: [{ kind: 'text', text: 'hello' }] } },
  })
const beat = (uid: string, tasks: number, at = backend) =>
  post('/registry/heartbeat', at.volumes.get(uid)?.get('.auth_token') ?? '', {
    workspace_id: uid,
    active_tasks: tasks,
    error_rate: 0,
  })

describe('restart', () => {
  test('ten within a second are one replacement', async () => {
    await apply('again')
    const uid = await ready('again')
    // Half a second of quiet ends a burst: on a machine that stood still in the middle of it there were more.
    let bursts = 1
    for (let i = 0, before = performance.now(); i < 10; i++) {
      const annotations = { 'molecule.dev/restarted-at': `t${i}` }
      await ask('PATCH', pathOf(ns, 'again'), { metadata: { annotations } })
      await wait(80)
      if (performance.now() - before > 350) bursts++
      before = performance.now()
    }
    await until(() => (backend.creates.get(uid) ?? 0) > 1)
    await annotate('again', 'reconcile-requested-at', 'r0')
    const after = await until(async () => {
      const found = await settles('again', 'Ready', 'True Settled')
      expect(found.status?.lastHandledReconcileAt).toBe('r0')
      return found
    })
    const replaced = after.status?.instance?.restarts ?? 0
    expect(replaced).toBeGreaterThanOrEqual(1)
    expect(replaced).toBeLessThanOrEqual(bursts)
    expect(backend.creates.get(uid)).toBe(1 + replaced)
  })

  test('the same annotation again restarts nothing', async () => {
    const { metadata } = await get('again')
    const before = backend.creates.get(metadata.uid)
    await annotate('again', 'restarted-at', metadata.annotations?.['molecule.dev/restarted-at'] ?? '')
    await annotate('again', 'reconcile-requested-at', 'r1')
    await until(async () => (await get('again')).status?.lastHandledReconcileAt === 'r1')
    expect(backend.creates.get(metadata.uid)).toBe(before)
  })
})

describe('pause of an ancestor', () => {
  const below = ['lead', 'lead-a', 'lead-b', 'lead-a-1', 'own-pause']
  test('descendants pause by consequence and come back top-down; their specs are never touched', async () => {
    await apply('boss')
    await apply('lead', { parentRef: { name: 'boss' } })
    await apply('lead-a', { parentRef: { name: 'lead' } })
    await apply('lead-b', { parentRef: { name: 'lead' } })
    await apply('lead-a-1', { parentRef: { name: 'lead-a' } })
    await apply('own-pause', { parentRef: { name: 'lead' }, power: 'Paused' })
    for (const name of ['boss', ...below.slice(0, -1)]) await ready(name)
    await cluster.kubectl(['patch', 'ws', 'boss', '-n', ns, '--type=merge', '-p', '{"spec":{"power":"Paused"}}'])
    for (const name of below.slice(0, -1)) {
      const paused = await settles(name, 'Ready', 'True Paused')
      expect(paused.status?.effectivePower).toMatchObject({ state: 'Paused', reason: 'AncestorPaused', by: 'boss' })
      expect(paused.metadata.generation).toBe(1)
      expect(backend.has(paused.metadata.uid)).toBe(false)
      expect(await statusOf(paused.metadata.uid)).toBe('paused')
    }
    await cluster.kubectl(['patch', 'ws', 'boss', '-n', ns, '--type=merge', '-p', '{"spec":{"power":"Running"}}'])
    // Instances have the numbers in which they were made.
    const started: number[] = []
    for (const name of ['boss', 'lead', 'lead-a', 'lead-a-1']) {
      const { status } = await settles(name, 'Ready', 'True Settled')
      started.push(Number(status?.instance?.id?.split('-')[1]))
    }
    expect(started.filter((number) => number > 0)).toHaveLength(4)
    expect([...started].sort((a, b) => a - b)).toEqual(started)
    const own = await settles('own-pause', 'Ready', 'True Paused')
    expect(own.status?.effectivePower).toMatchObject({ reason: 'AsAsked' })
    expect(backend.has(own.metadata.uid)).toBe(false)
  })
})

test('a pause stops what runs, also when nothing else of the spec can be followed', async () => {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'fleeting', namespace: ns } }
  await cluster.apply([{ ...secret, stringData: { KEY: 'v' } }])
  const spec = { envFrom: [{ secretRef: { name: 'fleeting' } }] }
  await apply('needy', spec)
  const uid = await ready('needy')
  await cluster.kubectl(['delete', 'secret', 'fleeting', '-n', ns])
  await settles('needy', 'Ready', 'False SecretMissing')
  expect(backend.has(uid)).toBe(true)
  await apply('needy', { ...spec, power: 'Paused' })
  const paused = await settles('needy', 'Ready', 'False SecretMissing')
  expect(paused.status).toMatchObject({ phase: 'paused', effectivePower: { state: 'Paused', reason: 'AsAsked' } })
  expect([backend.has(uid), await statusOf(uid)]).toEqual([false, 'paused'])
})

describe('sleep and wake', () => {
  test('an idle agent sleeps; Ready stays true, the spec is not touched, the volume is kept', async () => {
    await apply('dozer')
    const uid = await ready('dozer')
    backend.volumes.get(uid)?.set('memory.md', 'kept')
    await apply('dozer', { hibernation: { idleAfter: '1s' } })
    const asleep = await settles('dozer', 'Ready', 'True Hibernated')
    expect(asleep.status?.effectivePower).toMatchObject({ state: 'Hibernated', reason: 'Idle' })
    expect(asleep.metadata.generation).toBe(2)
    expect(backend.has(uid)).toBe(false)
    expect(await statusOf(uid)).toBe('hibernated')
    expect(backend.volumes.get(uid)?.get('memory.md')).toBe('kept')
  })

  test('a message wakes it: 503 with Retry-After 15, and the same identity comes back', async () => {
    const { uid } = (await get('dozer')).metadata
    const told = await message(uid)
    expect([told.status, told.headers.get('retry-after')]).toEqual([503, '15'])
    await until(async () => (await times(uid, 'ONLINE')) === 2, { within: 30_000 })
    expect(backend.creates.get(uid)).toBe(2)
    expect(backend.volumes.get(uid)?.get('memory.md')).toBe('kept')
    await until(async () => (await times(uid, 'HIBERNATED')) === 2, { within: 30_000 })
    await settles('dozer', 'Ready', 'True Hibernated')
  })

  test('wake-at wakes it at its time, once', async () => {
    const { uid } = (await get('dozer')).metadata
    const [before, slept] = [backend.creates.get(uid) ?? 0, await times(uid, 'HIBERNATED')]
    await annotate('dozer', 'wake-at', new Date(Date.now() + 1500).toISOString())
    await until(async () => (await times(uid, 'HIBERNATED')) > slept, { within: 30_000 })
    await annotate('dozer', 'reconcile-requested-at', 'r1')
    await until(async () => (await get('dozer')).status?.lastHandledReconcileAt === 'r1')
    await settles('dozer', 'Ready', 'True Hibernated')
    expect([backend.creates.get(uid), await times(uid, 'HIBERNATED')]).toEqual([before + 1, slept + 1])
  })

  test('an agent at work is not put to sleep, and is once its task has ended', async () => {
    await apply('worker')
    const uid = await ready('worker')
    expect((await beat(uid, 1)).status).toBe(200)
    await apply('worker', { hibernation: { idleAfter: '3s' } })
    const busy = performance.now() + 5000
    const seen = new Set<unknown>()
    while (performance.now() < busy) {
      expect((await beat(uid, 1)).status).toBe(200)
      seen.add(await statusOf(uid))
      await wait(50)
    }
    expect([...seen]).toEqual(['online'])
    expect((await beat(uid, 0)).status).toBe(200)
    await settles('worker', 'Ready', 'True Hibernated', 45_000)
  })
})

describe('an end set in advance', () => {
  test('is announced an hour ahead, and pauses', async () => {
    const ending = (ms: number) => ({
      lifetime: { expiresAt: new Date(Date.now() + ms).toISOString(), action: 'Pause' },
    })
    await apply('short', ending(2 * 3_600_000))
    const uid = await ready('short')
    expect(conditionOf((await get('short')).status, 'Expiring')).toBeUndefined()
    await apply('short', ending(1_800_000))
    await settles('short', 'Expiring', 'True LifetimeEnds')
    await apply('short', ending(2_000))
    const paused = await settles('short', 'Ready', 'True Paused')
    expect(paused.status?.effectivePower).toMatchObject({ reason: 'Expired' })
    expect(conditionOf(paused.status, 'Expiring')).toBeUndefined()
    expect(backend.has(uid)).toBe(false)
  })

  test('or deletes, with the instance', async () => {
    await apply('brief')
    const uid = await ready('brief')
    const age = Date.now() - Date.parse((await get('brief')).metadata.creationTimestamp)
    await apply('brief', { lifetime: { expiresAfter: `${Math.ceil(age / 1000) + 2}s`, action: 'Delete' } })
    const names = async () => (await cluster.kubectl(['get', 'ws', '-n', ns, '-o', 'name'])).split('\n')
    await until(async () => !(await names()).some((each) => each.endsWith('/brief')), { within: 45_000 })
    expect([backend.has(uid), await statusOf(uid)]).toEqual([false, 'removed'])
  })
})

describe('deletion', () => {
  test('a child of a deleted parent goes on, and says so', async () => {
    await apply('old')
    await apply('young', { parentRef: { name: 'old' } })
    const parent = await ready('old')
    const uid = await ready('young')
    await cluster.kubectl(['delete', 'ws', 'old', '-n', ns])
    const orphan = await settles('young', 'ParentFound', 'False ParentMissing')
    expect(conditionOf(orphan.status, 'Ready')).toBe('True Settled')
    expect(backend.creates.get(uid)).toBe(1)
    expect((await rowOf(uid))?.['parent_id']).toBe(parent)
  })

  test('Cascade takes the whole subtree, from the leaves up', async () => {
    await apply('top', { childrenPolicy: 'Cascade' })
    await apply('mid', { parentRef: { name: 'top' } })
    await apply('leaf', { parentRef: { name: 'mid' } })
    const uids = [await ready('top'), await ready('mid'), await ready('leaf')]
    await cluster.kubectl(['delete', 'ws', 'top', '-n', ns, '--timeout=60s'])
    for (const uid of uids) expect([backend.has(uid), await statusOf(uid)]).toEqual([false, 'removed'])
    const { rows } = await db.query<{ workspace_id: string }>(
      `SELECT workspace_id FROM structure_events
       WHERE event_type = 'WORKSPACE_REMOVED' AND workspace_id = ANY($1) ORDER BY created_at`,
      [uids],
    )
    expect(rows.map((row) => row.workspace_id)).toEqual([uids[0], uids[2], uids[1]])
  })

  test('a backend that is gone for good is given up after the time that the spec allows, and the leak is written down', async () => {
    await apply('ghost', { deletion: { giveUpAfter: '2s' } })
    const uid = await ready('ghost')
    const heal = backend.fail('observe', new Error('connection refused'), Number.POSITIVE_INFINITY)
    await cluster.kubectl(['delete', 'ws', 'ghost', '-n', ns, '--timeout=60s'])
    heal()
    const { rows } = await db.query('SELECT * FROM leaked_instances WHERE workspace_id = $1', [uid])
    expect(rows).toHaveLength(1)
    expect(backend.has(uid)).toBe(true)
  })
})

describe('what changes in a spec', () => {
  const env = (value: string) => ({ env: [{ name: 'LEVEL', value }] })

  test('WhenIdle waits for the task at work, and says so', async () => {
    await apply('patient', env('1'))
    const uid = await ready('patient')
    expect((await beat(uid, 1)).status).toBe(200)
    await apply('patient', env('2'))
    const waiting = await settles('patient', 'Reconciling', 'True WaitsForIdle')
    expect(conditionOf(waiting.status, 'Ready')).toBe('True Settled')
    expect(backend.creates.get(uid)).toBe(1)
    await beat(uid, 0)
    await until(() => backend.creates.get(uid) === 2, { within: 40_000 })
    await until(async () => {
      expect(conditionOf((await settles('patient', 'Ready', 'True Settled')).status, 'Reconciling')).toBeUndefined()
      return true
    })
  })

  test('Immediate does not wait', async () => {
    await apply('hasty', { ...env('1'), updateStrategy: 'Immediate' })
    const uid = await ready('hasty')
    expect((await beat(uid, 1)).status).toBe(200)
    await apply('hasty', { ...env('2'), updateStrategy: 'Immediate' })
    await until(() => backend.creates.get(uid) === 2)
    await ready('hasty')
  })

  test('OnRestart waits for the annotation', async () => {
    await apply('lazy', { ...env('1'), updateStrategy: 'OnRestart' })
    const uid = await ready('lazy')
    await apply('lazy', { ...env('2'), updateStrategy: 'OnRestart' })
    await ready('lazy')
    expect(backend.creates.get(uid)).toBe(1)
    await annotate('lazy', 'restarted-at', 'now')
    await until(() => backend.creates.get(uid) === 2)
  })

  test('a move in the tree is one statement and no restart', async () => {
    await apply('desk-a')
    await apply('desk-b')
    await apply('mover', { parentRef: { name: 'desk-a' } })
    const [to, uid] = [await ready('desk-b'), await ready('mover')]
    await apply('mover', { parentRef: { name: 'desk-b' } })
    await until(async () => (await rowOf(uid))?.['parent_id'] === to)
    expect(backend.creates.get(uid)).toBe(1)
  })
})

describe('a look inside', () => {
  test('the last failure stands in the status, secrets taken out', async () => {
    await cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'words', namespace: ns },
        stringData: { KEY: 'open-sesame-42' },
      },
    ])
    await apply('faller', { envFrom: [{ secretRef: { name: 'words' } }] })
    const uid = await ready('faller')
    backend.output.set(uid, 'line one\nusing open-sesame-42\n')
    backend.kill(uid, 3)
    const failed = await until(async () => {
      const { status } = await get('faller')
      return status?.lastFailure === undefined ? undefined : status
    })
    expect(failed.lastFailure).toMatchObject({ reason: 'InstanceExited', exitCode: 3 })
    expect(failed.lastFailure?.logTail).toBe('line one\nusing [redacted]')
    expect(JSON.stringify(failed)).not.toContain('open-sesame-42')
  })
})

describe('a row that says otherwise', () => {
  test('a pause that nothing asks for ends with the next pass, and nothing is restarted', async () => {
    await apply('drifted')
    const uid = await ready('drifted')
    // An address that is no longer the instance's: what a pause leaves is recorded anew as well.
    await db.query(`UPDATE workspaces SET status = 'paused', url = 'http://gone' WHERE id = $1`, [uid])
    await annotate('drifted', 'reconcile-requested-at', 'r1')
    await until(async () => {
      expect(await rowOf(uid)).toMatchObject({ status: 'online', url: '' })
      return true
    })
    await ready('drifted')
    expect(backend.creates.get(uid)).toBe(1)
  })

  test('a forged status pauses the row of no other Workspace', async () => {
    const elsewhere = await namespace(cluster)
    await apply('victim')
    const uid = await ready('victim')
    const before = await rowOf(uid)
    const spec = { runtime: 'nosuch', adopt: { workspaceID: uid } }
    await cluster.apply([workspace(elsewhere, 'halter', spec)])
    await until(
      async () => conditionOf((await readWorkspace(cluster, elsewhere, 'halter')).status, 'Ready') !== undefined,
    )
    const forged = { status: { workspaceID: uid, phase: 'online', instance: { backend: 'fake', id: 'x' } } }
    await ask('PATCH', `${pathOf(elsewhere, 'halter')}/status`, forged)
    await cluster.apply([workspace(elsewhere, 'halter', { ...spec, power: 'Paused' })])
    await until(async () => {
      const { status, metadata } = await readWorkspace(cluster, elsewhere, 'halter')
      return status?.observedGeneration === metadata.generation
    })
    expect(await rowOf(uid)).toMatchObject({
      status: before?.['status'],
      url: before?.['url'],
      leader_epoch: before?.['leader_epoch'],
    })
    expect(await times(uid, 'PAUSED')).toBe(0)
    await cluster.kubectl(['delete', 'ws', 'halter', '-n', elsewhere])
    expect(await statusOf(uid)).toBe('online')
    expect(await times(uid, 'REMOVED')).toBe(0)
  })
})
