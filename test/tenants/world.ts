/** One operator over any number of tenants, and all that a test may see from outside: API server, rows, instances. */
import { randomBytes } from 'node:crypto'
import { Pool } from 'pg'
import { afterAll } from 'vitest'
import type { KubeObject } from '../../src/api/meta.ts'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { ExternalBackend } from '../../src/backends/external/backend.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { tokenFile } from '../../src/backends/names.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import { administrator, type Ask } from '../support/admin.ts'
import { controlPlane } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { adminToken, startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { runtime } from '../support/workspaces.ts'

export const molecule = '/apis/molecule.dev/v1alpha1'

/** Kinds of a tenant's namespace, by the path of their list. */
export const collections = (namespace: string) =>
  [
    `${molecule}/namespaces/${namespace}/workspaces`,
    `${molecule}/namespaces/${namespace}/orgimports`,
    `${molecule}/namespaces/${namespace}/plugininstalls`,
    `/api/v1/namespaces/${namespace}/configmaps`,
    `/api/v1/namespaces/${namespace}/secrets`,
  ] as const

export class World {
  readonly ask: Ask
  readonly rows: Pool
  readonly backend: FakeBackend
  readonly platformUrl: string
  readonly adminToken = adminToken
  /** Every instance that was started, by uid, in order. */
  readonly launches: ReadonlyMap<string, readonly InstanceSpec[]>
  readonly #namespaces: string[] = []
  readonly #runtimes: string[] = []

  private constructor(ask: Ask, rows: Pool, backend: FakeBackend, platformUrl: string, launches: World['launches']) {
    this.ask = ask
    this.rows = rows
    this.backend = backend
    this.platformUrl = platformUrl
    this.launches = launches
  }

  /** For the file that calls this at its top level; all of it ends after the file. */
  static async open(): Promise<World> {
    const ask = administrator(controlPlane())
    const databaseUrl = await database()
    const rows = new Pool({ connectionString: databaseUrl, max: 8 })
    const launches = new Map<string, InstanceSpec[]>()
    const backend = new FakeBackend({
      name: 'docker',
      onRunning: (spec, ended) => {
        launches.set(spec.ref.uid, [...(launches.get(spec.ref.uid) ?? []), spec])
        const { BROKEN, WORKSPACE_NAME = '' } = spec.env
        if (BROKEN === undefined && !WORKSPACE_NAME.startsWith('Broken')) registerAt(spec, ended)
      },
    })
    const operator = await startOperator({
      databaseUrl,
      backends: [backend, new ExternalBackend()],
      env: {
        BACKENDS: 'docker,external',
        DEFAULT_BACKEND: 'docker',
        SECRETS_KEY: randomBytes(32).toString('base64'),
        // Nothing beats for the row of the system before.
        LIVENESS_SILENCE: '24h',
      },
    })
    const world = new World(ask, rows, backend, operator.platformUrl, launches)
    afterAll(async () => {
      await operator.stop()
      await world.#clear()
      await rows.end()
    }, 120_000)
    return world
  }

  /** A namespace that the operator may read Secrets and ConfigMaps of. */
  async namespace(name: string): Promise<void> {
    await this.ask('POST', '/api/v1/namespaces', { metadata: { name } })
    this.#namespaces.push(name)
    const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${name}/rolebindings`
    const subjects = [{ kind: 'ServiceAccount', name: 'molecule-operator', namespace: 'molecule-system' }]
    for (const role of ['molecule-references', 'molecule-generated-files'])
      await this.ask('POST', path, {
        metadata: { name: role },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects,
      })
  }

  async runtime(name: string, spec: object): Promise<void> {
    await this.ask('POST', `${molecule}/runtimes`, runtime(name, spec))
    this.#runtimes.push(name)
  }

  async list(path: string): Promise<readonly KubeObject[]> {
    return ((await this.ask('GET', path)) as { items: KubeObject[] }).items
  }

  /** Of the instance of this uid, while there is one. */
  tokenOf(uid: string): string | undefined {
    return this.backend.has(uid) ? this.backend.volumes.get(uid)?.get(tokenFile) : undefined
  }

  /** What was there is gone, also where nothing keeps its finalizer any more. */
  async #clear(): Promise<void> {
    const lists = [...this.#namespaces.flatMap((name) => collections(name).slice(0, 3)), `${molecule}/runtimes`]
    const ours = (path: string, name: string) => !path.endsWith('/runtimes') || this.#runtimes.includes(name)
    for (const path of lists)
      for (const { metadata } of await this.list(path))
        if (ours(path, metadata.name)) await this.unlock(`${path}/${metadata.name}`)
  }

  async unlock(path: string): Promise<void> {
    await gone(this.ask('PATCH', path, { metadata: { finalizers: null } }))
    await gone(this.ask('DELETE', path))
  }
}

/** Undefined where the API server refuses or does not find it: tenants try much that it does not let through. */
export async function gone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof KubeError && error.code >= 400 && error.code < 500) return undefined
    throw error
  }
}

export const freshName = (prefix: string): string => `${prefix}-${randomBytes(4).toString('hex')}`

/** A busy machine is waited for: what never comes is what fails. */
export const patiently = <T>(what: string, look: () => T | Promise<T>) =>
  until(look, { what, within: 60_000, every: 200 })
