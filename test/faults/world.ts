/** One namespace and one database with their operators, and what is seen of them from outside. */
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Pool } from 'pg'
import type { OrgImport } from '../../src/api/org-import.ts'
import type { PluginInstall } from '../../src/api/plugin-install.ts'
import type { Workspace } from '../../src/api/workspace.ts'
import type { Cluster } from '../../src/dev/cluster.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { reasonOf } from '../../src/errors.ts'
import { createKube, type Kube } from '../../src/kube/kube.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { leaseRights } from '../support/lease-rights.ts'
import { engineHost } from './docker-instances.ts'
import type { Instances } from './instances.ts'
import { OperatorProcess } from './operator-process.ts'

/** A cluster with CRDs, rights, policy and a default Runtime, and who the operator is in it. */
export interface Place {
  readonly cluster: Cluster
  /** Kubeconfig of the operator's ServiceAccount. */
  readonly kubeconfig: string
}

export interface Row {
  readonly id: string
  readonly resource_name: string
  readonly name: string
  readonly status: string
  readonly role: string | null
  readonly parent: string | null
  readonly observed_generation: string
  readonly leader_epoch: string
  readonly instance_id: string | null
  readonly tokens: string
  readonly leaks: string
}

/** All of it at one moment, as near as one can get. */
export interface Seen {
  readonly workspaces: readonly Workspace[]
  readonly orgs: readonly OrgImport[]
  readonly installs: readonly PluginInstall[]
  readonly rows: readonly Row[]
  readonly live: ReadonlyMap<string, readonly string[]>
}

// What agents change by their heartbeats is left out: it never rests.
const rowsOf = `
  SELECT w.id, w.resource_name, w.name, w.status, w.role, p.resource_name AS parent, w.observed_generation,
    w.leader_epoch, w.instance_id,
    (SELECT count(*) FROM workspace_auth_tokens t WHERE t.workspace_id = w.id AND t.revoked_at IS NULL) AS tokens,
    (SELECT count(*) FROM leaked_instances l WHERE l.workspace_id = w.id) AS leaks
  FROM workspaces w LEFT JOIN workspaces p ON p.id = w.parent_id WHERE w.namespace = $1 ORDER BY w.id`

const lookEvery = 150

export class World {
  readonly place: Place
  readonly namespace: string
  readonly instances: Instances
  /** Uids that were ever seen with more than one instance at a time. */
  readonly doubled = new Set<string>()
  readonly #kube: Kube
  readonly #pool: Pool
  readonly #env: Readonly<Record<string, string>>
  readonly #operators: OperatorProcess[] = []

  private constructor(place: Place, namespace: string, parts: [Instances, Kube, Pool, Record<string, string>]) {
    this.place = place
    this.namespace = namespace
    ;[this.instances, this.#kube, this.#pool, this.#env] = parts
  }

  static async open(
    place: Place,
    databaseUrl: string,
    makeInstances: (namespace: string) => Promise<Instances> | Instances,
  ): Promise<World> {
    const namespace = `faults-${randomBytes(4).toString('hex')}`
    await place.cluster.kubectl(['create', 'namespace', namespace])
    await place.cluster.apply([
      binding(namespace, 'molecule-references'),
      binding(namespace, 'molecule-generated-files'),
      ...leaseRights(namespace),
    ])
    const credentials = { kubeconfig: place.cluster.kubeconfig }
    const log = createLogger('silent')
    const kube = await createKube({ credentials, log, metrics: createMetrics(), fieldManager: 'faults' })
    const instances = await makeInstances(namespace)
    const port = String(await freePort())
    const host = instances.backend === 'docker' ? engineHost : '127.0.0.1'
    const env = {
      KUBECONFIG: place.kubeconfig,
      DATABASE_URL: databaseUrl,
      LEASE_NAMESPACE: namespace,
      LEASE_NAME: namespace,
      SECRETS_KEY: randomBytes(32).toString('base64'),
      PLATFORM_HOST: '127.0.0.1',
      PLATFORM_PORT: port,
      PLATFORM_URL: `http://${host}:${port}`,
      ...instances.settings,
    }
    const pool = new Pool({ connectionString: databaseUrl, max: 2, connectionTimeoutMillis: 3_000 })
    // A database that is stopped on purpose ends idle connections: the next query opens another.
    pool.on('error', () => undefined)
    return new World(place, namespace, [instances, kube, pool, env])
  }

  /** Starts an operator that always leads, unless `env` says otherwise; one that is killed is followed at once so. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<OperatorProcess> {
    const operator = await OperatorProcess.start({ ...this.#env, LEADER_ELECT: 'false', ...env })
    this.#operators.push(operator)
    return operator
  }

  /** What the operator said last. */
  get lastWords(): string {
    return this.#operators.at(-1)?.tail ?? ''
  }

  /** One request to the API server, as administrator. */
  async ask(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<unknown> {
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    return await this.#kube.transport.send({ method, path, verb: 'test', contentType, ...(body && { body }) })
  }

  pathOf(plural: string, name = ''): string {
    return `/apis/molecule.dev/v1alpha1/namespaces/${this.namespace}/${plural}${name && `/${name}`}`
  }

  async query<T extends object>(sql: string, values: readonly unknown[] = []): Promise<T[]> {
    return (await this.#pool.query<T>(sql, [...values])).rows
  }

  async look(): Promise<Seen> {
    const list = async <T>(plural: string) => ((await this.ask('GET', this.pathOf(plural))) as { items: T[] }).items
    const [workspaces, orgs, installs, rows, live] = await Promise.all([
      list<Workspace>('workspaces'),
      list<OrgImport>('orgimports'),
      list<PluginInstall>('plugininstalls'),
      // Before the first start there are no tables.
      this.query<Row>(rowsOf, [this.namespace]),
      this.instances.live(),
    ])
    for (const [uid, ids] of live) if (ids.length > 1) this.doubled.add(uid)
    return { workspaces, orgs, installs, rows, live }
  }

  /**
   * Waits until nothing is missing any more and then nothing has changed for `quiet` ms. Gives the last sight and when
   * the last change was seen, on the monotonic clock. Throws what is still missing, or that the last operator ended.
   */
  async rest(
    missing: (seen: Seen) => string | undefined | Promise<string | undefined>,
    { quiet, within }: { readonly quiet: number; readonly within: number },
  ): Promise<{ seen: Seen; at: number }> {
    const deadline = performance.now() + within
    let [print, at, lack] = ['', performance.now(), 'nothing was seen yet']
    while (performance.now() < deadline) {
      const exit = this.#operators.at(-1)?.exit
      if (exit !== undefined) throw new Error(`the operator ended (${exit.code ?? exit.signal}); before: ${lack}`)
      try {
        const seen = await this.look()
        const now = fingerprint(seen)
        if (now !== print) [print, at] = [now, performance.now()]
        const left = await missing(seen)
        if (left === undefined && performance.now() - at >= quiet) return { seen, at }
        lack = left ?? 'it does not come to rest'
      } catch (error) {
        lack = reasonOf(error)
      }
      await wait(lookEvery)
    }
    throw new Error(lack)
  }

  /** Ends operators and instances and takes the objects away, finalizers or not. */
  async close(): Promise<void> {
    for (const operator of this.#operators) await operator.end('SIGKILL')
    const instance = await this.query<{ instance: string }>('SELECT instance FROM operator_meta').catch(() => [])
    await this.instances.close(instance[0]?.instance ?? '')
    for (const plural of ['orgimports', 'plugininstalls', 'workspaces']) {
      const { items } = (await this.ask('GET', this.pathOf(plural))) as { items: Workspace[] }
      for (const { metadata } of items) {
        const path = this.pathOf(plural, metadata.name)
        await this.ask('PATCH', path, { metadata: { finalizers: null } }).catch(() => undefined)
        await this.ask('DELETE', path).catch(() => undefined)
      }
    }
    await this.#pool.end()
    await this.#kube.close()
  }
}

const fingerprint = ({ workspaces, orgs, installs, rows, live }: Seen): string =>
  JSON.stringify([
    [...workspaces, ...orgs, ...installs].map(({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`),
    rows,
    [...live].sort(([a], [b]) => (a < b ? -1 : 1)),
  ])

const binding = (namespace: string, role: string) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: { name: role, namespace },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
  subjects: [{ kind: 'ServiceAccount', name: 'molecule-operator', namespace: 'molecule-system' }],
})
