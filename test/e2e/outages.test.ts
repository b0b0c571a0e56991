/**
 * Each thing that the operator needs is taken away from a running one, in every way: what readiness, metrics, alerts,
 * conditions, agents and the log then say. OUTAGE_TABLE=<file> gets it as a table.
 */
import { expect, test } from 'vitest'
import { apiTroubles, type ApiTrouble } from '../../src/kube/api-trouble.ts'
import { breakableDatabase, databaseFaults } from '../support/broken-database.ts'
import { fakeWithAgents } from '../support/operator.ts'
import { conditionOf as conditionOfOrg, onePass, orgImport, readOrg, readTree } from '../support/orgs.ts'
import { openOutageScene } from '../support/outage-scene.ts'
import type { TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, workspace } from '../support/workspaces.ts'

const backend = fakeWithAgents()
const scene = await openOutageScene(await breakableDatabase(), { backends: [backend] })
const { plane, line, lines, writeKubeconfig, statusOf, isReady } = scene
const { get, up, errors, agent, said, row, fires, silent, meets } = scene
const account = ['serviceaccount', 'molecule-operator', '-n', 'molecule-system'] as const

test.each(databaseFaults)('the database, $name', (fault) => meets(fault), 240_000)

test('an import stays Ready while the passes of its Workspaces wait for the database', async () => {
  const inline = { name: 'Team', workspaces: [{ name: 'A' }] }
  await plane.apply([orgImport('acme', 'team', { source: { inline } })])
  const ready = async () => conditionOfOrg((await readOrg(plane, 'acme', 'team')).status, 'Ready')
  await until(async () => (await ready()) === 'True Settled', { what: 'the import', within: 60_000 })
  const member = (await readTree(plane, 'acme')).get('A')?.metadata.name ?? ''
  const [refused] = databaseFaults
  if (refused === undefined) throw new Error('there is no fault of a database')
  await meets({ ...refused, name: 'refused beside an import' }, async () => {
    await plane.kubectl(['annotate', 'ws', member, '-n', 'acme', 'molecule.dev/reconcile-requested-at=now'])
    // Its pass comes after that one.
    await plane.apply([workspace('acme', 'after-member')])
    await until(async () => (await statusOf('after-member'))?.summary, { what: 'a later pass', within: 45_000 })
    await onePass(plane, 'acme', 'team')
    expect(await ready()).toBe('True Settled')
  })
}, 240_000)

interface ApiFault {
  readonly name: string
  readonly trouble: ApiTrouble
  readonly begin: () => Promise<unknown>
  readonly end: () => Promise<unknown>
}

const byLine = (name: string, trouble: ApiTrouble, state: Parameters<TcpProxy['set']>[0]): ApiFault => ({
  name,
  trouble,
  begin: () => line.set(state),
  end: () => line.set('pass'),
})
const binding = ['clusterrolebinding', 'molecule-operator'] as const
let granted: object

const apiFaults: readonly ApiFault[] = [
  byLine('refused', 'connection', 'refuse'),
  byLine('frozen', 'timeout', 'freeze'),
  byLine('TLS', 'tls', 'babble'),
  {
    name: 'Unauthorized',
    trouble: 'unauthorized',
    begin: () => plane.kubectl(['delete', ...account]),
    async end() {
      await plane.kubectl(['create', ...account])
      await writeKubeconfig()
    },
  },
]

test.each(apiFaults)(
  'the API server, $name',
  async ({ name, trouble, begin, end }) => {
    lines.length = 0
    const before = (await errors('api_server', trouble)) ?? 0
    await begin()
    try {
      const words = `api_server: ${apiTroubles[trouble]}\n`
      const ready = await until(
        async () => {
          const answer = await get('/readyz')
          return answer.text === words ? answer : undefined
        },
        { what: `${words} in /readyz`, within: 90_000 },
      )
      expect(ready.code).toBe(503)
      expect((await get('/livez')).code).toBe(200)
      expect(await up('api_server')).toBe(0)
      expect(await up('database')).toBe(1)
      expect(await errors('api_server', trouble)).toBeGreaterThan(before)
      const failed = await until(
        () => said('api_server', 'dependency failed').find((each) => each['reason'] === trouble),
        { what: 'the line of the log', within: 30_000 },
      )
      expect(failed).toMatchObject({ level: 'warn' })
      const cause = String(failed['cause'])
      expect(cause.slice(0, cause.length / 2)).not.toBe(cause.slice(-cause.length / 2))
      // Rows are all that agents need.
      const answer = await agent()
      expect(answer).toBe('401 unauthorized')
      const alert = await fires('MoleculeApiServerDown')
      expect(said('api_server', 'dependency failed').filter((each) => each['reason'] === trouble)).toHaveLength(1)
      expect(lines.filter((each) => each['level'] === 'error')).toEqual([])
      row(
        `API server: ${name}`,
        `${String(ready.code)} ${ready.text.trim()}`,
        `dependency_up{api_server} 0, errors{cause=${trouble}}`,
        alert,
        'none can be written',
        answer,
        JSON.stringify(failed),
      )
    } finally {
      await end()
    }
    await until(async () => (await get('/readyz')).code === 200, { what: 'readiness', within: 90_000 })
    const fresh = `api-${name.toLowerCase()}`
    await plane.apply([workspace('acme', fresh)])
    await until(() => isReady(fresh), { what: 'a new Workspace', within: 60_000 })
    await silent('MoleculeApiServerDown')
  },
  300_000,
)

test('the API server, Forbidden', async () => {
  lines.length = 0
  granted = (await plane.getJson(...binding)) as object
  await plane.kubectl(['delete', ...binding])
  try {
    // What is watched already goes on until its stream ends.
    await line.set('babble')
    await line.set('pass')
    const ready = await until(
      async () => {
        const answer = await get('/readyz')
        return answer.code === 503 && answer.text.includes('workspaces: forbidden') ? answer : undefined
      },
      { what: 'forbidden in /readyz', within: 60_000 },
    )
    expect((await get('/livez')).code).toBe(200)
    expect(await up('api_server')).toBe(0)
    expect(await errors('api_server', 'forbidden')).toBeGreaterThan(0)
    const forbidden = lines.filter((each) => String(each['msg']).startsWith('list and watch are forbidden'))
    const ofWorkspaces = forbidden.filter((each) => each['kind'] === 'Workspace' && each['namespace'] === undefined)
    expect(ofWorkspaces).toEqual([expect.objectContaining({ level: 'warn' })])
    const answer = await agent()
    expect(answer).toBe('401 unauthorized')
    const alert = await fires('MoleculeApiServerDown')
    row(
      'API server: Forbidden',
      `503 ${ready.text.trim().replaceAll('\n', '; ')}`,
      'dependency_up{api_server} 0, errors{cause=forbidden}',
      alert,
      'none can be written',
      answer,
      JSON.stringify(ofWorkspaces[0]),
    )
  } finally {
    const { metadata, ...rest } = granted as { metadata: { name: string } }
    await plane.apply([{ ...rest, metadata: { name: metadata.name } }])
  }
  await until(async () => (await get('/readyz')).code === 200, { what: 'readiness', within: 60_000 })
  await silent('MoleculeApiServerDown')
}, 240_000)

test('a backend', async () => {
  lines.length = 0
  const mend = backend.fail('observe', new Error('connect ECONNREFUSED'), Infinity)
  const mendList = backend.fail('owned', new Error('connect ECONNREFUSED'), Infinity)
  try {
    await until(async () => (await up('fake')) === 0, { what: 'the gauge', within: 60_000 })
    const ready = await get('/readyz')
    expect(ready.code).toBe(200)
    await plane.apply([workspace('acme', 'backendless')])
    const status = await until(
      async () => {
        const found = await statusOf('backendless')
        return conditionOf(found, 'Launched')?.includes('BackendUnreachable') === true ? found : undefined
      },
      { what: 'the condition', within: 45_000 },
    )
    const [failed, ...more] = said('fake', 'dependency failed')
    expect(failed).toMatchObject({ level: 'warn', reason: 'unreachable' })
    expect(more).toEqual([])
    const alert = await fires('MoleculeBackendDown')
    row(
      'backend: does not answer',
      `${String(ready.code)} ${ready.text.trim()}`,
      'dependency_up{fake} 0, errors{cause=unreachable}',
      alert,
      `Launched=${String(conditionOf(status, 'Launched'))}: ${messageOf(status, 'Launched')}`,
      await agent(),
      JSON.stringify(failed),
    )
  } finally {
    mend()
    mendList()
  }
  await until(() => isReady('backendless'), { what: 'the Workspace', within: 60_000 })
  await until(async () => (await up('fake')) === 1, { what: 'the gauge', within: 60_000 })
  await silent('MoleculeBackendDown')
}, 240_000)
