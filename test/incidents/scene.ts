/** What an incident is played on: a namespace, an operator with instances that can be counted, and a view from outside. */
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Pool } from 'pg'
import { afterAll, expect } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import type { Backend, InstanceSpec } from '../../src/backends/backend.ts'
import { ExternalBackend } from '../../src/backends/external/backend.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { milliseconds } from '../../src/duration.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import { administrator, pathOf } from '../support/admin.ts'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { startOperator, type TestOperator } from '../support/operator.ts'
import { settling } from '../support/settling.ts'
import { until } from '../support/until.ts'
import { removeRuntimes, runtime, workspace } from '../support/workspaces.ts'

export interface SceneOptions {
  readonly env?: Readonly<Record<string, string>>
  /** What the agent of a fake instance does; it registers at once and beats unless this says otherwise. */
  readonly agent?: (spec: InstanceSpec, ended: AbortSignal) => void
  /** Milliseconds that each call of the fake backend takes. */
  readonly latency?: number
  /** Backends beside fake and external. */
  readonly more?: readonly Backend[]
  readonly bootDeadline?: string
  readonly image?: string
}

/** For the file that calls this at its top level; all of it ends after the file. */
export async function openScene(options: SceneOptions = {}) {
  const cluster = controlPlane()
  const ask = administrator(cluster)
  const ns = await namespace(cluster)
  await openNamespace(ns, cluster)
  const databaseUrl = await database()
  const runtimeName = `incident-${randomBytes(4).toString('hex')}`
  const db = new Pool({ connectionString: databaseUrl, max: 2 })
  const launched: InstanceSpec[] = []
  const { agent = registerAt, latency = 0 } = options
  const backend = new FakeBackend({
    latency: milliseconds(latency),
    onRunning: (spec, ended) => {
      launched.push(spec)
      agent(spec, ended)
    },
  })
  const backends = [backend, new ExternalBackend(), ...(options.more ?? [])]
  const start = (env: Readonly<Record<string, string>> = {}): Promise<TestOperator> =>
    startOperator({ databaseUrl, backends, env: { ...options.env, ...env } })
  const { bootDeadline = '1m', image = 'test/agent:1' } = options
  await until(() => cluster.apply([runtime(runtimeName, { bootDeadline, image })]))
  let operator = await start()
  afterAll(async () => {
    await operator.stop()
    await db.end()
    await removeRuntimes(cluster, runtimeName)
  })

  const get = async (name: string) => (await ask('GET', pathOf(ns, name))) as Workspace
  const edit = (name: string, patch: object) => ask('PATCH', pathOf(ns, name), patch)
  const query = async (sql: string, values: readonly unknown[] = []) =>
    (await db.query<Record<string, unknown>>(sql, [...values])).rows

  const settles = settling(get)

  return {
    ask,
    backend,
    cluster,
    edit,
    get,
    /** Every instance that ever began to run, in order. */
    launched,
    ns,
    query,
    settles,
    make: (name: string, spec: object = {}, metadata: object = {}) =>
      ask('POST', pathOf(ns), workspace(ns, name, { runtime: runtimeName, ...spec }, metadata)),
    runtimeName,
    remove: (name: string) => ask('DELETE', pathOf(ns, name)),
    operator: () => operator,
    /** Ends the operator, does what is to happen meanwhile, and starts another. */
    async restarted(meanwhile: () => Promise<unknown> = () => Promise.resolve(), env = {}): Promise<void> {
      await operator.stop()
      await meanwhile()
      operator = await start(env)
    },
    row: async (id: string) => (await query('SELECT * FROM workspaces WHERE id = $1', [id]))[0],
    liveTokens: async (id: string) =>
      await query('SELECT prefix FROM workspace_auth_tokens WHERE workspace_id = $1 AND revoked_at IS NULL', [id]),
    /** Asks for a look and waits until it was taken. */
    async looked(name: string): Promise<Workspace> {
      const at = randomBytes(6).toString('hex')
      await edit(name, { metadata: { annotations: { 'molecule.dev/reconcile-requested-at': at } } })
      return await until(
        async () => {
          const found = await get(name)
          return found.status?.lastHandledReconcileAt === at ? found : undefined
        },
        { what: `${name} to be looked at`, within: 30_000 },
      )
    },
    async gone(name: string): Promise<void> {
      const missing = () =>
        get(name).then(
          () => false,
          (error: unknown) => error instanceof KubeError && error.isNotFound,
        )
      await until(missing, { what: `${name} to be gone`, within: 60_000 })
    },
    /** One beat with that token, as an agent sends it; gives the status of the answer. */
    async beat(id: string, token: string): Promise<number> {
      const response = await fetch(`${operator.platformUrl}/registry/heartbeat`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ workspace_id: id, active_tasks: 0, error_rate: 0, uptime_seconds: 1 }),
      })
      await response.body?.cancel()
      return response.status
    },
  }
}

/** Nothing of what `look` gives may change for that long: what did not happen cannot be waited for. */
export async function stays<T>(look: () => Promise<T> | T, forMs: number): Promise<T> {
  const first = await look()
  const end = performance.now() + forMs
  while (performance.now() < end) {
    expect(await look()).toEqual(first)
    await wait(50)
  }
  return first
}

export const restartAt = (at: string) => ({ metadata: { annotations: { 'molecule.dev/restarted-at': at } } })
