/** The database goes away in the middle of an import, and comes back: nothing is lost, and nothing is made twice. */
import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import { controlPlane, namespaces, openNamespace } from '../support/cluster.ts'
import { ownPostgres } from '../support/database.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { startOperator } from '../support/operator.ts'
import { conditionOf, orgImport, readOrg, readTree } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { removeRuntimes, runtime } from '../support/workspaces.ts'

const cluster = controlPlane()
const freshNamespace = namespaces(cluster)
const postgres = await ownPostgres()
const server = postgres.server
if (!server) throw new Error('a server of our own was asked for')
/** Agents after the tenth come up when the database is back: until then the tree cannot be whole, however long a stop takes. */
const back = Promise.withResolvers<void>()
let launched = 0
const backend = new FakeBackend({
  onRunning: (spec, ended) => {
    if (++launched <= 10) registerAt(spec, ended)
    else void back.promise.then(() => registerAt(spec, ended))
  },
})
await cluster.apply([runtime('outage-agent')])
const operator = await startOperator({ databaseUrl: postgres.url, backends: [backend] })
afterAll(async () => {
  await operator.stop()
  await removeRuntimes(cluster, 'outage-agent')
  await postgres.stop()
})

async function rowsOf(ns: string): Promise<readonly { name: string; status: string }[]> {
  const db = new Client({ connectionString: postgres.url })
  db.on('error', () => undefined)
  await db.connect()
  try {
    const rows = 'SELECT name, status FROM workspaces WHERE namespace = $1 ORDER BY name'
    return (await db.query<{ name: string; status: string }>(rows, [ns])).rows
  } finally {
    await db.end()
  }
}

test('a walk that is cut off by the database goes on when it is back', async () => {
  const ns = await freshNamespace()
  await openNamespace(ns, cluster)
  const members = Array.from({ length: 10 }, (_, i) => ({
    name: `Team ${i}`,
    children: Array.from({ length: 4 }, (__, j) => ({ name: `Agent ${i}.${j}` })),
  }))
  const inline = {
    name: 'Big',
    defaults: { runtime: 'outage-agent' },
    workspaces: [{ name: 'Lead', children: members }],
  }
  await cluster.apply([orgImport(ns, 'big', { source: { inline }, rollout: { maxInFlight: 5 } })])
  await until(async () => (await rowsOf(ns)).length > 0, { every: 5, within: 45_000, what: 'the first row' })
  await server.stop()
  try {
    const asked = ['annotate', 'org', 'big', '-n', ns, 'molecule.dev/reconcile-requested-at=during']
    await cluster.kubectl(asked)
    const { status } = await until(
      async () => {
        const org = await readOrg(cluster, ns, 'big')
        return org.status?.lastHandledReconcileAt === 'during' ? org : undefined
      },
      { what: 'a pass without a database', within: 90_000 },
    )
    expect(conditionOf(status, 'Ready')).toMatch(/^False /)
    expect((await readTree(cluster, ns)).size).toBeLessThan(51)
  } finally {
    await server.start()
  }
  back.resolve()
  await until(
    async () => {
      const { status } = await readOrg(cluster, ns, 'big')
      expect(conditionOf(status, 'Ready')).toBe('True Settled')
      expect(status?.counts).toMatchObject({ desired: 51, created: 51, failed: 0, ready: 51 })
      return true
    },
    { what: 'a whole tree', within: 120_000, every: 200 },
  )
  const rows = await rowsOf(ns)
  expect(new Set(rows.map(({ status }) => status))).toEqual(new Set(['online']))
  expect(new Set(rows.map(({ name }) => name)).size).toBe(51)
  expect(rows).toHaveLength(51)
  const tree = [...(await readTree(cluster, ns)).values()]
  expect(tree.map(({ metadata }) => backend.creates.get(metadata.uid))).toEqual(Array(51).fill(1))
}, 360_000)
