/** The secret of a launch from end to end: an operator, agents as processes, and a process that is neither. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import { ProcessBackend } from '../../src/backends/process/backend.ts'
import { controlPlane, namespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { adminToken, startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const databaseUrl = await database()
const client = new Client({ connectionString: databaseUrl })
const stateDir = realpathSync(mkdtempSync(join(tmpdir(), 'molecule-test-inbound-')))
const agent = join(import.meta.dirname, '../../examples/agent/agent.mjs')
const backend = new ProcessBackend({ stateDir, command: [process.execPath, agent], operatorInstance: ns })
const settings = { databaseUrl, backends: [backend], env: { BACKENDS: 'process', DEFAULT_BACKEND: 'process' } }
const command = { PROCESS_STATE_DIR: stateDir, PROCESS_COMMAND: JSON.stringify([agent]) }
const start = () => startOperator({ ...settings, env: { ...settings.env, ...command } })

await client.connect()
await until(() => cluster.apply([runtime('inbound')]))
let operator = await start()
afterAll(async () => {
  await operator.stop()
  for await (const { ref } of backend.owned())
    await until(async () => (await backend.remove(ref, 'delete')) === 'gone', { what: 'the agent to be gone' })
  await client.end()
  await cluster.kubectl(['delete', 'runtime', 'inbound', '--wait=false'])
  rmSync(stateDir, { recursive: true, force: true })
})

const online = (name: string, launches = 1) =>
  until(
    async () => {
      const ws = await readWorkspace(cluster, ns, name)
      const [row] = await rowsOf(ws.metadata.uid)
      expect(row).toMatchObject({ status: 'online', restarts: launches - 1, url: expect.stringContaining('http:') })
      return { uid: ws.metadata.uid, url: String(row?.['url']), instance: row?.['instance_id'] }
    },
    { what: `${name} to be online`, within: 60_000 },
  )
const rowsOf = async (uid: string): Promise<Record<string, unknown>[]> =>
  (await client.query<Record<string, unknown>>('SELECT * FROM workspaces WHERE id = $1', [uid])).rows
const secretOf = (uid: string) => readFileSync(join(stateDir, `ws-${uid}`, 'configs/.platform_inbound_secret'), 'utf8')
const message = { method: 'message/send', params: { message: { parts: [{ kind: 'text', text: 'hello' }] } } }
const post = async (url: string, headers: Record<string, string>) => {
  const all = { 'content-type': 'application/json', connection: 'close', ...headers }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, ...message })
  const response = await fetch(url, { method: 'POST', headers: all, body })
  return { status: response.status, text: await response.text() }
}
const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })
const forward = (uid: string) => post(`${operator.platformUrl}/workspaces/${uid}/a2a`, bearer(adminToken))

test('an agent answers the operator alone, and after a relaunch the secret of before opens nothing', async () => {
  await cluster.apply([workspace(ns, 'guarded', { runtime: 'inbound' })])
  const { uid, url } = await online('guarded')
  const first = secretOf(uid)
  expect(first).toMatch(/^[\w-]{43}$/)
  expect(await post(url, { 'x-workspace-id': randomUUID() })).toMatchObject({ status: 401 })
  expect(await post(url, bearer(first))).toMatchObject({ status: 200, text: expect.stringContaining('hello') })
  expect(await forward(uid)).toMatchObject({ status: 200, text: expect.stringContaining('hello') })

  await cluster.kubectl([
    'annotate',
    '-n',
    ns,
    'workspace',
    'guarded',
    'molecule.dev/restarted-at=2026-01-01T00:00:00Z',
  ])
  const again = await online('guarded', 2)
  expect(again.uid).toBe(uid)
  const second = secretOf(uid)
  expect(second).not.toBe(first)
  expect(await post(again.url, bearer(first))).toMatchObject({ status: 401 })
  expect(await forward(uid)).toMatchObject({ status: 200, text: expect.stringContaining('hello') })
  const status = JSON.stringify(await readWorkspace(cluster, ns, 'guarded'))
  for (const secret of [first, second]) {
    expect(JSON.stringify(await rowsOf(uid))).not.toContain(secret)
    expect(status).not.toContain(secret)
  }
})

test('an upgrade restarts no agent: what was launched before is called without a secret', async () => {
  await cluster.apply([workspace(ns, 'earlier', { runtime: 'inbound' })])
  const { uid, instance } = await online('earlier')
  await operator.stop()
  // As an operator of before left it.
  await client.query('UPDATE workspaces SET inbound_secret = NULL WHERE id = $1', [uid])
  operator = await start()
  await cluster.kubectl(['label', '-n', ns, 'workspace', 'earlier', 'seen=again'])
  await cluster.apply([workspace(ns, 'later', { runtime: 'inbound' })])
  await online('later')
  expect(await online('earlier')).toMatchObject({ uid, instance })
  await until(async () => {
    const { status } = await readWorkspace(cluster, ns, 'earlier')
    return conditionOf(status, 'Isolated') === 'False NoInboundSecret'
  })
  // This agent asks for the one it has: so the call came without.
  expect(await forward(uid)).toMatchObject({ status: 502, text: expect.stringContaining('agent_refused') })
})
