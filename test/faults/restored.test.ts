/**
 * F35: the store of the API server is put back from a backup. Versions and generations go back, uids come again, objects
 * vanish. The operator finds it out, and rows and instances follow what the API server has now; started anew as well, and
 * when the versions have grown beyond all that it saw.
 */
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { database } from '../support/database.ts'
import { installedPlane } from '../support/installed-plane.ts'
import { startOperator } from '../support/operator.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, workspace } from '../support/workspaces.ts'

const acme = 'acme'
const far = { within: 45_000 }

/** A control plane of its own with an operator, ada, ben and cid, all of them ready. */
async function world() {
  const { plane, kubeconfig, leaseName } = await installedPlane(acme)
  const databaseUrl = await database()
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  const launched: InstanceSpec[] = []
  const backend = new FakeBackend({
    onRunning: (spec, ended) => {
      launched.push(spec)
      registerAt(spec, ended)
    },
  })
  const line = await onALine(plane, kubeconfig)
  const env = {
    KUBECONFIG: kubeconfig,
    LEASE_NAME: leaseName,
    ORPHAN_GRACE: '2s',
    ORPHAN_SHARE: '1',
    ORPHANS: 'remove',
  }
  const start = () => startOperator({ databaseUrl, backends: [backend], env })
  let operator = await start()
  afterAll(async () => {
    await operator.stop()
    await client.end()
  })
  const row = async (uid: string) =>
    (
      await client.query<Record<string, unknown>>(
        `SELECT status, role, observed_generation::int AS generation, launched_hash = spec_hash AS current,
          (SELECT count(*)::int FROM workspace_auth_tokens t WHERE t.workspace_id = w.id AND t.revoked_at IS NULL) AS tokens
         FROM workspaces w WHERE id = $1`,
        [uid],
      )
    ).rows[0]
  // A kind is served a while after its definition is there, each on its own.
  const apply = (name: string, spec: object = {}) =>
    until(async () => {
      await plane.apply([workspace(acme, name, { role: 'Counts.', ...spec })])
      return true
    })
  /** Ready in its present generation, its row and its instance as its spec says. */
  const settled = (name: string) =>
    until(
      async () => {
        const { metadata, spec, status } = await readWorkspace(plane, acme, name)
        expect(status?.observedGeneration).toBe(metadata.generation)
        expect(conditionOf(status, 'Ready')).toBe('True Settled')
        const { generation, uid } = metadata
        expect(await row(uid)).toEqual({ status: 'online', role: spec.role, generation, current: true, tokens: 1 })
        expect(backend.has(uid)).toBe(true)
        return uid
      },
      { ...far, what: `${name} to be as its spec says` },
    )
  return {
    plane,
    backend,
    apply,
    settled,
    row,
    client,
    launched,
    line,
    stop: () => operator.stop(),
    start: async () => {
      operator = await start()
    },
  }
}

/** The operator's own way to the API server, which can be cut. */
async function onALine(plane: ControlPlane, kubeconfig: string): Promise<TcpProxy> {
  const port = await freePort()
  const line = await TcpProxy.start(port, Number(new URL(plane.url).port))
  afterAll(() => line.stop())
  await writeFile(kubeconfig, (await readFile(kubeconfig, 'utf8')).replaceAll(plane.url, `https://127.0.0.1:${port}`))
  return line
}

/** So many writes that the versions of a store that is put back stay behind them, whatever an API server writes as it starts. */
async function outpace(plane: ControlPlane): Promise<void> {
  const metadata = (n: number) => ({ name: `c${n}`, namespace: acme })
  await plane.apply(
    Array.from({ length: 200 }, (_, n) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata(n) })),
  )
}

async function versionOf(plane: ControlPlane): Promise<number> {
  const list = JSON.parse(await plane.kubectl(['get', '--raw', '/api/v1/namespaces?limit=1'])) as {
    metadata: { resourceVersion: string }
  }
  return Number(list.metadata.resourceVersion)
}

/**
 * So many writes that the store is beyond `seen` again. Each kind is served before: the memory that an API server has of
 * it then begins before `seen`, so that a watch from there is taken as if nothing had happened.
 */
async function outgrow(plane: ControlPlane, seen: number): Promise<void> {
  await plane.kubectl(['get', 'workspaces,orgimports,runtimes,plugininstalls,configmaps,secrets', '-A'])
  expect(await versionOf(plane)).toBeLessThan(seen)
  const config = (n: number, round: number) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `c${n}`, namespace: acme },
    data: { round: String(round) },
  })
  for (let round = 0; (await versionOf(plane)) < seen + 100; round++)
    await plane.apply(Array.from({ length: 200 }, (_, n) => config(n, round)))
}

async function down({ apiServer, etcd }: ControlPlane): Promise<void> {
  await apiServer.kill()
  await etcd.stop()
}

async function up({ apiServer, etcd }: ControlPlane): Promise<void> {
  await etcd.start()
  await apiServer.start()
}

/** Takes a backup as an administrator does, and gives what puts it back. */
async function backup(plane: ControlPlane): Promise<() => Promise<void>> {
  const [data, copy] = [join(plane.dir, 'etcd'), join(plane.dir, 'etcd-backup')]
  await down(plane)
  await cp(data, copy, { recursive: true })
  await up(plane)
  return async () => {
    await down(plane)
    await rm(data, { recursive: true })
    await cp(copy, data, { recursive: true })
    await up(plane)
  }
}

test.each([
  'without a restart of the operator',
  'while the operator was away',
  'outgrown all that was seen of it before the operator could look',
])('what the API server has after its store was put back is followed, %s', async (how) => {
  const { plane, backend, apply, settled, row, client, launched, line, stop, start } = await world()
  for (const name of ['ada', 'ben', 'cid']) await apply(name)
  // Its parent is deleted and comes again; its row is its own, and its parent's is a tombstone until then.
  await apply('bea', { parentRef: { name: 'ben' } })
  const [ada, ben, cid, bea] = await Promise.all(['ada', 'ben', 'cid', 'bea'].map(settled))
  const putBack = await backup(plane)
  await until(() => settled('ada'), far)

  for (let n = 1; n <= 5; n++) await apply('ada', { role: `Counts to ${n}.` })
  await plane.kubectl(['delete', 'workspace', 'ben', '-n', acme, '--timeout=60s'])
  await apply('dot')
  await settled('ada')
  const dot = await settled('dot')
  expect(await row(ben ?? '')).toMatchObject({ status: 'removed', tokens: 0 })
  const isOutgrown = how.startsWith('outgrown')
  if (!isOutgrown) await outpace(plane)
  const before = launched.length
  const cidCreated = backend.creates.get(cid ?? '')

  if (how === 'while the operator was away') await stop()
  if (isOutgrown) await line.set('refuse')
  const seen = await versionOf(plane)
  await putBack()
  // One edit: of another spec than before, though ada once had this very generation.
  await plane.kubectl([
    'patch',
    'workspace',
    'ada',
    '-n',
    acme,
    '--type=merge',
    '-p',
    '{"spec":{"role":"Counts again."}}',
  ])
  if (isOutgrown) {
    await outgrow(plane, seen)
    await line.set('pass')
  }
  if (how === 'while the operator was away') await start()

  expect(await settled('ada')).toBe(ada)
  expect(await row(ada ?? '')).toMatchObject({ role: 'Counts again.', generation: 2 })
  expect(await settled('ben')).toBe(ben)
  expect(await settled('bea')).toBe(bea)
  expect(await settled('cid')).toBe(cid)
  expect(launched.slice(before).map(({ ref }) => ref.name)).toEqual(expect.arrayContaining(['ada', 'ben']))
  expect(backend.creates.get(cid ?? '')).toBe(cidCreated)
  // What the API server lost is an orphan, and goes as every orphan does.
  await until(
    async () => {
      expect(await row(dot)).toMatchObject({ status: 'removed', tokens: 0 })
      expect(backend.has(dot)).toBe(false)
      return true
    },
    { ...far, what: 'dot to be gone' },
  )
  // And all of it goes on: an edit, and a deletion that is one.
  await apply('cid', { role: 'Goes on.' })
  await settled('cid')
  await plane.kubectl(['delete', 'workspace', 'ben', '-n', acme, '--timeout=60s'])
  expect(await row(ben ?? '')).toMatchObject({ status: 'removed', tokens: 0 })
  expect(backend.has(ben ?? '')).toBe(false)
  const events = await client.query(`SELECT 1 FROM workspaces WHERE status <> 'removed' AND namespace = $1`, [acme])
  expect(events.rows).toHaveLength(3)
})

test('a Workspace whose row was adopted meanwhile says so, and what to do', async () => {
  const { plane, apply, settled, row } = await world()
  await apply('ben', { deletionPolicy: 'Retain' })
  const ben = await settled('ben')
  const putBack = await backup(plane)
  await plane.kubectl(['delete', 'workspace', 'ben', '-n', acme, '--timeout=60s'])
  await apply('ned', { adopt: { workspaceID: ben } })
  await until(async () => (await row(ben))?.['status'] !== 'removed', far)
  await outpace(plane)
  await putBack()
  await until(async () => {
    const { status } = await readWorkspace(plane, acme, 'ben')
    expect(`${conditionOf(status, 'Stalled')} ${status?.summary}`).toMatch(/^True RowTaken /)
    expect(conditionOf(status, 'Ready')).toMatch(/^False/)
    expect(messageOf(status, 'Stalled')).toContain('delete this one and create it anew')
    return true
  }, far)
})
