/** An operator whose dependencies are taken away, and what is to be seen of that: from outside, as an administrator would. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect } from 'vitest'
import { freePort } from '../../src/dev/server-process.ts'
import type { Backend } from '../../src/backends/backend.ts'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import { installOperator } from '../../src/dev/install.ts'
import { troubles } from '../../src/store/postgres/faults.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import type { BreakableDatabase, DatabaseFault } from './broken-database.ts'
import { ownControlPlane } from './cluster.ts'
import { leaseRights } from './lease-rights.ts'
import { fakeWithAgents, startOperator } from './operator.ts'
import { hasPrometheus, startPrometheus } from './prometheus.ts'
import { TcpProxy } from './tcp-proxy.ts'
import { until } from './until.ts'
import { conditionOf, messageOf, readWorkspace, runtime, workspace } from './workspaces.ts'

export interface SceneSettings {
  /** Of the operator. */
  readonly env?: Readonly<Record<string, string>>
  /** One whose agents register by themselves unless given; empty for those of the operator's own that `env` names. */
  readonly backends?: readonly Backend[]
  readonly image?: string
  /** Spec of `old`. */
  readonly spec?: object
  /** Called before there is any Workspace. */
  readonly prepare?: (plane: ControlPlane) => Promise<unknown>
}

/** For the file that calls this at its top level: a Workspace `old` of the namespace `acme` is Ready. OUTAGE_TABLE=<file> gets rows. */
export async function openOutageScene(database: BreakableDatabase, settings: SceneSettings = {}) {
  const scene = await openScene(database, settings)
  return {
    ...scene,
    /** Begins it, holds everything that is told to what it is, and ends it: all goes on by itself. */
    meets: (fault: DatabaseFault, during?: () => Promise<unknown>) => databaseAway(scene, database, fault, during),
  }
}

async function openScene(
  database: BreakableDatabase,
  { backends = [fakeWithAgents()], image = 'test/agent:1', spec = {}, ...given }: SceneSettings,
) {
  if (!hasPrometheus())
    console.warn(
      'SKIPPED: there is no prometheus on this machine (apt-get install prometheus): no alert was seen to fire',
    )
  const plane = await ownControlPlane()
  const kubeconfig = join(tmpdir(), `molecule-test-outages-${randomBytes(4).toString('hex')}.kubeconfig`)
  const lines: Record<string, unknown>[] = []
  const log = createLogger('info', { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) })
  const line = await TcpProxy.start(await freePort(), Number(new URL(plane.url).port))

  /** The operator's own identity, by a line that can be cut. */
  async function writeKubeconfig(): Promise<void> {
    await plane.identity('molecule-system', 'molecule-operator', kubeconfig)
    const through = readFileSync(kubeconfig, 'utf8').replace(
      /(server: https:\/\/127\.0\.0\.1:)\d+/,
      `$1${String(line.port)}`,
    )
    writeFileSync(kubeconfig, through)
  }

  await installOperator(plane)
  await plane.apply([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'test-leases' } },
    ...leaseRights('test-leases'),
  ])
  await plane.kubectl(['create', 'namespace', 'acme'])
  await plane.apply([runtime('agent', { default: true, image })])
  await given.prepare?.(plane)
  await writeKubeconfig()
  const env = { KUBECONFIG: kubeconfig, ORPHANS: 'report', ORPHAN_GRACE: '8s', ...given.env }
  const operator = await startOperator({ databaseUrl: database.url, backends, log, env })
  await plane.apply([workspace('acme', 'old', spec)])
  const statusOf = async (name: string) => (await readWorkspace(plane, 'acme', name)).status
  const isReady = async (name: string) => conditionOf(await statusOf(name), 'Ready')?.startsWith('True') === true
  await until(() => isReady('old'), { what: 'the first Workspace', within: 60_000 })
  const prometheus = hasPrometheus() ? await startPrometheus(new URL(operator.healthUrl).host) : undefined
  await until(async () => (await prometheus?.firing())?.length !== 1, { what: 'no alert' })
  afterAll(async () => {
    await prometheus?.stop()
    await line.set('pass')
    await operator.stop()
    await line.stop()
    await database.stop()
    await plane.stop()
  })

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
        const firing = await prometheus.firing()
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

  return {
    plane,
    line,
    lines,
    operator,
    writeKubeconfig,
    statusOf,
    isReady,
    get,
    up,
    errors,
    agent,
    said,
    row,
    fires,
    silent,
  }
}

type Scene = Awaited<ReturnType<typeof openScene>>

async function databaseAway(
  { plane, lines, isReady, statusOf, get, up, errors, agent, said, row, fires, silent }: Scene,
  database: BreakableDatabase,
  { name, trouble, begin, end, unseen = false, spec = {} }: DatabaseFault,
  during: () => Promise<unknown> = async () => undefined,
): Promise<void> {
  lines.length = 0
  const fresh = `new-${name.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`
  const before = (await errors('database', trouble)) ?? 0
  await begin(database)
  try {
    if (unseen) await plane.apply([workspace('acme', fresh, spec)])
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
    if (!unseen) await plane.apply([workspace('acme', fresh, spec)])
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
    await during()
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
}
