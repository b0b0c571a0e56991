/** What an operator needs to be measured: an API server, a database, rights, and counters that are not its own. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { parse } from 'yaml'
import { apiVersion, group, version } from '../src/api/meta.ts'
import { type Binaries, type ControlPlane, findBinaries, startControlPlane } from '../src/dev/control-plane.ts'
import { type Postgres, startPostgres } from '../src/dev/postgres.ts'
import { Api, type Credentials, namespace } from './api.ts'
import { Operator, sumOf } from './operator.ts'
import type { BackendName, Options } from './options.ts'
import { loop, manifest } from './raw.ts'
import { type Done, Watcher } from './watcher.ts'

const operatorUser = 'system:serviceaccount:molecule-system:molecule-operator'
const operatorGroups = ['system:serviceaccounts', 'system:serviceaccounts:molecule-system', 'system:authenticated']

/** One for all operators of a run: each row is sealed with it. */
const secretsKey = randomBytes(32).toString('base64')

/** Objects that both a baseline and an operator make before the clock starts: connections stand, code is warm. */
export const warm = 32

/** What one run of the bench shares: the binaries and one PostgreSQL that counts statements. */
export class Bench {
  readonly options: Options
  readonly report: (line: string) => void
  readonly #binaries: Binaries
  readonly #postgres: Postgres
  readonly #dir: string

  private constructor(options: Options, report: (line: string) => void, parts: [Binaries, Postgres, string]) {
    this.options = options
    this.report = report
    ;[this.#binaries, this.#postgres, this.#dir] = parts
  }

  static async start(options: Options, report: (line: string) => void): Promise<Bench> {
    const dir = await mkdtemp(join(tmpdir(), 'molecule-bench-'))
    try {
      const binaries = await findBinaries(report)
      const postgres = await startPostgres({ dir: join(dir, 'postgres'), report, own: true })
      const bench = new Bench(options, report, [binaries, postgres, dir])
      await bench.#countStatements()
      return bench
    } catch (error) {
      await rm(dir, { recursive: true, force: true })
      throw error
    }
  }

  /** A new etcd, API server and database, with CRDs, rights and the admission policy, ready to be written to. */
  async fresh(): Promise<Rig> {
    const name = `bench_${randomBytes(4).toString('hex')}`
    const plane = await startControlPlane({
      binaries: this.#binaries,
      dir: join(this.#dir, name),
      report: () => undefined,
    })
    try {
      const databaseUrl = await this.#postgres.createDatabase(name)
      return await Rig.prepare(this, plane, this.#postgres, databaseUrl)
    } catch (error) {
      await plane.stop()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#postgres.stop()
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #countStatements(): Promise<void> {
    await query(this.#postgres.url, `ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`)
    await this.#postgres.restart()
    await query(this.#postgres.url, 'CREATE EXTENSION pg_stat_statements')
  }
}

/** Requests that the API server answered for our group and for events, but for watches, which count when they end. */
export interface Requests {
  readonly reads: number
  readonly creates: number
  readonly patches: number
  readonly all: number
}

export class Rig {
  readonly api: Api
  readonly databaseUrl: string
  readonly #bench: Bench
  readonly #plane: ControlPlane
  readonly #postgres: Postgres
  readonly #operatorConfig: string
  #touches = 0

  private constructor(bench: Bench, plane: ControlPlane, postgres: Postgres, parts: [Api, string, string]) {
    this.#bench = bench
    this.#plane = plane
    this.#postgres = postgres
    ;[this.api, this.databaseUrl, this.#operatorConfig] = parts
  }

  static async prepare(bench: Bench, plane: ControlPlane, postgres: Postgres, databaseUrl: string): Promise<Rig> {
    const { options } = bench
    const api = new Api(await credentials(plane.kubeconfig), 96)
    await plane.apply(options.crds)
    await plane.apply('manifests/rbac')
    if (options.policy) await plane.apply('manifests/finalizer-policy')
    await plane.kubectl(['create', 'namespace', namespace])
    const runtime = { apiVersion, kind: 'Runtime', metadata: { name: 'bench' } }
    // A kind is served about a second after it is Established, and the policy acts a moment later still.
    await eventually(() => plane.apply([{ ...runtime, spec: { image: 'bench.local/agent:1', default: true } }]))
    await eventually(() => policyActs(api, options.policy))
    const [user, groups] = options.leastRights ? [operatorUser, operatorGroups] : ['bench', ['system:masters']]
    if (options.migrate) {
      const [file = '', ...words] = options.migrate
      await promisify(execFile)(file, words, { env: { ...process.env, DATABASE_URL: databaseUrl } })
    }
    return new Rig(bench, plane, postgres, [api, databaseUrl, await plane.userKubeconfig(user, groups)])
  }

  /** Starts the operator at once and waits for nothing. */
  start(backend: BackendName, env: Readonly<Record<string, string>> = {}): Promise<Operator> {
    return Operator.start(this.#bench.options.command, {
      KUBECONFIG: this.#operatorConfig,
      DATABASE_URL: this.databaseUrl,
      LEADER_ELECT: 'false',
      LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'warn',
      SECRETS_KEY: secretsKey,
      BACKENDS: backend,
      DEFAULT_BACKEND: backend,
      ...env,
    })
  }

  /** Starts the operator and waits until it has done the first few objects, as it will do all others. */
  async running(backend: BackendName, done: Done, env: Readonly<Record<string, string>> = {}): Promise<Running> {
    const operator = await this.start(backend, env)
    const watcher = await Watcher.start(this.api, done)
    try {
      await this.warmUp(backend)
      await operator.outlives(watcher.untilDone(warm, 60_000))
      return { operator, watcher }
    } catch (error) {
      await watcher[Symbol.asyncDispose]()
      await operator.stop()
      throw new Error(`the operator did not do the first ${warm} objects`, { cause: error })
    }
  }

  /** The objects that are made before the clock starts. */
  async warmUp(backend: BackendName): Promise<void> {
    await loop(warm, 32, (i) => this.api.create(manifest(`warm-${i}`, backend)))
  }

  /** Changes the Runtime that everything here uses, in something that concerns nobody. */
  async touchRuntime(): Promise<void> {
    const path = `/apis/${group}/${version}/runtimes/bench`
    await this.api.send('PATCH', path, { spec: { maxUnavailable: 1 + (this.#touches++ % 2) } })
  }

  async requests(): Promise<Requests> {
    const text = await this.api.send('GET', '/metrics')
    const count = (...verbs: string[]): number =>
      sumOf(
        text,
        'apiserver_request_total',
        (labels) =>
          /group="(molecule\.dev|events\.k8s\.io)"/.test(labels) &&
          verbs.some((verb) => labels.includes(`verb="${verb}"`)),
      ) ?? 0
    const parts = { reads: count('GET', 'LIST'), creates: count('POST'), patches: count('PATCH', 'PUT', 'APPLY') }
    return { ...parts, all: parts.reads + parts.creates + parts.patches + count('DELETE', 'DELETECOLLECTION') }
  }

  /** Every request but those for the API server's own sake (health, metrics, discovery), of whatever group. */
  async allRequests(): Promise<number> {
    const text = await this.api.send('GET', '/metrics')
    return sumOf(text, 'apiserver_request_total', (labels) => !/[{,]resource=""/.test(labels)) ?? 0
  }

  /** Statements that PostgreSQL has seen in this database, transaction control included. */
  async statements(): Promise<number> {
    const rows = await query(
      this.#postgres.url,
      'SELECT coalesce(sum(s.calls), 0)::int AS n FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1',
      [new URL(this.databaseUrl).pathname.slice(1)],
    )
    return Number(rows[0]?.['n'])
  }

  /** Live rows: what an operator that says "done" must have written. */
  async liveRows(): Promise<number> {
    const rows = await query(this.databaseUrl, `SELECT count(*)::int AS n FROM workspaces WHERE status <> 'removed'`)
    return Number(rows[0]?.['n'])
  }

  async rowsOfTier(tier: number): Promise<number> {
    const sql = `SELECT count(*)::int AS n FROM workspaces WHERE status <> 'removed' AND tier = $1`
    const rows = await query(this.databaseUrl, sql, [tier])
    return Number(rows[0]?.['n'])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api[Symbol.asyncDispose]()
    await this.#plane.stop()
  }
}

export interface Running {
  readonly operator: Operator
  readonly watcher: Watcher
}

async function credentials(kubeconfig: string): Promise<Credentials> {
  const config = parse(await readFile(kubeconfig, 'utf8')) as {
    clusters: [{ cluster: Record<string, string> }]
    users: [{ user: Record<string, string> }]
  }
  const [{ cluster }] = config.clusters
  const [{ user }] = config.users
  const pem = (data: string | undefined): string => Buffer.from(data ?? '', 'base64').toString()
  return {
    server: cluster['server'] ?? '',
    ca: pem(cluster['certificate-authority-data']),
    cert: pem(user['client-certificate-data']),
    key: pem(user['client-key-data']),
  }
}

/** Proves by a dry run that a create gets the finalizer (or, without the policy, that it does not). */
async function policyActs(api: Api, wanted: boolean): Promise<void> {
  const path = `/apis/${group}/${version}/namespaces/${namespace}/workspaces?dryRun=All`
  const text = await api.send('POST', path, manifest('policy-check', 'external'))
  if (text.includes(`${group}/finalizer`) !== wanted) throw new Error('the finalizer policy does not act yet')
}

async function eventually(attempt: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + 30_000
  for (;;) {
    try {
      await attempt()
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(100)
    }
  }
}

async function query(url: string, sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql, values)).rows
  } finally {
    await client.end()
  }
}
