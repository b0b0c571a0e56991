/** What a user can do with a Workspace once it runs, on a real API server and database; instances are counted fakes. */
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { adminToken, fakeWithAgents, startOperator, type TestOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const databaseUrl = await database()
const backend = fakeWithAgents()
/** Stands in for an engine that runs images. */
const engine = new FakeBackend({ name: 'docker', onRunning: registerAt })
const db = new Client({ connectionString: databaseUrl })
let operator: TestOperator

beforeAll(async () => {
  await db.connect()
  await openNamespace(ns, cluster)
  await cluster.apply([
    runtime('life', { default: true, bootDeadline: '5s' }),
    runtime('fleet', { image: 'test/fleet:1', soak: '2s', maxUnavailable: 2 }),
  ])
  operator = await startOperator({ databaseUrl, backends: [backend, engine], env: { BACKENDS: 'fake,docker' } })
})
afterAll(async () => {
  await operator.stop()
  for (const name of ['life', 'fleet']) {
    await cluster.kubectl(['delete', 'runtime', name, '--wait=false'])
    const unlock = ['patch', 'runtime', name, '--type=merge', '-p', '{"metadata":{"finalizers":null}}']
    await cluster.kubectl(unlock).catch(() => undefined)
  }
  await db.end()
})

const get = (name: string) => readWorkspace(cluster, ns, name)
const apply = (name: string, spec: object = {}, metadata: object = {}) =>
  cluster.apply([workspace(ns, name, spec, metadata)])
const annotate = (name: string, key: string, value: string) =>
  cluster.kubectl(['annotate', 'ws', name, '-n', ns, '--overwrite', `molecule.dev/${key}=${value}`])

async function settles(name: string, type: string, verdict: string, within = 15_000): Promise<Workspace> {
  return await until(
    async () => {
      const found = await get(name)
      expect(found.status?.observedGeneration).toBe(found.metadata.generation)
      expect(conditionOf(found.status, type)).toBe(verdict)
      return found
    },
    { what: `${name} to be ${type}=${verdict}`, within },
  )
}
const ready = async (name: string) => (await settles(name, 'Ready', 'True Settled')).metadata.uid

async function rowOf(id: string) {
  const { rows } = await db.query('SELECT * FROM workspaces WHERE id = $1', [id])
  return rows[0] as Record<string, unknown> | undefined
}
const statusOf = async (id: string) => (await rowOf(id))?.['status']

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
    await Promise.all(Array.from({ length: 10 }, (_, i) => annotate('again', 'restarted-at', `t${i}`)))
    await until(() => backend.creates.get(uid) === 2)
    const after = await settles('again', 'Ready', 'True Settled')
    expect(after.status?.instance?.restarts).toBe(1)
    expect(backend.creates.get(uid)).toBe(2)
  })

  test('the same annotation again restarts nothing', async () => {
    const { metadata } = await get('again')
    await annotate('again', 'restarted-at', metadata.annotations?.['molecule.dev/restarted-at'] ?? '')
    await annotate('again', 'reconcile-requested-at', 'r1')
    await until(async () => (await get('again')).status?.lastHandledReconcileAt === 'r1')
    expect(backend.creates.get(metadata.uid)).toBe(2)
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
    const started: number[] = []
    for (const name of ['boss', 'lead', 'lead-a', 'lead-a-1']) {
      const uid = await ready(name)
      started.push(Number((await rowOf(uid))?.['launched_at']))
    }
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
    await apply('dozer', { hibernation: { idleAfter: '1s' } })
    const uid = await ready('dozer')
    backend.volumes.get(uid)?.set('memory.md', 'kept')
    const asleep = await settles('dozer', 'Ready', 'True Hibernated')
    expect(asleep.status?.effectivePower).toMatchObject({ state: 'Hibernated', reason: 'Idle' })
    expect(asleep.metadata.generation).toBe(1)
    expect(backend.has(uid)).toBe(false)
    expect(await statusOf(uid)).toBe('hibernated')
    expect(backend.volumes.get(uid)?.get('memory.md')).toBe('kept')
  })

  test('a message wakes it: 503 with Retry-After 15, and the same identity comes back', async () => {
    const { uid } = (await get('dozer')).metadata
    const told = await message(uid)
    expect([told.status, told.headers.get('retry-after')]).toEqual([503, '15'])
    await until(() => backend.creates.get(uid) === 2)
    await until(async () => (await statusOf(uid)) === 'online')
    expect(backend.volumes.get(uid)?.get('memory.md')).toBe('kept')
    await settles('dozer', 'Ready', 'True Hibernated')
  })

  test('wake-at wakes it at its time, once', async () => {
    const { uid } = (await get('dozer')).metadata
    const before = backend.creates.get(uid) ?? 0
    await annotate('dozer', 'wake-at', new Date(Date.now() + 1500).toISOString())
    await until(() => backend.creates.get(uid) === before + 1)
    await settles('dozer', 'Ready', 'True Hibernated')
    expect(backend.creates.get(uid)).toBe(before + 1)
  })

  test('an agent at work is not put to sleep, and is once its task has ended', async () => {
    await apply('worker', { hibernation: { idleAfter: '3s' } })
    const uid = await ready('worker')
    const busy = Date.now() + 5000
    await until(
      async () => {
        expect((await beat(uid, 1)).status).toBe(200)
        expect(await statusOf(uid)).toBe('online')
        return Date.now() > busy
      },
      { within: 10_000 },
    )
    await beat(uid, 0)
    await settles('worker', 'Ready', 'True Hibernated', 30_000)
  })
})

describe('an end set in advance', () => {
  test('is announced an hour ahead, and pauses', async () => {
    await apply('short', { lifetime: { expiresAt: new Date(Date.now() + 4000).toISOString(), action: 'Pause' } })
    const uid = await ready('short')
    await settles('short', 'Expiring', 'True LifetimeEnds')
    const paused = await settles('short', 'Ready', 'True Paused')
    expect(paused.status?.effectivePower).toMatchObject({ reason: 'Expired' })
    expect(conditionOf(paused.status, 'Expiring')).toBeUndefined()
    expect(backend.has(uid)).toBe(false)
  })

  test('or deletes, with the instance', async () => {
    await apply('brief', { lifetime: { expiresAfter: '2s', action: 'Delete' } })
    const { uid } = (await get('brief')).metadata
    await cluster.kubectl(['wait', 'ws/brief', '-n', ns, '--for=delete', '--timeout=30s'])
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
    await cluster.kubectl(['delete', 'ws', 'top', '-n', ns, '--timeout=30s'])
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
    await cluster.kubectl(['delete', 'ws', 'ghost', '-n', ns, '--timeout=30s'])
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
    await beat(uid, 1)
    await apply('patient', env('2'))
    const waiting = await settles('patient', 'Reconciling', 'True WaitsForIdle')
    expect(conditionOf(waiting.status, 'Ready')).toBe('True Settled')
    expect(backend.creates.get(uid)).toBe(1)
    await beat(uid, 0)
    await until(() => backend.creates.get(uid) === 2, { within: 20_000 })
    expect(conditionOf((await settles('patient', 'Ready', 'True Settled')).status, 'Reconciling')).toBeUndefined()
  })

  test('Immediate does not wait', async () => {
    await apply('hasty', { ...env('1'), updateStrategy: 'Immediate' })
    const uid = await ready('hasty')
    await beat(uid, 1)
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

describe('a new image', () => {
  const names = ['c1', 'p1', 'p2', 'p3', 'p4', 'p5']
  const digest = (digit: string) => `sha256:${digit.repeat(64)}`
  const promote = (to: string) =>
    cluster.apply([runtime('fleet', { image: 'test/fleet:1', digest: digest(to), soak: '2s', maxUnavailable: 2 })])

  test('reaches the canary first, then the others, never more than maxUnavailable at once', async () => {
    for (const name of names)
      await apply(name, {
        runtime: 'fleet',
        backend: 'docker',
        updateRing: name.startsWith('c') ? 'canary' : 'production',
      })
    const uids = new Map<string, string>()
    for (const name of names) uids.set(name, await ready(name))
    const canary = uids.get('c1') ?? ''
    let fewest = names.length
    const sampling = setInterval(() => {
      fewest = Math.min(fewest, [...uids.values()].filter((uid) => engine.has(uid)).length)
    }, 1)
    await promote('a')
    await until(() => engine.creates.get(canary) === 2)
    const stale = await settles('p1', 'ImageCurrent', 'False ImageStale')
    expect(messageOf(stale.status, 'ImageCurrent')).toMatch(/canaries/)
    const listed = (await cluster.getJson('runtime', 'fleet')) as Workspace
    await until(async () => {
      const { status } = (await cluster.getJson('runtime', 'fleet')) as Workspace
      return conditionOf(status, 'ImageCurrent') === 'False ImageStale'
    })
    expect(listed.metadata.name).toBe('fleet')
    await until(() => names.every((name) => engine.creates.get(uids.get(name) ?? '') === 2), { within: 60_000 })
    for (const name of names) await settles(name, 'ImageCurrent', 'True ImageCurrent')
    clearInterval(sampling)
    expect(fewest).toBeGreaterThanOrEqual(names.length - 2)
  })

  test('that cannot be had leaves what runs alone, and says so', async () => {
    engine.setImage(`test/fleet@${digest('b')}`, 'missing')
    await promote('b')
    const kept = await settles('c1', 'ImageCurrent', 'False ImageUnavailable')
    expect(conditionOf(kept.status, 'Ready')).toBe('True Settled')
    expect(engine.has(kept.metadata.uid)).toBe(true)
    expect(engine.creates.get(kept.metadata.uid)).toBe(2)
    await promote('a')
    await settles('c1', 'ImageCurrent', 'True ImageCurrent')
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

describe('adoption', () => {
  const legacy = '11111111-2222-4333-8444-555555555555'
  test('a row that nobody owns becomes this resource, keeps its id, and is not replaced until its template is told', async () => {
    const container = engine.stranger()
    await db.query(
      `INSERT INTO workspaces (id, name, tier, status, runtime, model, namespace, resource_name, backend, template,
         observed_generation, spec_hash, leader_epoch, instance_id)
       VALUES ($1, 'heir', 3, 'online', 'life', 'sonnet', '', '', 'docker', NULL, 0, '', 0, $2)`,
      [legacy, container],
    )
    await apply('heir', { runtime: 'life', backend: 'docker', adopt: { workspaceID: legacy } })
    const heir = await settles('heir', 'TemplateKnown', 'False TemplateUnknown')
    expect(heir.status?.workspaceID).toBe(legacy)
    expect(await rowOf(legacy)).toMatchObject({ owner_uid: heir.metadata.uid, instance_id: container })
    expect(engine.has(heir.metadata.uid)).toBe(true)
    expect(engine.creates.get(heir.metadata.uid)).toBeUndefined()
    await annotate('heir', 'restarted-at', 'now')
    await annotate('heir', 'reconcile-requested-at', 'r1')
    await until(async () => (await get('heir')).status?.lastHandledReconcileAt === 'r1')
    expect(engine.creates.get(heir.metadata.uid)).toBeUndefined()
  })

  test('AdoptOnly waits for a row that is not there; a row of another is refused', async () => {
    await apply('waiter', { adopt: { workspaceID: '99999999-2222-4333-8444-555555555555' } })
    await settles('waiter', 'Recorded', 'False NothingToAdopt')
    await apply('thief', { runtime: 'life', backend: 'docker', adopt: { workspaceID: legacy } })
    const thief = await settles('thief', 'Recorded', 'False AdoptionRefused')
    expect(messageOf(thief.status, 'Ready')).toContain('"heir"')
  })

  test('a running container is taken over without a restart; one that is not there is refused', async () => {
    const container = engine.stranger('', 'fedcba987654')
    await apply('heiress', { backend: 'docker', adopt: { containerID: container } })
    // It has no token of ours: until it gets one it serves those who know its address, and is not connected.
    const heiress = await settles('heiress', 'Connected', 'False AwaitingRegistration')
    expect(conditionOf(heiress.status, 'Launched')).toBe('True Running')
    expect(heiress.status?.instance?.id).toBe(container)
    expect(await rowOf(heiress.metadata.uid)).toMatchObject({ instance_id: container, launch_attempts: 0 })
    expect(engine.creates.get(heiress.metadata.uid)).toBeUndefined()

    await apply('lost', { backend: 'docker', adopt: { containerID: '0123456789ab' } })
    const lost = await settles('lost', 'Ready', 'False AdoptionRefused')
    expect(engine.has(lost.metadata.uid)).toBe(false)
    expect(engine.creates.get(lost.metadata.uid)).toBeUndefined()
  })
})
