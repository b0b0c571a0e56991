/**
 * Each thing that the operator needs is taken away from a running one, in every way: what readiness, metrics, alerts,
 * conditions, agents and the log then say. OUTAGE_TABLE=<file> gets it as a table.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../src/dev/server-process.ts'
import { installOperator } from '../../src/dev/install.ts'
import { apiTroubles, type ApiTrouble } from '../../src/kube/api-trouble.ts'
import { troubles } from '../../src/store/postgres/faults.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { breakableDatabase, databaseFaults, type DatabaseFault } from '../support/broken-database.ts'
import { ownControlPlane } from '../support/cluster.ts'
import { leaseRights } from '../support/lease-rights.ts'
import { fakeWithAgents, startOperator, type TestOperator } from '../support/operator.ts'
import { hasPrometheus, startPrometheus, type Prometheus } from '../support/prometheus.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const plane = await ownControlPlane()
const database = await breakableDatabase()
const backend = fakeWithAgents()
const account = ['serviceaccount', 'molecule-operator', '-n', 'molecule-system'] as const
const kubeconfig = join(tmpdir(), `molecule-test-outages-${randomBytes(4).toString('hex')}.kubeconfig`)
const lines: Record<string, unknown>[] = []
const log = createLogger('info', { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) })
if (!hasPrometheus())
  console.warn(
    'SKIPPED: there is no prometheus on this machine (apt-get install prometheus): no alert was seen to fire',
  )

let line: TcpProxy
let operator: TestOperator
let prometheus: Prometheus | undefined

/** The operator's own identity, by a line that can be cut. */
async function writeKubeconfig(): Promise<void> {
  await plane.identity('molecule-system', 'molecule-operator', kubeconfig)
  const through = readFileSync(kubeconfig, 'utf8').replace(
    /(server: https:\/\/127\.0\.0\.1:)\d+/,
    `$1${String(line.port)}`,
  )
  writeFileSync(kubeconfig, through)
}

beforeAll(async () => {
  line = await TcpProxy.start(await freePort(), Number(new URL(plane.url).port))
  await installOperator(plane)
  await plane.apply([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'test-leases' } },
    ...leaseRights('test-leases'),
  ])
  await plane.kubectl(['create', 'namespace', 'acme'])
  await plane.apply([runtime('agent', { default: true })])
  await writeKubeconfig()
  const env = { KUBECONFIG: kubeconfig, ORPHANS: 'report', ORPHAN_GRACE: '8s' }
  operator = await startOperator({ databaseUrl: database.url, backends: [backend], log, env })
  await plane.apply([workspace('acme', 'old')])
  await until(() => isReady('old'), { what: 'the first Workspace', within: 60_000 })
  prometheus = hasPrometheus() ? await startPrometheus(new URL(operator.healthUrl).host) : undefined
  await until(async () => (await prometheus?.firing())?.length !== 1, { what: 'no alert' })
}, 240_000)
afterAll(async () => {
  await prometheus?.stop()
  await line.set('pass')
  await operator.stop()
  await line.stop()
  await database.stop()
  await plane.stop()
})

const statusOf = async (name: string) => (await readWorkspace(plane, 'acme', name)).status
const isReady = async (name: string) => conditionOf(await statusOf(name), 'Ready')?.startsWith('True') === true
const get = async (path: string) => {
  const answer = await fetch(operator.healthUrl + path)
  return { code: answer.status, text: await answer.text() }
}
/** The value of one series; undefined where there is none. */
async function metric(series: string): Promise<number | undefined> {
  const found = (await get('/metrics')).text.split('\n').find((each) => each.startsWith(`${series} `))
  return found === undefined ? undefined : Number(found.slice(series.length + 1))
}
const up = (dependency: string) => metric(`molecule_operator_dependency_up{dependency="${dependency}"}`)
const errors = (dependency: string, cause: string) =>
  metric(`molecule_operator_dependency_errors_total{dependency="${dependency}",cause="${cause}"}`)
/** What an agent is answered: one whose token is looked up in the rows, and is in none. */
async function agent(): Promise<string> {
  const answer = await fetch(`${operator.platformUrl}/workspaces/6f3b9a52-0c1e-4f65-9d0a-2f1b8d1c7a11/state`, {
    headers: { authorization: `Bearer ${randomBytes(32).toString('base64url')}`, connection: 'close' },
  })
  const { error } = (await answer.json()) as { error: { code: string } }
  const after = answer.headers.get('retry-after')
  return `${String(answer.status)} ${error.code}${after === null ? '' : `, Retry-After ${after}`}`
}
const said = (dependency: string, msg: string) =>
  lines.filter((each) => each['msg'] === msg && each['dependency'] === dependency)

function row(...cells: readonly string[]): void {
  const file = process.env['OUTAGE_TABLE']
  if (file !== undefined) appendFileSync(file, `| ${cells.join(' | ')} |\n`)
}

async function fires(alert: string): Promise<string> {
  if (prometheus === undefined) return '(no prometheus)'
  const alerts = await until(
    async () => {
      const firing = (await prometheus?.firing()) ?? []
      return firing.includes(alert) ? firing : undefined
    },
    { what: `alert ${alert}`, within: 60_000, every: 500 },
  )
  return alerts.join(' ')
}
const silent = async (alert: string) =>
  until(async () => prometheus === undefined || !(await prometheus.firing()).includes(alert), {
    what: `the end of alert ${alert}`,
    within: 60_000,
    every: 500,
  })

test.each(databaseFaults)(
  'the database, $name',
  async ({ name, trouble, begin, end, unseen = false }: DatabaseFault) => {
    lines.length = 0
    const fresh = `new-${name.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`
    const before = (await errors('database', trouble)) ?? 0
    await begin(database)
    try {
      if (unseen) await plane.apply([workspace('acme', fresh)])
      const words = `database: ${troubles[trouble]}\n`
      const ready = await until(
        async () => {
          const answer = await get('/readyz')
          return answer.text === words ? answer : undefined
        },
        { what: `${words} in /readyz`, within: 30_000 },
      )
      expect(ready.code).toBe(503)
      expect((await get('/livez')).code).toBe(200)
      expect(await up('database')).toBe(0)
      expect(await errors('database', trouble)).toBeGreaterThan(before)
      if (!unseen) await plane.apply([workspace('acme', fresh)])
      const waiting = await until(
        async () => {
          const status = await statusOf(fresh)
          return conditionOf(status, 'Reconciling') === 'True DatabaseUnavailable' ? status : undefined
        },
        { what: 'the condition', within: 45_000 },
      )
      const message = messageOf(waiting, 'Reconciling')
      expect(message).toBe(troubles[trouble])
      // What only reads goes on where only writes are refused.
      const answer = await agent()
      if (!unseen && trouble !== 'read_only') expect(answer).toBe('503 store_unavailable, Retry-After 5')
      // It leads on: what leadership rests on is not away.
      expect((await get('/metrics')).text).toMatch(/molecule_operator_leader\{lease="[^"]+"\} 1/)
      const [failed, ...more] = said('database', 'dependency failed').filter((each) => each['reason'] === trouble)
      expect(failed).toMatchObject({ level: 'warn' })
      expect(more).toEqual([])
      expect(lines.filter((each) => each['level'] === 'error')).toEqual([])
      const alert = await fires('MoleculeDatabaseDown')
      row(
        `database: ${name}`,
        `${String(ready.code)} ${ready.text.trim()}`,
        `dependency_up{database} 0, errors{cause=${trouble}}`,
        alert,
        `Reconciling=True DatabaseUnavailable: ${message}`,
        answer,
        JSON.stringify(failed),
      )
    } finally {
      await end(database)
    }
    await until(async () => (await get('/readyz')).code === 200, { what: 'readiness', within: 45_000 })
    // Nothing has backed off: what waited goes on at once.
    await until(() => isReady(fresh), { what: 'the new Workspace', within: 15_000 })
    expect(await isReady('old')).toBe(true)
    expect(await up('database')).toBe(1)
    expect(said('database', 'dependency works again')).toHaveLength(1)
    await silent('MoleculeDatabaseDown')
  },
  240_000,
)

interface ApiFault {
  readonly name: string
  readonly trouble: ApiTrouble
  readonly begin: () => Promise<unknown>
  readonly end: () => Promise<unknown>
}

const byLine = (name: string, trouble: ApiTrouble, state: Parameters<TcpProxy['set']>[0]): ApiFault => ({
  name,
  trouble,
  begin: () => line.set(state),
  end: () => line.set('pass'),
})
const binding = ['clusterrolebinding', 'molecule-operator'] as const
let granted: object

const apiFaults: readonly ApiFault[] = [
  byLine('refused', 'connection', 'refuse'),
  byLine('frozen', 'timeout', 'freeze'),
  byLine('TLS', 'tls', 'babble'),
  {
    name: 'Unauthorized',
    trouble: 'unauthorized',
    begin: () => plane.kubectl(['delete', ...account]),
    async end() {
      await plane.kubectl(['create', ...account])
      await writeKubeconfig()
    },
  },
]

test.each(apiFaults)(
  'the API server, $name',
  async ({ name, trouble, begin, end }) => {
    lines.length = 0
    const before = (await errors('api_server', trouble)) ?? 0
    await begin()
    try {
      const words = `api_server: ${apiTroubles[trouble]}\n`
      const ready = await until(
        async () => {
          const answer = await get('/readyz')
          return answer.text === words ? answer : undefined
        },
        { what: `${words} in /readyz`, within: 90_000 },
      )
      expect(ready.code).toBe(503)
      expect((await get('/livez')).code).toBe(200)
      expect(await up('api_server')).toBe(0)
      expect(await up('database')).toBe(1)
      expect(await errors('api_server', trouble)).toBeGreaterThan(before)
      const failed = await until(
        () => said('api_server', 'dependency failed').find((each) => each['reason'] === trouble),
        { what: 'the line of the log', within: 30_000 },
      )
      expect(failed).toMatchObject({ level: 'warn' })
      const cause = String(failed['cause'])
      expect(cause.slice(0, cause.length / 2)).not.toBe(cause.slice(-cause.length / 2))
      // Rows are all that agents need.
      const answer = await agent()
      expect(answer).toBe('401 unauthorized')
      const alert = await fires('MoleculeApiServerDown')
      expect(said('api_server', 'dependency failed').filter((each) => each['reason'] === trouble)).toHaveLength(1)
      expect(lines.filter((each) => each['level'] === 'error')).toEqual([])
      row(
        `API server: ${name}`,
        `${String(ready.code)} ${ready.text.trim()}`,
        `dependency_up{api_server} 0, errors{cause=${trouble}}`,
        alert,
        'none can be written',
        answer,
        JSON.stringify(failed),
      )
    } finally {
      await end()
    }
    await until(async () => (await get('/readyz')).code === 200, { what: 'readiness', within: 90_000 })
    const fresh = `api-${name.toLowerCase()}`
    await plane.apply([workspace('acme', fresh)])
    await until(() => isReady(fresh), { what: 'a new Workspace', within: 60_000 })
    await silent('MoleculeApiServerDown')
  },
  300_000,
)

test('the API server, Forbidden', async () => {
  lines.length = 0
  granted = (await plane.getJson(...binding)) as object
  await plane.kubectl(['delete', ...binding])
  try {
    // What is watched already goes on until its stream ends.
    await line.set('babble')
    await line.set('pass')
    const ready = await until(
      async () => {
        const answer = await get('/readyz')
        return answer.code === 503 && answer.text.includes('workspaces: forbidden') ? answer : undefined
      },
      { what: 'forbidden in /readyz', within: 60_000 },
    )
    expect((await get('/livez')).code).toBe(200)
    expect(await up('api_server')).toBe(0)
    expect(await errors('api_server', 'forbidden')).toBeGreaterThan(0)
    const forbidden = lines.filter((each) => String(each['msg']).startsWith('list and watch are forbidden'))
    const ofWorkspaces = forbidden.filter((each) => each['kind'] === 'Workspace' && each['namespace'] === undefined)
    expect(ofWorkspaces).toEqual([expect.objectContaining({ level: 'warn' })])
    const answer = await agent()
    expect(answer).toBe('401 unauthorized')
    const alert = await fires('MoleculeApiServerDown')
    row(
      'API server: Forbidden',
      `503 ${ready.text.trim().replaceAll('\n', '; ')}`,
      'dependency_up{api_server} 0, errors{cause=forbidden}',
      alert,
      'none can be written',
      answer,
      JSON.stringify(ofWorkspaces[0]),
    )
  } finally {
    const { metadata, ...rest } = granted as { metadata: { name: string } }
    await plane.apply([{ ...rest, metadata: { name: metadata.name } }])
  }
  await until(async () => (await get('/readyz')).code === 200, { what: 'readiness', within: 60_000 })
  await silent('MoleculeApiServerDown')
}, 240_000)

test('a backend', async () => {
  lines.length = 0
  const mend = backend.fail('observe', new Error('connect ECONNREFUSED'), Infinity)
  const mendList = backend.fail('owned', new Error('connect ECONNREFUSED'), Infinity)
  try {
    await until(async () => (await up('fake')) === 0, { what: 'the gauge', within: 60_000 })
    const ready = await get('/readyz')
    expect(ready.code).toBe(200)
    await plane.apply([workspace('acme', 'backendless')])
    const status = await until(
      async () => {
        const found = await statusOf('backendless')
        return conditionOf(found, 'Launched')?.includes('BackendUnreachable') === true ? found : undefined
      },
      { what: 'the condition', within: 45_000 },
    )
    const [failed, ...more] = said('fake', 'dependency failed')
    expect(failed).toMatchObject({ level: 'warn', reason: 'unreachable' })
    expect(more).toEqual([])
    const alert = await fires('MoleculeBackendDown')
    row(
      'backend: does not answer',
      `${String(ready.code)} ${ready.text.trim()}`,
      'dependency_up{fake} 0, errors{cause=unreachable}',
      alert,
      `Launched=${String(conditionOf(status, 'Launched'))}: ${messageOf(status, 'Launched')}`,
      await agent(),
      JSON.stringify(failed),
    )
  } finally {
    mend()
    mendList()
  }
  await until(() => isReady('backendless'), { what: 'the Workspace', within: 60_000 })
  await until(async () => (await up('fake')) === 1, { what: 'the gauge', within: 60_000 })
  await silent('MoleculeBackendDown')
}, 240_000)
