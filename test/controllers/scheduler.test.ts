/** Schedules from end to end: whole operators, one or two, killed where it hurts; agents that count their prompts. */
import { createServer } from 'node:http'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { OperatorProcess } from '../faults/operator-process.ts'
import { controlPlane, namespaces, operatorKubeconfig } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { secretsKey, startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const newNamespace = namespaces(cluster)
const databaseUrl = await database()
const client = new Client({ connectionString: databaseUrl })
const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molecule-test-scheduler-')))
const processes: OperatorProcess[] = []

/** Prompts by workspace id, as they came in. */
const prompts = new Map<string, string[]>()
/** Workspaces whose agents take a prompt and never answer. */
const mute = new Set<string>()
const collector = createServer((request, response) => {
  const id = (request.url ?? '').slice(1)
  if (request.method === 'GET') return response.flushHeaders()
  let sent = ''
  request.setEncoding('utf8').on('data', (chunk: string) => (sent += chunk))
  request.on('end', () => {
    const { params } = JSON.parse(sent) as { params: { message: { messageId: string } } }
    prompts.set(id, [...(prompts.get(id) ?? []), params.message.messageId])
    if (!mute.has(id)) response.writeHead(200, { 'content-type': 'application/json' }).end('{"result":{}}')
  })
})
await new Promise<void>((resolve) => void collector.listen(0, '127.0.0.1', resolve))
const address = collector.address()
const collectorUrl = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`

await client.connect()
await until(() => cluster.apply([runtime('scheduled')]))
afterAll(async () => {
  await Promise.all(processes.map((each) => each.end('SIGKILL')))
  collector.closeAllConnections()
  collector.close()
  await client.end()
  await cluster.kubectl(['delete', 'runtime', 'scheduled', '--wait=false'])
  rmSync(dir, { recursive: true, force: true })
})

/** As an agent would make one for itself. `id` decides its place within the first seconds of its minute. */
async function schedule(workspaceId: string, next = 'now()', id = '00000000', name = 'own'): Promise<void> {
  await client.query(
    // Reckoned long ago: in a look that began just before this, now() would be an earlier time, as after a step back.
    `INSERT INTO workspace_schedules (id, workspace_id, name, cron_expr, prompt, next_run_at, reckoned_from)
     VALUES (($3 || substr(gen_random_uuid()::text, 9))::uuid, $1, $2, '0 0 1 1 *', 'Go on.', ${next},
       now() - interval '1 day')`,
    [workspaceId, name, id],
  )
}
const runs = async (workspaceId: string) =>
  (
    await client.query<{ id: string; status: string; attempts: number }>(
      'SELECT id, status, attempts FROM workspace_schedule_runs WHERE workspace_id = $1 ORDER BY due_at',
      [workspaceId],
    )
  ).rows
const ended = (workspaceId: string) =>
  until(
    async () => {
      const found = await runs(workspaceId)
      return found.length > 0 && found.every(({ status }) => status === 'ok') ? found : undefined
    },
    { within: 40_000, what: 'the end of the run' },
  )

/** Workspaces whose agents are there; gives their ids. */
async function online(ns: string, names: readonly string[], spec: object = {}): Promise<string[]> {
  await cluster.apply(names.map((name) => workspace(ns, name, { ...spec, runtime: 'scheduled' })))
  return await Promise.all(
    names.map(async (name) => {
      const found = await until(
        async () => {
          const ws = await readWorkspace(cluster, ns, name)
          return ws.status?.phase === 'online' ? ws : undefined
        },
        { within: 40_000, what: `${name} to be online` },
      )
      return found.metadata.uid
    }),
  )
}

test('two operators: every due prompt arrives once, before and after the leader is gone', async () => {
  const ns = await newNamespace()
  const backends = [new FakeBackend({ addressOf: ({ ref }) => `${collectorUrl}/${ref.uid}`, onRunning: registerAt })]
  const env = { LEASE_NAME: `scheduler-${ns}` }
  const first = await startOperator({ databaseUrl, backends, env })
  const second = await startOperator({ databaseUrl, backends, env })
  const ids = await online(
    ns,
    Array.from({ length: 12 }, (_, i) => `agent-${i}`),
  )
  for (const id of ids) await schedule(id)
  for (const id of ids) expect(await ended(id)).toMatchObject([{ attempts: 1 }])
  await first.stop()
  for (const id of ids) await schedule(id, 'now()', '00000000', 'second')
  for (const id of ids) await until(async () => (await ended(id)).length === 2, { within: 40_000 })
  await second.stop()
  for (const id of ids) {
    expect(prompts.get(id)).toHaveLength(2)
    expect(new Set(prompts.get(id)).size).toBe(2)
  }
})

test('an agent that sleeps is woken for its prompt, gets it once, and sleeps again', async () => {
  const ns = await newNamespace()
  const backend = new FakeBackend({ addressOf: ({ ref }) => `${collectorUrl}/${ref.uid}`, onRunning: registerAt })
  const operator = await startOperator({ databaseUrl, backends: [backend], env: { LEASE_NAME: `sleeper-${ns}` } })
  const [id = ''] = await online(ns, ['sleeper'])
  await cluster.apply([workspace(ns, 'sleeper', { runtime: 'scheduled', hibernation: { idleAfter: '5s' } })])
  const phase = async (wanted: string) =>
    (await readWorkspace(cluster, ns, 'sleeper')).status?.phase === wanted ? wanted : undefined
  await until(() => phase('hibernated'), { within: 40_000 })
  await schedule(id)
  expect(await ended(id)).toMatchObject([{ attempts: 1 }])
  expect(prompts.get(id)).toHaveLength(1)
  expect(backend.creates.get(id)).toBe(2)
  await until(() => phase('hibernated'), { within: 40_000 })
  await operator.stop()
})

async function spawnOperator(lease: string): Promise<OperatorProcess> {
  const operator = await OperatorProcess.start({
    KUBECONFIG: await operatorKubeconfig(),
    DATABASE_URL: databaseUrl,
    BACKENDS: 'process',
    SECRETS_KEY: secretsKey,
    PROCESS_STATE_DIR: join(dir, 'state'),
    PROCESS_COMMAND: JSON.stringify([process.execPath, join(import.meta.dirname, 'prompt-agent.mjs')]),
    PLATFORM_HOST: '127.0.0.1',
    PLATFORM_PORT: String(await freePort()),
    LEASE_NAME: lease,
    LEADER_ELECT: 'false',
    LOG_LEVEL: 'error',
  })
  processes.push(operator)
  await operator.ready()
  return operator
}

test('killed between claim and delivery: it arrives once; killed during it: again, under the same id', async () => {
  const ns = await newNamespace()
  const lease = `killed-${ns}`
  const killed = await spawnOperator(lease)
  const env = [{ name: 'COLLECTOR', value: collectorUrl }]
  const [claimed = '', begun = ''] = await online(ns, ['claimed', 'begun'], { backend: 'process', env })
  mute.add(begun)
  await schedule(begun)
  await until(() => (prompts.get(begun) ?? []).length === 1, { what: 'an unanswered prompt', within: 40_000 })
  // The last place of its minute: five seconds between claim and delivery.
  await schedule(claimed, 'now()', 'ffffffff')
  await until(async () => (await runs(claimed)).length === 1, { every: 20, what: 'the claim', within: 40_000 })
  await killed.end('SIGKILL')
  expect(await runs(claimed)).toMatchObject([{ status: 'waiting', attempts: 0 }])
  expect(await runs(begun)).toMatchObject([{ status: 'delivering', attempts: 1 }])
  expect(prompts.get(claimed)).toBeUndefined()

  mute.clear()
  await spawnOperator(lease)
  const [run] = await ended(claimed)
  expect(prompts.get(claimed)).toEqual([run?.id])
  const [again] = await ended(begun)
  expect(new Set(prompts.get(begun))).toEqual(new Set([again?.id]))
  expect(prompts.get(begun)).toHaveLength(2)
})
