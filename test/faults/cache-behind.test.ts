/**
 * One leads whose cache is behind: its watch stands still, and the leader before it has recorded a newer generation. The row
 * is ahead of the object that the cache has, as after a store was put back, and the API server says which it is.
 */
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import { installOperator } from '../../src/dev/install.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { ownControlPlane } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { leaseRights } from '../support/lease-rights.ts'
import { fakeWithAgents, startOperator } from '../support/operator.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { conditionOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const acme = 'acme'

test('a leader whose cache is behind takes no row back to what it has, and goes on once it has caught up', async () => {
  const plane = await ownControlPlane()
  afterAll(() => plane.stop())
  await installOperator(plane)
  const namespaces = [acme, 'test-leases'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
  await plane.apply([...namespaces, ...leaseRights('test-leases')])
  await until(() => plane.apply([runtime('agent', { default: true })]))
  const databaseUrl = await database()
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  afterAll(() => client.end())
  const line = await TcpProxy.start(await freePort(), Number(new URL(plane.url).port))
  afterAll(() => line.stop())
  const direct = await plane.identity('molecule-system', 'molecule-operator', join(plane.dir, 'operator'))
  const through = join(plane.dir, 'operator-on-a-line')
  await writeFile(through, (await readFile(direct, 'utf8')).replaceAll(plane.url, `https://127.0.0.1:${line.port}`))

  const LEASE_NAME = `test-${randomBytes(4).toString('hex')}`
  const backend = fakeWithAgents()
  const start = (seen: typeof backend, KUBECONFIG: string) =>
    startOperator({ databaseUrl, backends: [seen], env: { KUBECONFIG, LEASE_NAME } })
  const former = await start(backend, direct)
  await plane.apply([workspace(acme, 'ada', { role: 'Counts.' })])
  const settled = (role: string) =>
    until(
      async () => {
        const { metadata, status } = await readWorkspace(plane, acme, 'ada')
        expect(status?.observedGeneration).toBe(metadata.generation)
        expect(conditionOf(status, 'Ready')).toBe('True Settled')
        expect(await row()).toEqual({ role, generation: metadata.generation })
        return true
      },
      { what: `ada to be as "${role}" asks`, within: 60_000 },
    )
  const row = async () =>
    (await client.query(`SELECT role, observed_generation::int AS generation FROM workspaces`)).rows[0] as object
  await settled('Counts.')
  // A row that was taken back is mended by the next pass: what happened to it in between is written down.
  await client.query(`
    CREATE TABLE taken_back (role text, generation bigint);
    CREATE FUNCTION note_taken_back() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO taken_back VALUES (NEW.role, NEW.observed_generation); RETURN NULL; END $$;
    CREATE TRIGGER taken_back AFTER UPDATE ON workspaces FOR EACH ROW
      WHEN (NEW.observed_generation < OLD.observed_generation) EXECUTE FUNCTION note_taken_back()`)
  const successor = await start(backend.seenBy('fake'), through)
  await line.set('stall')
  await plane.apply([workspace(acme, 'ada', { role: 'Counts again.' })])
  await settled('Counts again.')
  const created = [...backend.creates]
  await former.stop()

  await until(
    async () => {
      const text = await (await fetch(`${successor.healthUrl}/metrics`)).text()
      return /^molecule_operator_reconcile_total\{controller="workspace",outcome="again"\} [1-9]/m.test(text)
    },
    { what: 'a pass of the one that leads now', within: 60_000 },
  )
  expect(await row()).toEqual({ role: 'Counts again.', generation: 2 })
  expect([...backend.creates]).toEqual(created)
  await line.set('pass')
  await plane.apply([workspace(acme, 'ada', { role: 'Goes on.' })])
  await settled('Goes on.')
  expect((await client.query('SELECT * FROM taken_back')).rows).toEqual([])
}, 240_000)
