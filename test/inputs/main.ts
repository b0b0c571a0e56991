/** `npm run inputs`: what becomes of every field of a Workspace and a Runtime when it is wrong, as a table. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { readConfig } from '../../src/config.ts'
import { findBinaries, startControlPlane } from '../../src/dev/control-plane.ts'
import { installOperator } from '../../src/dev/install.ts'
import { startPostgres } from '../../src/dev/postgres.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { reasonOf } from '../../src/errors.ts'
import { runOperator } from '../../src/operator.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { requests, type Json } from '../api/requests.ts'
import { whole } from '../api/whole.ts'
import { inputsOf, judge, type Result, type Scene } from './sweep.ts'
import { table } from './table.ts'

const report = (line: string): void => void process.stderr.write(`${line}\n`)
const namespace = 'inputs'
const atOnce = 24

/** All that the sound specs refer to, so that each of them can become Ready. */
const props: readonly object[] = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  ...['keys', 'slack', 'settings'].map((name) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    stringData: { 'a.txt': 'a', KEY: 'value', bot_token: 'xoxb-1', channel_id: 'C1' },
  })),
  ...['settings', 'plain'].map((name) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace },
    data: { 'a.txt': 'a', PLAIN: 'a' },
  })),
  ...['molecule-references', 'molecule-generated-files'].map((role) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: role, namespace },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: 'molecule-operator', namespace: 'molecule-system' }],
  })),
]
const kinds = (spec: Json) => ({ apiVersion: 'molecule.dev/v1alpha1', spec })
const company: readonly object[] = [
  { ...kinds({ image: 'a:1', models: [{ id: 'sonnet' }] }), kind: 'Runtime', metadata: { name: 'claude-code' } },
  { ...kinds({ image: 'a:1', default: true }), kind: 'Runtime', metadata: { name: 'usual' } },
  { ...kinds({}), kind: 'Workspace', metadata: { name: 'boss', namespace } },
]

/** A sound spec that this operator can run: nothing in a cloud, and no default beside the one that is there. */
function runnable(spec: Json): Json {
  const { compute: _compute, default: _default, adopt, ...rest } = spec
  if (rest['backend'] === 'ec2') return { ...rest, backend: 'docker' }
  return adopt === undefined ? rest : { ...rest, adopt }
}

async function main(): Promise<boolean> {
  const dir = await mkdtemp(join(tmpdir(), 'molecule-inputs-'))
  const plane = await startControlPlane({
    binaries: await findBinaries(report),
    dir: join(dir, 'plane'),
    report: () => undefined,
  })
  const postgres = await startPostgres({ dir: join(dir, 'pg'), report: () => undefined, unsafe: true, own: true })
  const stop = new AbortController()
  try {
    await installOperator(plane)
    await plane.apply(props)
    const databaseUrl = await postgres.createDatabase('inputs')
    const backends = ['docker', 'fake'].map((name) => new FakeBackend({ name, onRunning: registerAt }))
    const running = runOperator(
      await settings(databaseUrl, await plane.identity('molecule-system', 'molecule-operator', join(dir, 'operator'))),
      createLogger('fatal'),
      stop.signal,
      Object.fromEntries(backends.map((backend) => [backend.name, () => backend])),
    )
    // How it ended is asked below; that it ends with its servers is no news.
    running.catch(() => undefined)
    await plane.apply(company)
    const db = new Client({ connectionString: databaseUrl })
    // When the server goes, so does this run: what it says then is no news.
    db.on('error', () => {})
    await db.connect()
    const hasRow = async (id: string) =>
      (await db.query(`SELECT FROM workspaces WHERE id = $1 AND status <> 'removed'`, [id])).rows.length > 0
    const api = await requests(namespace, plane.kubeconfig)
    const results = await all({ api, backends, hasRow })
    await api.close()
    stop.abort()
    await running
    await db.end()
    process.stdout.write(`${table(results)}\n`)
    const json = process.argv.indexOf('--json')
    const file = process.argv[json + 1]
    if (json > 0 && file !== undefined) await writeFile(file, `${JSON.stringify(results, null, 2)}\n`)
    return results.every(({ fault }) => fault === undefined)
  } finally {
    stop.abort()
    await postgres.stop()
    await plane.stop()
    await rm(dir, { recursive: true, force: true })
  }
}

async function settings(databaseUrl: string, kubeconfig: string) {
  const env = {
    KUBECONFIG: kubeconfig,
    DATABASE_URL: databaseUrl,
    BACKENDS: 'docker,fake',
    DEFAULT_BACKEND: 'fake',
    SECRETS_KEY: randomBytes(32).toString('base64'),
    PLATFORM_HOST: '127.0.0.1',
    PLATFORM_PORT: String(await freePort()),
    HEALTH_PORT: String(await freePort()),
    HEALTH_HOST: '127.0.0.1',
  }
  return readConfig([], env, ['docker', 'fake'])
}

/** A bounded number at once, in their order; a line every ten seconds says how far it is. */
async function all(scene: Scene): Promise<Result[]> {
  const inputs = (['Workspace', 'Runtime'] as const).flatMap((kind) =>
    inputsOf(kind, whole[kind].map(runnable)).map((input) => input),
  )
  const results: Result[] = []
  const telling = setInterval(() => report(`${results.length} of ${inputs.length} inputs`), 10_000)
  const queue = inputs.entries()
  const work = async () => {
    for (const [i, input] of queue)
      results.push(
        await judge(input, `case-${i}`, scene).catch((error: unknown) => ({
          input,
          end: 'not judged',
          fault: reasonOf(error),
        })),
      )
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  clearInterval(telling)
  return results
}

try {
  process.exitCode = (await main()) ? 0 : 1
} catch (error) {
  report(reasonOf(error))
  process.exitCode = 1
}
