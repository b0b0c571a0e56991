/** Incidents of imports, by their number in the list of org-import: what a tree becomes when it is applied again. */
import { expect, test } from 'vitest'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { ownedName } from '../../src/orgs/names.ts'
import { identities, orgScene, patch } from '../support/org-scene.ts'
import { fromConfigMap, readOrg, readTree, template } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { workspace } from '../support/workspaces.ts'

/** The agents of one incident take a moment to come up, so that it can be seen how many do so at once. */
let starting = 0
let mostStarting = 0
const backend = new FakeBackend({
  onRunning: (spec, ended) => {
    const slow = spec.ref.name.startsWith('slow-')
    if (slow) mostStarting = Math.max(mostStarting, ++starting)
    const come = () => {
      if (slow) starting--
      registerAt(spec, ended)
    }
    setTimeout(come, slow ? 150 : 0)
  },
})
const scene = await orgScene(backend)
const { cluster, settles } = scene

const inline = (...workspaces: object[]) => ({ source: { inline: { name: 'Team', workspaces } } })
const crew = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `Agent ${i}` }))
const tree = { name: 'Lead', children: crew(6) }

const rowsOf = async (ns: string) =>
  (
    await scene.db.query<{ id: string; name: string; tier: number; model: string; template: string }>(
      `SELECT id, name, tier, model, template FROM workspaces
       WHERE namespace = $1 AND status <> 'removed' ORDER BY name`,
      [ns],
    )
  ).rows
const made = async (ns: string) => [(await scene.workspaces(ns)).length, (await rowsOf(ns)).length]
const schedulesOf = async (id: string | undefined) =>
  (
    await scene.db.query<{ name: string; prompt: string; source: string }>(
      'SELECT name, prompt, source FROM workspace_schedules WHERE workspace_id = $1 ORDER BY name',
      [id],
    )
  ).rows
const far = { within: 45_000 }
const configOf = (uid: string) => backend.volumes.get(uid)?.get('config.yaml') ?? ''

test('org-import-01, org-import-05: applied over and over, a tree is one tree', async () => {
  const ns = await scene.opened()
  for (let i = 0; i < 5; i++) await scene.org(ns, 'team', inline(tree))
  await settles(ns, 'team', 'Ready', 'True Settled')
  const before = identities(await scene.workspaces(ns))
  for (let i = 0; i < 3; i++) {
    await scene.org(ns, 'team', inline(tree))
    await scene.onePass(ns, 'team')
  }
  expect(await made(ns)).toEqual([7, 7])
  expect(identities(await scene.workspaces(ns))).toEqual(before)
  // Whoever plans it, and whatever was seen: the same import gives the same node the same name.
  const { uid } = (await readOrg(cluster, ns, 'team')).metadata
  for (const { metadata, spec } of await scene.workspaces(ns))
    expect(metadata.name).toBe(
      ownedName(uid, metadata.annotations?.['molecule.dev/org-node'] ?? '', spec.displayName ?? ''),
    )
  expect([...before.values()].map((uid) => backend.creates.get(uid))).toEqual(Array(7).fill(1))
})

test('org-import-04: two imports of one tree at the same moment make one, and the second says whose it is', async () => {
  const ns = await scene.opened()
  for (const name of ['one', 'two']) await scene.org(ns, name, fromConfigMap('team'))
  for (const name of ['one', 'two']) await settles(ns, name, 'SourceReady', 'False SourceMissing')
  // What both wait for lets both begin in the same moment.
  await cluster.apply([template(ns, 'team', { 'org.yaml': JSON.stringify({ workspaces: [tree] }) })])
  const [winner, loser] = await until(async () => {
    const of = async (name: string) => (await settles(ns, name, 'Applied', '')).status?.conditions
    const applied = async (name: string) => (await of(name))?.find(({ type }) => type === 'Applied')?.status === 'True'
    const [one, two] = [await applied('one'), await applied('two')]
    return one === two ? undefined : one ? ['one', 'two'] : ['two', 'one']
  }, far)
  await settles(ns, winner ?? '', 'Ready', 'True Settled')
  await scene.onePass(ns, loser ?? '')
  await settles(ns, loser ?? '', 'Applied', `of OrgImport "${winner}"`)
  expect(await made(ns)).toEqual([7, 7])
  const { rows } = await scene.db.query(
    `SELECT parent_id, name FROM workspaces WHERE namespace = $1 AND status <> 'removed' GROUP BY 1, 2 HAVING count(*) > 1`,
    [ns],
  )
  expect(rows).toEqual([])
})

test('org-import-08, org-import-09, org-import-19: tier and model are those of the template or the one default, in every row', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'Says', tier: 2, model: 'opus' }, { name: 'Silent' }))
  await settles(ns, 'team', 'Ready', 'True Settled')
  await cluster.apply([workspace(ns, 'plain')])
  const [plain, says, silent] = await until(async () => {
    const rows = await rowsOf(ns)
    return rows.length === 3 ? rows.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : undefined
  }, far).then((rows) => ['plain', 'Says', 'Silent'].map((name) => rows.find((row) => row.name === name)))
  expect(says).toMatchObject({ tier: 2, model: 'opus' })
  expect(silent?.model).not.toBe('')
  expect([silent?.tier, silent?.model]).toEqual([plain?.tier, plain?.model])
  // And at every start after the first one.
  const uid = says?.id ?? ''
  const { name = '' } = (await readTree(cluster, ns)).get('Says')?.metadata ?? {}
  await patch(cluster, ns, 'ws', name, { metadata: { annotations: { 'molecule.dev/restarted-at': 'now' } } })
  await until(() => backend.creates.get(uid) === 2, far)
  expect(configOf(uid)).toContain('model: "opus"')
})

test('org-import-10: a node that has no backend is failed at once, and the import says so', async () => {
  const ns = await scene.opened()
  // No template can ask for a backend; a person who made the workspace can.
  await cluster.apply([workspace(ns, 'boss', { displayName: 'A', backend: 'ec2' })])
  await scene.org(ns, 'team', { ...inline({ name: 'A' }), existing: 'Ignore' })
  const org = await settles(ns, 'team', 'Provisioned', 'False NodeFailed')
  expect(org.status?.conditions?.find(({ type }) => type === 'Provisioned')?.message).toContain(
    'spec.backend "ec2" is not turned on',
  )
})

test('org-import-14: what left is deleted by its UID, never by its name', async () => {
  const [ns, other] = [await scene.opened(), await scene.opened()]
  const both = [{ name: 'Lead', children: [{ name: 'Writer' }, { name: 'Reader' }] }, { name: 'Desk' }]
  for (const each of [ns, other]) await scene.org(each, 'team', { ...inline(...both), prune: 'Delete' })
  await cluster.apply([workspace(ns, 'mine', { displayName: 'Writer' })])
  for (const each of [ns, other]) await settles(each, 'team', 'Ready', 'True Settled')
  const elsewhere = identities(await scene.workspaces(other))
  // A role that moved is the same workspace, and leaves no zombie behind.
  const before = identities(await scene.workspaces(ns))
  const moved = [
    { name: 'Lead', children: [{ name: 'Reader' }] },
    { name: 'Desk', children: [{ name: 'Writer' }] },
  ]
  await scene.org(ns, 'team', { ...inline(...moved), prune: 'Delete' })
  await settles(ns, 'team', 'Ready', '4 of 4 existed, 0 created, ')
  expect(identities(await scene.workspaces(ns)).get('Desk/Writer')).toBe(before.get('Lead/Writer'))
  await scene.org(ns, 'team', {
    ...inline({ name: 'Lead', children: [{ name: 'Reader' }] }, { name: 'Desk' }),
    prune: 'Delete',
  })
  await until(async () => (await scene.workspaces(ns)).length === 4, far)
  expect(
    (await scene.workspaces(ns)).map(({ spec, metadata }) => spec.displayName ?? metadata.name).toSorted(),
  ).toEqual(['Desk', 'Lead', 'Reader', 'Writer'])
  expect((await readTree(cluster, ns)).get('Writer')?.metadata.name).toBe('mine')
  expect(identities(await scene.workspaces(other))).toEqual(elsewhere)
})

test('org-import-15: what is healed, renamed or moved keeps its row, and with it all that hangs on that', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'Lead', children: [{ name: 'Writer', id: 'writer' }] }, { name: 'Desk' }))
  await settles(ns, 'team', 'Ready', 'True Settled')
  const id = (await rowsOf(ns)).find(({ name }) => name === 'Writer')?.id
  const own = `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt) VALUES ($1, 'own', '0 0 1 1 *', 'Mine.')`
  await scene.db.query(own, [id])
  await scene.org(ns, 'team', inline({ name: 'Lead' }, { name: 'Desk', children: [{ name: 'Author', id: 'writer' }] }))
  await settles(ns, 'team', 'Ready', '3 of 3 existed, 0 created')
  await until(async () => (await rowsOf(ns)).find(({ name }) => name === 'Author')?.id === id, far)
  expect((await rowsOf(ns)).length).toBe(3)
  expect(backend.creates.get(id ?? '')).toBe(1)
  expect(await schedulesOf(id)).toMatchObject([{ name: 'own', source: 'runtime' }])
})

test('org-import-20: the template of a node is in its spec and its row, at every start', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'A', template: 'leads/design' }))
  await settles(ns, 'team', 'Ready', 'True Settled')
  const known = async () => {
    const { spec, status } = (await readTree(cluster, ns)).get('A') ?? {}
    return [spec?.template?.ref, status?.template?.identity, (await rowsOf(ns))[0]?.template]
  }
  expect(await known()).toEqual(['leads/design', 'leads/design', 'leads/design'])
  const { name = '', uid = '' } = (await readTree(cluster, ns)).get('A')?.metadata ?? {}
  await patch(cluster, ns, 'ws', name, { metadata: { annotations: { 'molecule.dev/restarted-at': 'now' } } })
  await until(() => backend.creates.get(uid) === 2, far)
  await settles(ns, 'team', 'Ready', 'True Settled')
  expect(await known()).toEqual(['leads/design', 'leads/design', 'leads/design'])
})

test('org-import-24: what changes in the template reaches who exists', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'A', model: 'sonnet' }))
  await settles(ns, 'team', 'Ready', 'True Settled')
  const id = (await rowsOf(ns))[0]?.id
  const daily = (prompt: string) => ({ name: 'daily', cron_expr: '0 9 * * *', prompt })
  for (const prompt of ['Report.', 'Report more.']) {
    await scene.org(ns, 'team', inline({ name: 'A', model: 'opus', schedules: [daily(prompt)] }))
    await until(async () => (await schedulesOf(id))[0]?.prompt === prompt, {
      what: `the schedule: ${prompt}`,
      within: 45_000,
    })
  }
  expect((await rowsOf(ns))[0]?.model).toBe('opus')
  await until(() => configOf(id ?? '').includes('model: "opus"'), far)
  await scene.org(ns, 'team', inline({ name: 'A', model: 'opus' }))
  await until(async () => (await schedulesOf(id)).length === 0, far)
})

test('org-import-26: imports at the same moment start no more together than one may alone', async () => {
  const ns = await scene.opened()
  const slow = (prefix: string) => inline(...Array.from({ length: 6 }, (_, i) => ({ name: `Slow ${prefix}${i}` })))
  const names = ['one', 'two']
  await Promise.all(names.map((name) => scene.org(ns, name, { ...slow(name), rollout: { maxInFlight: 2 } })))
  for (const name of names) await settles(ns, name, 'Ready', '6 created / True Settled')
  expect(mostStarting).toBeGreaterThan(0)
  expect(mostStarting).toBeLessThanOrEqual(2)
})
