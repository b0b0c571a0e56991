/** The life of a Workspace on a real API server and database; instances are fake, so that they can be counted. */
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ExternalBackend } from '../../src/backends/external/backend.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { startOperator, type TestOperator } from '../support/operator.ts'
import { settling } from '../support/settling.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const closed = await namespace(cluster)
const databaseUrl = await database()
const silentTokens: string[] = []
/** One whose name begins with `silent` says its last words at once, and never registers. */
const backend: FakeBackend = new FakeBackend({
  onRunning: (spec, ended) => {
    const { uid, name } = spec.ref
    if (!name.startsWith('silent')) return registerAt(spec, ended)
    silentTokens.push(spec.token)
    backend.output.set(uid, `cannot open model\ntoken ${spec.token}\n`)
  },
})
const db = new Client({ connectionString: databaseUrl })
let operator: TestOperator

beforeAll(async () => {
  await db.connect()
  await openNamespace(ns, cluster)
  const runtimes = [runtime('test-agent', { default: true }), runtime('test-impatient', { bootDeadline: '2s' })]
  await until(() => cluster.apply(runtimes))
  operator = await startOperator({ databaseUrl, backends: [backend, new ExternalBackend()] })
})
afterAll(async () => {
  await operator.stop()
  await cluster.kubectl(['delete', 'runtime', '--all', '--wait=false'])
  for (const name of ['test-agent', 'test-impatient']) {
    const unlock = ['patch', 'runtime', name, '--type=merge', '-p', '{"metadata":{"finalizers":null}}']
    await cluster.kubectl(unlock).catch(() => undefined)
  }
  await db.end()
})

const get = (name: string) => readWorkspace(cluster, ns, name)
const apply = (name: string, spec: object = {}, metadata: object = {}) =>
  cluster.apply([workspace(ns, name, spec, metadata)])

const settles = settling(get)

async function rowOf(id: string) {
  const { rows } = await db.query('SELECT *, xmin::text AS version FROM workspaces WHERE id = $1', [id])
  return rows[0] as Record<string, unknown> | undefined
}

describe('on the way up', () => {
  test('a Workspace becomes a row, an instance and a registered agent, then nothing moves', async () => {
    await apply('solo', { role: 'Keeps watch' })
    const made = await settles('solo', 'Ready', 'True Settled')
    const { uid } = made.metadata
    expect(backend.creates.get(uid)).toBe(1)
    expect(await rowOf(uid)).toMatchObject({ name: 'solo', status: 'online', role: 'Keeps watch', owner_uid: uid })
    expect(backend.volumes.get(uid)?.get('config.yaml')).toContain('name: "solo"')
    const before = (await rowOf(uid))?.['version']
    await apply('solo', { role: 'Keeps watch' })
    // Something that must be handled after whatever the apply caused: then the apply caused nothing.
    await cluster.kubectl(['annotate', 'ws', 'solo', '-n', ns, 'molecule.dev/reconcile-requested-at=now'])
    const later = await until(async () => {
      const found = await get('solo')
      return found.status?.lastHandledReconcileAt === 'now' ? found : undefined
    })
    expect(later.metadata.generation).toBe(1)
    expect((await rowOf(uid))?.['version']).toBe(before)
    expect(backend.creates.get(uid)).toBe(1)
  })

  test('every transition of the row is an event beside it', async () => {
    const { uid } = (await get('solo')).metadata
    const { rows } = await db.query(
      'SELECT event_type FROM structure_events WHERE workspace_id = $1 ORDER BY created_at, id',
      [uid],
    )
    expect(rows.map((row: { event_type: string }) => row.event_type)).toEqual([
      'WORKSPACE_PROVISIONING',
      'WORKSPACE_ONLINE',
    ])
  })

  test('a child applied before its parent is stalled, and runs once the parent has a row', async () => {
    await apply('kid', { parentRef: { name: 'parent' } })
    await settles('kid', 'ParentFound', 'False ParentMissing')
    expect(conditionOf((await get('kid')).status, 'Stalled')).toBe('True ParentMissing')
    await apply('parent')
    const parent = await settles('parent', 'Ready', 'True Settled')
    const kid = await settles('kid', 'Ready', 'True Settled')
    expect((await rowOf(kid.metadata.uid))?.['parent_id']).toBe(parent.metadata.uid)
    await until(async () => (await get('parent')).status?.children?.ready === 1, {
      what: 'the parent to count its kid',
    })
  })

  test('an external agent has a row and nothing to launch', async () => {
    await apply('guest', { backend: 'external' })
    const guest = await settles('guest', 'Connected', 'False AwaitingRegistration')
    expect(guest.status?.phase).toBe('awaiting_agent')
    expect(conditionOf(guest.status, 'Launched')).toBe('True External')
    expect(backend.creates.has(guest.metadata.uid)).toBe(false)
  })

  test('an instance of EC2 is waited for, and none is made in its place', async () => {
    await apply('eager', { adopt: { instanceID: 'i-0123456789abcdef0', policy: 'AdoptOrCreate' } })
    const eager = await settles('eager', 'Stalled', 'True BackendNotConfigured')
    expect(messageOf(eager.status, 'Ready')).toContain('spec.adopt.instanceID')
    expect(backend.creates.get(eager.metadata.uid)).toBeUndefined()
  })
})

describe('what changes', () => {
  test('a new display name moves the row and restarts nothing', async () => {
    await apply('solo', { role: 'Keeps watch', displayName: 'The Watch' })
    const renamed = await settles('solo', 'Ready', 'True Settled')
    const { uid } = renamed.metadata
    await until(async () => (await rowOf(uid))?.['name'] === 'The Watch')
    expect(backend.creates.get(uid)).toBe(1)
  })

  test('a changed Secret replaces the instance once, and its value is nowhere to be read', async () => {
    const secret = (value: string) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'keys', namespace: ns },
      stringData: { KEY: value },
    })
    await cluster.apply([secret('first-secret-value')])
    await apply('keyed', { env: [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'KEY' } } }] })
    const { uid } = (await settles('keyed', 'Ready', 'True Settled')).metadata
    await cluster.apply([secret('second-secret-value')])
    await until(() => backend.creates.get(uid) === 2, { what: 'the second instance' })
    const keyed = await settles('keyed', 'Ready', 'True Settled')
    expect(backend.removes.get(uid)).toBe(1)
    const shown = JSON.stringify([keyed, await rowOf(uid), await cluster.getJson('events', '-n', ns)])
    expect(shown).not.toMatch(/first-secret-value|second-secret-value/)
  })

  test('restarted-at replaces the instance once and keeps its volume', async () => {
    const { uid } = (await get('kid')).metadata
    backend.volumes.get(uid)?.set('memory.md', 'kept')
    for (const at of ['1', '2', '3'])
      await cluster.kubectl(['annotate', 'ws', 'kid', '-n', ns, '--overwrite', `molecule.dev/restarted-at=${at}`])
    await until(() => (backend.creates.get(uid) ?? 0) > 1)
    await settles('kid', 'Ready', 'True Settled')
    expect(backend.volumes.get(uid)?.get('memory.md')).toBe('kept')
    expect(backend.creates.get(uid)).toBeLessThanOrEqual(4)
  })

  test('paused: the instance goes, row and volume stay; running again: it comes back', async () => {
    await apply('napper')
    const { uid } = (await settles('napper', 'Ready', 'True Settled')).metadata
    await apply('napper', { power: 'Paused' })
    await settles('napper', 'Ready', 'True Paused')
    expect(backend.has(uid)).toBe(false)
    expect(backend.volumes.has(uid)).toBe(true)
    expect((await rowOf(uid))?.['status']).toBe('paused')
    await apply('napper', { power: 'Running' })
    await settles('napper', 'Ready', 'True Settled')
    expect(backend.creates.get(uid)).toBe(2)
  })

  test('hands off: a suspended Workspace is not repaired', async () => {
    await apply('frozen')
    const { uid } = (await settles('frozen', 'Ready', 'True Settled')).metadata
    await apply('frozen', { suspend: true })
    await settles('frozen', 'Ready', 'True Suspended')
    backend.vanish(uid)
    await cluster.kubectl(['annotate', 'ws', 'frozen', '-n', ns, 'molecule.dev/reconcile-requested-at=now'])
    await until(async () => (await get('frozen')).status?.lastHandledReconcileAt === 'now')
    expect(backend.has(uid)).toBe(false)
  })
})

describe('what breaks', () => {
  test('an instance that dies or vanishes comes back by itself', async () => {
    await apply('phoenix')
    const { uid } = (await settles('phoenix', 'Ready', 'True Settled')).metadata
    backend.kill(uid)
    await until(() => backend.creates.get(uid) === 2, { what: 'the second instance', within: 30_000 })
    await settles('phoenix', 'Ready', 'True Settled')
    backend.vanish(uid)
    await until(() => backend.creates.get(uid) === 3, { what: 'the third instance', within: 30_000 })
    await settles('phoenix', 'Ready', 'True Settled')
  })

  test('an agent that does not register in time has failed, and says its last words', async () => {
    await apply('silent', { runtime: 'test-impatient' })
    const failed = await settles('silent', 'Launched', 'False BackingOff')
    expect(failed.status?.phase).toBe('failed')
    expect(failed.status?.summary).toContain('cannot open model')
    expect(silentTokens.length).toBeGreaterThan(0)
    for (const token of silentTokens) expect(JSON.stringify(failed)).not.toContain(token)
    await cluster.kubectl(['delete', 'ws', 'silent', '-n', ns])
  })

  test('a backend that does not answer leads to nothing but waiting', async () => {
    await apply('steady')
    const { uid } = (await settles('steady', 'Ready', 'True Settled')).metadata
    const heal = backend.fail('observe', new Error('connection refused'), Number.POSITIVE_INFINITY)
    await cluster.kubectl(['annotate', 'ws', 'steady', '-n', ns, 'molecule.dev/reconcile-requested-at=1'])
    await settles('steady', 'Launched', 'Unknown BackendUnreachable')
    heal()
    expect([backend.creates.get(uid), backend.removes.get(uid), backend.has(uid)]).toEqual([1, undefined, true])
  })
})

describe('what is refused, with a reason and without a side effect', () => {
  const cases: readonly [name: string, spec: object, condition: string, verdict: string, message: RegExp][] = [
    [
      'lost',
      { runtime: 'nowhere' },
      'RuntimeResolved',
      'False RuntimeUnknown',
      /runtime "nowhere" is not in the catalog: it has .*\btest-agent\b/,
    ],
    [
      'keyless',
      { envFrom: [{ secretRef: { name: 'none' } }] },
      'Launched',
      'False SecretMissing',
      /spec.envFrom\[0\] needs Secret "none"/,
    ],
    [
      'fileless',
      { files: [{ path: 'a.md', configMapKeyRef: { name: 'none', key: 'a' } }] },
      'Launched',
      'False ConfigMapMissing',
      /spec.files\[a.md\] needs ConfigMap "none"/,
    ],
    [
      'cloudy',
      { backend: 'docker' },
      'Launched',
      'False BackendNotConfigured',
      /"docker" is not turned on in this operator: it has fake, external/,
    ],
  ]
  test.each(cases)('%s %o', async (name, spec, condition, verdict, message) => {
    await apply(name, spec)
    const refused = await settles(name, condition, verdict)
    expect(conditionOf(refused.status, 'Stalled')).toMatch(/^True /)
    expect(messageOf(refused.status, 'Ready')).toMatch(message)
    expect(await rowOf(refused.metadata.uid)).toBeUndefined()
    expect(backend.creates.has(refused.metadata.uid)).toBe(false)
  })

  test('it recovers when what was missing comes', async () => {
    const none = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'none', namespace: ns }, stringData: { A: 'b' } }
    await cluster.apply([none])
    await settles('keyless', 'Ready', 'True Settled')
  })

  test('a namespace nobody has opened is said, with the RoleBinding that is missing', async () => {
    await cluster.apply([workspace(closed, 'shut', { envFrom: [{ secretRef: { name: 'keys' } }] })])
    await until(async () => {
      const { status } = await readWorkspace(cluster, closed, 'shut')
      expect(conditionOf(status, 'Launched')).toBe('False SecretForbidden')
      expect(messageOf(status, 'Ready')).toContain(
        `in namespace ${closed}: create there the RoleBinding molecule-references`,
      )
      return true
    })
    await openNamespace(closed, cluster)
    await until(
      async () =>
        conditionOf((await readWorkspace(cluster, closed, 'shut')).status, 'Launched') === 'False SecretMissing',
      // Asked again every ten seconds, more than once if the binding is not known everywhere at once.
      { within: 60_000 },
    )
  })

  test('a cycle is named by its members', async () => {
    await apply('hen', { parentRef: { name: 'egg' } })
    await apply('egg', { parentRef: { name: 'hen' } })
    const hen = await settles('hen', 'ParentFound', 'False ParentCycle')
    await settles('egg', 'ParentFound', 'False ParentCycle')
    expect(messageOf(hen.status, 'Ready')).toContain('hen → egg → hen')
  })

  test('twins: the second is told whose name it has, and gets it when that one goes', async () => {
    await apply('twin-a', { displayName: 'Twin' })
    await settles('twin-a', 'Ready', 'True Settled')
    await apply('twin-b', { displayName: 'Twin' })
    const second = await settles('twin-b', 'Recorded', 'False SiblingNameTaken')
    expect(messageOf(second.status, 'Ready')).toContain('"twin-a"')
    await cluster.kubectl(['delete', 'ws', 'twin-a', '-n', ns])
    await settles('twin-b', 'Ready', 'True Settled')
  })
})

describe('on the way out', () => {
  test('row removed, tokens revoked, instance and volume gone, and only then the object', async () => {
    await apply('leaver')
    const { uid } = (await settles('leaver', 'Ready', 'True Settled')).metadata
    const token = backend.volumes.get(uid)?.get('.auth_token') ?? ''
    await cluster.kubectl(['delete', 'ws', 'leaver', '-n', ns, '--timeout=60s'])
    expect(backend.has(uid)).toBe(false)
    expect(backend.volumes.has(uid)).toBe(false)
    expect((await rowOf(uid))?.['status']).toBe('removed')
    const live = 'SELECT 1 FROM workspace_auth_tokens WHERE workspace_id = $1 AND revoked_at IS NULL'
    expect((await db.query(live, [uid])).rows).toEqual([])
    const beat = await fetch(`${operator.platformUrl}/registry/heartbeat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ workspace_id: uid }),
    })
    expect(beat.status).toBe(401)
    expect((await rowOf(uid))?.['status']).toBe('removed')
  })

  test('a backend that does not answer holds the deletion back', async () => {
    await apply('stuck')
    const { uid } = (await settles('stuck', 'Ready', 'True Settled')).metadata
    const heal = backend.fail('observe', new Error('connection refused'), Number.POSITIVE_INFINITY)
    await cluster.kubectl(['delete', 'ws', 'stuck', '-n', ns, '--wait=false'])
    await until(async () => (await get('stuck')).status?.summary?.includes('to answer (connection refused)'))
    expect(backend.has(uid)).toBe(true)
    heal()
    // Gone by then is what is waited for.
    const ask = ['annotate', 'ws', 'stuck', '-n', ns, 'molecule.dev/reconcile-requested-at=1']
    await cluster.kubectl(ask).catch(() => undefined)
    const names = async () => (await cluster.kubectl(['get', 'ws', '-n', ns, '-o', 'name'])).split('\n')
    await until(async () => !(await names()).some((each) => each.endsWith('/stuck')), { within: 40_000 })
    expect(backend.has(uid)).toBe(false)
  })

  test('Retain leaves instance and volume as they are', async () => {
    await apply('kept', { deletionPolicy: 'Retain' })
    const { uid } = (await settles('kept', 'Ready', 'True Settled')).metadata
    await cluster.kubectl(['delete', 'ws', 'kept', '-n', ns, '--timeout=60s'])
    expect(backend.has(uid)).toBe(true)
  })
})
