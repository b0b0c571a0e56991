/** What an instance was started with is known by a keyed hash: neither the upgrade to it nor another key restarts an agent. */
import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runtimeType } from '../../src/api/runtime.ts'
import { workspaceType } from '../../src/api/workspace.ts'
import type { Backend } from '../../src/backends/backend.ts'
import { defaultTiers } from '../../src/backends/tiers.ts'
import { isObstacle } from '../../src/controllers/workspace/obstacle.ts'
import { resolve } from '../../src/controllers/workspace/resolve.ts'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { fakeWithAgents, startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, readWorkspace, removeRuntimes, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const databaseUrl = await database()
const fake = fakeWithAgents()
const db = new Client({ connectionString: databaseUrl })
const keys = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')] as const
const start = (key: string, backend: Backend = fake) =>
  startOperator({ databaseUrl, backends: [backend], env: { BACKENDS: 'fake', SECRETS_KEY: key } })

const secret = (value: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'keep', namespace: ns },
  stringData: { KEY: value },
})
const get = () => readWorkspace(cluster, ns, 'keeper')
let asked = 0
/** A pass later, when whatever it would have done has begun. */
async function looked(): Promise<void> {
  const mark = `r${++asked}`
  const key = `molecule.dev/reconcile-requested-at=${mark}`
  await cluster.kubectl(['annotate', 'ws', 'keeper', '-n', ns, '--overwrite', key])
  await until(async () => {
    const { status } = await get()
    expect(status?.lastHandledReconcileAt).toBe(mark)
    expect(conditionOf(status, 'Ready')).toBe('True Settled')
    return true
  })
}
const changes = async (value: string, uid: string, creates: number) => {
  await cluster.apply([secret(value)])
  await until(() => fake.creates.get(uid) === creates, { what: `${value} to reach the agent` })
  await looked()
}

/** As it was written before there were keys. */
async function unkeyedHash(value: string): Promise<string> {
  const chosen = runtimeType.parse(await cluster.getJson('runtime', 'hashed'))
  const around = {
    runtimes: new Map([['hashed', chosen]]),
    sibling: () => undefined,
    catalog: { namespace: 'home', look: () => ({ state: 'missing' as const }) },
    quotaExceeded: undefined,
    look: () => ({ state: 'found' as const, keys: ['KEY'], value: () => Buffer.from(value) }),
  }
  const settings = {
    deploymentMode: 'self-hosted' as const,
    defaultBackend: 'fake',
    backends: new Set(['fake']),
    platformUrl: 'http://anywhere',
    tiers: defaultTiers,
  }
  const desired = resolve(workspaceType.parse(await get()), around, settings)
  if (isObstacle(desired)) throw new Error(desired.message)
  return desired.hash.text
}

beforeAll(async () => {
  await db.connect()
  await openNamespace(ns, cluster)
  await until(() => cluster.apply([runtime('hashed', { default: true }), secret('one')]))
})
afterAll(async () => {
  await removeRuntimes(cluster, 'hashed')
  await db.end()
})

test('an instance launched before hashes were keyed, or with another key, stays; a changed Secret replaces it', async () => {
  const first = await start(keys[0])
  const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'keep', key: 'KEY' } } }]
  await cluster.apply([workspace(ns, 'keeper', { env, updateStrategy: 'Immediate' })])
  await until(async () => conditionOf((await get()).status, 'Ready') === 'True Settled')
  const { uid } = (await get()).metadata
  await first.stop()

  const unkeyed = await unkeyedHash('one')
  expect(unkeyed).toMatch(/^[0-9a-f]{32}\./)
  await db.query('UPDATE workspaces SET launched_hash = $1, spec_hash = $1 WHERE id = $2', [unkeyed, uid])
  const old: Backend = new Proxy(fake, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (name === 'observe')
        return async (...given: Parameters<Backend['observe']>) => {
          const seen = await target.observe(...given)
          return 'specHash' in seen && fake.creates.get(uid) === 1 ? { ...seen, specHash: unkeyed } : seen
        }
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const upgraded = await start(keys[0], old)
  await looked()
  expect(fake.creates.get(uid)).toBe(1)
  expect((await get()).status?.instance?.specHash).toMatch(/^v2-/)
  await changes('two', uid, 2)
  await upgraded.stop()

  const rekeyed = await start(keys[1])
  await looked()
  expect(fake.creates.get(uid)).toBe(2)
  await changes('three', uid, 3)
  await rekeyed.stop()
})
