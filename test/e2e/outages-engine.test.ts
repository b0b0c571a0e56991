/**
 * The Docker engine is taken away from a running operator: what readiness, metrics, alerts, conditions, agents and the log
 * then say, and what runs before, meanwhile and after. That a silent stream of events is doubted within a minute is held by
 * test/docker/silence.test.ts. OUTAGE_TABLE=<file> gets it as a table.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { buildAgentImage } from '../../src/dev/agent-image.ts'
import { removeAgents } from '../../src/dev/demo/agents.ts'
import { docker, engineAnswers, host } from '../docker/engine.ts'
import { breakableDatabase } from '../support/broken-database.ts'
import { openNamespace } from '../support/cluster.ts'
import { adminToken } from '../support/operator.ts'
import { openOutageScene } from '../support/outage-scene.ts'
import { TcpProxy, type Line } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, workspace } from '../support/workspaces.ts'

const key = randomBytes(16).toString('hex')
const spec = {
  env: [
    { name: 'HEARTBEAT_SECONDS', value: '1' },
    { name: 'API_KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'api' } } },
  ],
}

interface EngineFault {
  readonly name: string
  readonly line: Line
  /** What the condition says of it. */
  readonly words: RegExp
}

const faults: readonly EngineFault[] = [
  { name: 'refused', line: 'refuse', words: /^backend docker does not answer: connect ENOENT \S+docker\.sock$/ },
  { name: 'frozen', line: 'freeze', words: /^backend docker does not answer: timed out$/ },
  { name: 'code 500', line: 'fail', words: /^backend docker does not answer: .*HTTP code 500.*/ },
]

if (engineAnswers) await takeEngineAway()
else test.skip('no engine is available here', () => undefined)

async function takeEngineAway(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'molecule-test-engine-'))
  const database = await breakableDatabase()
  // After the operator, which would launch them anew: hooks run backwards.
  afterAll(async () => {
    await engine.stop()
    if (operatorInstance !== '') {
      const { ID: id } = (await docker.info()) as { ID: string }
      await removeAgents(join(dir, 'processes'), operatorInstance, id)
    }
    await rm(dir, { recursive: true, force: true })
  })
  let operatorInstance = ''
  const engine = await TcpProxy.start(join(dir, 'docker.sock'), host.replace('unix://', ''))
  // As one does that quotes what it was sent.
  engine.complaint = `cannot handle API_KEY=${key}`

  const scene = await openOutageScene(database, {
    backends: [],
    env: { BACKENDS: 'docker,external', DOCKER_HOST: `unix://${join(dir, 'docker.sock')}` },
    image: await buildAgentImage({ docker }),
    spec,
    async prepare(plane) {
      await openNamespace('acme', plane)
      const metadata = { name: 'keys', namespace: 'acme' }
      await plane.apply([{ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { api: key } }])
    },
  })
  const { plane, operator, lines, statusOf, isReady, get, up, errors, said, row, fires, silent } = scene
  operatorInstance = String((await database.sql('SELECT instance FROM operator_meta')).rows[0]?.['instance'])

  const rowOf = async ({ metadata }: Workspace) =>
    (await database.sql(`SELECT * FROM workspaces WHERE owner_uid = '${metadata.uid}'`)).rows[0] ?? {}
  const read = (name: string) => readWorkspace(plane, 'acme', name)
  async function containersOf({ metadata }: Workspace) {
    const filters = { label: [`molecule.dev/operator=${operatorInstance}`, `molecule.dev/uid=${metadata.uid}`] }
    const found = await docker.listContainers({ all: true, filters })
    return await Promise.all(
      found.map(async ({ Id }) => (await docker.getContainer(Id).inspect()).State.StartedAt + Id),
    )
  }

  /** A call of the external agent's. */
  async function call(path: string, token: string, body: object): Promise<Response> {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', connection: 'close' }
    return await fetch(operator.platformUrl + path, { method: 'POST', headers, body: JSON.stringify(body) })
  }
  await plane.apply([workspace('acme', 'guest', { backend: 'external', delivery: 'poll' })])
  const { workspaceID: id = '' } = await until(async () => {
    const status = await statusOf('guest')
    return status?.workspaceID === undefined ? undefined : status
  })
  const { connection } = (await (await call(`/workspaces/${id}/external/rotate`, adminToken, {})).json()) as {
    connection: { auth_token: string }
  }
  await call('/registry/register', connection.auth_token, { id, agent_card: { name: 'guest' }, delivery_mode: 'poll' })
  await until(() => isReady('guest'), { what: 'the external Workspace' })
  const beat = async () => {
    const answer = await call('/registry/heartbeat', connection.auth_token, { workspace_id: id })
    return `${String(answer.status)} ${((await answer.json()) as { status: string }).status}`
  }

  const unreachable = async (name: string) => {
    const status = await statusOf(name)
    return conditionOf(status, 'Launched') === 'Unknown BackendUnreachable' ? status : undefined
  }

  test.each(faults)(
    'the engine, $name',
    async ({ name, line, words }) => {
      lines.length = 0
      const fresh = `new-${name.replaceAll(' ', '-')}`
      const [old, guest] = [await read('old'), await read('guest')]
      const [containers, record] = [await containersOf(old), await rowOf(old)]
      const before = (await errors('docker', 'unreachable')) ?? 0
      await engine.set(line)
      try {
        await plane.apply([workspace('acme', fresh, spec)])
        await until(async () => (await up('docker')) === 0, { what: 'the gauge', within: 60_000 })
        const running = await until(() => unreachable('old'), { what: 'the condition of what runs', within: 90_000 })
        const waiting = await until(() => unreachable(fresh), { what: 'the condition of the new one', within: 60_000 })
        for (const status of [running, waiting]) {
          expect(messageOf(status, 'Launched')).toMatch(words)
          expect(conditionOf(status, 'Reconciling')).toMatch(/^True /)
          expect(conditionOf(status, 'Stalled')).toBeUndefined()
          expect(JSON.stringify(status)).not.toContain(key)
        }
        expect(await rowOf(await read(fresh))).toMatchObject({
          status: 'provisioning',
          launch_attempts: 0,
          restarts: 0,
        })

        // Agents are served, those in containers among them.
        const answer = await beat()
        expect(answer).toBe('200 ok')
        const { last_heartbeat_at: last } = await rowOf(old)
        await until(async () => Number((await rowOf(old))['last_heartbeat_at']) > Number(last), { what: 'a beat' })

        const alert = await fires('MoleculeBackendDown')
        const ready = await get('/readyz')
        expect(ready).toEqual({ code: 200, text: 'ok\n' })
        expect(await up('database')).toBe(1)
        await until(async () => ((await errors('docker', 'unreachable')) ?? 0) > before + 2, { what: 'more errors' })
        const [failed, ...more] = said('docker', 'dependency failed')
        expect(failed).toMatchObject({ level: 'warn', reason: 'unreachable' })
        expect(more).toEqual([])
        expect(lines.filter((each) => each['level'] === 'error')).toEqual([])
        expect(JSON.stringify(lines)).not.toContain(key)
        row(
          `Docker engine: ${name}`,
          `${String(ready.code)} ${ready.text.trim()}`,
          'dependency_up{docker} 0, errors{cause=unreachable}',
          alert,
          `Launched=${String(conditionOf(waiting, 'Launched'))}: ${messageOf(waiting, 'Launched')}`,
          answer,
          JSON.stringify(failed),
        )
      } finally {
        await engine.set('pass')
      }
      await until(() => isReady(fresh), { what: 'the new Workspace', within: 60_000 })
      await until(() => isReady('old'), { what: 'the one that ran', within: 60_000 })
      await until(async () => (await up('docker')) === 1, { what: 'the gauge', within: 60_000 })
      expect(said('docker', 'dependency works again')).toHaveLength(1)
      await silent('MoleculeBackendDown')

      const made = await read(fresh)
      expect(await containersOf(old)).toEqual(containers)
      expect(await containersOf(made)).toHaveLength(1)
      const { restarts, launch_attempts, registered_at } = record
      expect(await rowOf(old)).toMatchObject({ status: 'online', restarts, launch_attempts, registered_at })
      expect(await rowOf(made)).toMatchObject({ status: 'online', restarts: 0 })
      expect((await read('old')).status?.instance).toEqual(old.status?.instance)
      expect((await read('guest')).metadata.resourceVersion).toBe(guest.metadata.resourceVersion)
    },
    300_000,
  )
}
