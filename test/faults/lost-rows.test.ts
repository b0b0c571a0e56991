/** F36: a failover lost rows. Their Workspaces say that they are ready; the next look finds out, and makes it true. */
import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import { migrate } from '../../src/store/postgres/migrate.ts'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { ownPostgres } from '../support/database.ts'
import { fakeWithAgents, startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
await openNamespace(ns, cluster)
const postgres = await ownPostgres()
await migrate(postgres.url)
const backend = fakeWithAgents()
// A boot deadline that no test waits for: what is mended by it is not mended in time.
await until(() => cluster.apply([runtime('lost-rows', { bootDeadline: '30m' })]))
const operator = await startOperator({ databaseUrl: postgres.url, backends: [backend] })
afterAll(async () => {
  await operator.stop()
  await postgres.stop()
  await cluster.kubectl(['delete', 'runtime', 'lost-rows', '--wait=false'])
})

async function sql(text: string, ...values: unknown[]): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: postgres.url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text, values)).rows
  } finally {
    await client.end()
  }
}
const ready = (name: string) =>
  until(
    async () => {
      const { metadata, status } = await readWorkspace(cluster, ns, name)
      expect(conditionOf(status, 'Ready')).toBe('True Settled')
      return metadata.uid
    },
    { within: 45_000, what: `${name} to be ready` },
  )
const standing = (uid: string) =>
  sql(
    `SELECT status, launched_hash = spec_hash AS current,
      (SELECT count(*)::int FROM workspace_auth_tokens t WHERE t.workspace_id = w.id AND t.revoked_at IS NULL) AS tokens
     FROM workspaces w WHERE id = $1`,
    uid,
  )
const online = [{ status: 'online', current: true, tokens: 1 }]

test('a row that a failover lost is recorded again, and its instance launched with a token that is good', async () => {
  await cluster.apply(['dot', 'kept'].map((name) => workspace(ns, name, { runtime: 'lost-rows' })))
  const [dot, kept] = [await ready('dot'), await ready('kept')]
  expect(await standing(dot)).toEqual(online)
  await sql('DELETE FROM workspaces WHERE id = $1', dot)
  await postgres.restart()
  await until(
    async () => {
      expect(await standing(dot)).toEqual(online)
      expect(backend.creates.get(dot)).toBe(2)
      return true
    },
    { within: 60_000, what: 'dot to be launched anew' },
  )
  expect(await ready('dot')).toBe(dot)
  // What kept its row was looked at, and that was all.
  expect(await standing(kept)).toEqual(online)
  expect(backend.creates.get(kept)).toBe(1)
})
