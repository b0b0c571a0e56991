/** What people read while the database is away. */
import { afterAll, expect, test } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { controlPlane, namespaces } from '../support/cluster.ts'
import { ownPostgres } from '../support/database.ts'
import { fakeWithAgents, startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { readWorkspace, runtime } from '../support/workspaces.ts'

const cluster = controlPlane()
const freshNamespace = namespaces(cluster)
const postgres = await ownPostgres()
const server = postgres.server
if (!server) throw new Error('a server of our own was asked for')
await until(() => cluster.apply([runtime('away-agent')]))
const operator = await startOperator({ databaseUrl: postgres.url, backends: [fakeWithAgents()] })
afterAll(async () => {
  await operator.stop()
  await cluster.kubectl(['delete', 'runtime', 'away-agent', '--wait=false'])
  await postgres.stop()
})

const workspace = (ns: string, name: string) => ({
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'Workspace',
  metadata: { name, namespace: ns },
  spec: { runtime: 'away-agent' },
})
const read = (ns: string, name: string) => readWorkspace(cluster, ns, name)
const isReady = ({ status }: Workspace) =>
  status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') === true

test('who is new says what it waits for, who is ready stays so; when the database is back, so is everybody', async () => {
  const ns = await freshNamespace()
  await cluster.apply([workspace(ns, 'old')])
  await until(async () => isReady(await read(ns, 'old')), { what: 'the first one', within: 45_000 })
  // Whatever else made a look at it has been heard by the one that is asked for.
  const ask = (at: string) =>
    cluster.kubectl(['annotate', 'ws', 'old', '-n', ns, '--overwrite', `molecule.dev/reconcile-requested-at=${at}`])
  await ask('before')
  const before = await until(
    async () => {
      const found = await read(ns, 'old')
      return isReady(found) && found.status?.lastHandledReconcileAt === 'before' ? found : undefined
    },
    { what: 'a look at the first one', within: 45_000 },
  )
  await server.stop()
  try {
    await cluster.apply([workspace(ns, 'new')])
    const waiting = await until(
      async () => {
        const found = await read(ns, 'new')
        return found.status?.summary === undefined ? undefined : found
      },
      { what: 'a word of the new one', within: 45_000 },
    )
    expect(waiting.status?.summary).toBe('PostgreSQL is not reachable')
    expect(waiting.status?.conditions).toEqual([
      expect.objectContaining({ type: 'Ready', status: 'Unknown', reason: 'DatabaseUnavailable' }),
      expect.objectContaining({ type: 'Reconciling', status: 'True', reason: 'DatabaseUnavailable' }),
    ])
    expect(waiting.status?.observedGeneration).toBe(-1)
    // Asked to look again, it can say nothing of the one that nobody changed: what it said last stands.
    await ask('now')
    await cluster.apply([workspace(ns, 'newer')])
    await until(async () => (await read(ns, 'newer')).status?.summary, { what: 'a word of the last', within: 45_000 })
    expect((await read(ns, 'old')).status).toEqual(before.status)
  } finally {
    await server.start()
  }
  for (const name of ['old', 'new', 'newer'])
    await until(
      async () => {
        const found = await read(ns, name)
        expect(found.status?.conditions?.map(({ type }) => type)).not.toContain('Reconciling')
        return isReady(found)
      },
      { what: `${name} to be ready`, within: 60_000 },
    )
}, 360_000)
