/** Incidents of imports, by their number in the list of org-import. Each was a bug of the system before. */
import { expect, test } from 'vitest'
import { identities, orgScene, patch } from '../support/org-scene.ts'
import { fromConfigMap, readTree, template } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { workspace } from '../support/workspaces.ts'

const scene = await orgScene()
const { cluster, settles, backend } = scene

const inline = (...workspaces: object[]) => ({ source: { inline: { name: 'Team', workspaces } } })
const crew = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `Agent ${i}` }))
const tree = { name: 'Lead', children: crew(6) }

const rowsOf = async (ns: string) =>
  (
    await scene.db.query<{ id: string; name: string; status: string; tier: number; model: string }>(
      `SELECT id, name, status, tier, model FROM workspaces WHERE namespace = $1 AND status <> 'removed' ORDER BY name`,
      [ns],
    )
  ).rows
const made = async (ns: string) => [(await scene.workspaces(ns)).length, (await rowsOf(ns)).length]

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
  expect([...before.values()].map((uid) => backend.creates.get(uid))).toEqual(Array(7).fill(1))
})

test('org-import-04: two imports of one tree at the same moment make one, and the second says whose it is', async () => {
  const ns = await scene.opened()
  await Promise.all(['one', 'two'].map((name) => scene.org(ns, name, inline(tree))))
  const [winner, loser] = await until(async () => {
    const of = async (name: string) => (await settles(ns, name, 'Applied', '')).status?.conditions
    const applied = async (name: string) => (await of(name))?.find(({ type }) => type === 'Applied')?.status === 'True'
    const [one, two] = [await applied('one'), await applied('two')]
    return one === two ? undefined : one ? ['one', 'two'] : ['two', 'one']
  })
  await settles(ns, winner ?? '', 'Ready', 'True Settled')
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
  }).then((rows) => ['plain', 'Says', 'Silent'].map((name) => rows.find((row) => row.name === name)))
  expect(says).toMatchObject({ tier: 2, model: 'opus' })
  expect(silent?.model).not.toBe('')
  expect([silent?.tier, silent?.model]).toEqual([plain?.tier, plain?.model])
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

test('org-import-11: nothing gets past the preflight', async () => {
  const ns = await scene.opened()
  const needs = { source: { inline: { name: 'Team', required_env: ['KEY'], workspaces: [{ name: 'A' }] } } }
  await expect(scene.org(ns, 'team', { ...needs, force: true })).rejects.toThrow(/force/)
  await scene.org(ns, 'team', needs)
  await settles(ns, 'team', 'EnvironmentReady', 'False RequiredEnvMissing')
  expect(await scene.events(ns, 'team')).toContain('PreflightFailed')
  expect(await made(ns)).toEqual([0, 0])
})

test('org-import-12: what cannot be read counts as missing', async () => {
  const ns = await scene.opened()
  await cluster.kubectl(['delete', 'rolebinding', 'molecule-references', '-n', ns])
  const needs = { source: { inline: { name: 'Team', required_env: ['KEY'], workspaces: [{ name: 'A' }] } } }
  await scene.org(ns, 'team', { ...needs, env: { from: [{ secretRef: { name: 'keys' } }] } })
  await settles(ns, 'team', 'EnvironmentReady', 'False SecretForbidden')
  expect(await made(ns)).toEqual([0, 0])
})

test('org-import-13: an empty value is no value', async () => {
  const ns = await scene.opened()
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'keys', namespace: ns },
    stringData: { KEY: '' },
  }
  await cluster.apply([secret])
  const needs = { source: { inline: { name: 'Team', required_env: ['KEY'], workspaces: [{ name: 'A' }] } } }
  await scene.org(ns, 'team', { ...needs, env: { from: [{ secretRef: { name: 'keys' } }] } })
  await settles(ns, 'team', 'EnvironmentReady', 'False RequiredEnvMissing')
  expect(await made(ns)).toEqual([0, 0])
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
  await until(async () => (await scene.workspaces(ns)).length === 4)
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
  await scene.org(ns, 'team', inline({ name: 'Lead' }, { name: 'Desk', children: [{ name: 'Author', id: 'writer' }] }))
  await settles(ns, 'team', 'Ready', '3 of 3 existed, 0 created')
  await until(async () => (await rowsOf(ns)).find(({ name }) => name === 'Author')?.id === id)
  expect((await rowsOf(ns)).length).toBe(3)
  expect(backend.creates.get(id ?? '')).toBe(1)
})

test('org-import-16: everything is looked at before anything is written', async () => {
  const ns = await scene.opened()
  const bad = { name: 'Last', workspace_dir: '/etc/secrets', workspace_access: 'read_write' }
  await scene.org(ns, 'team', inline(...crew(20), bad))
  await settles(ns, 'team', 'TemplateParsed', 'False InvalidField')
  expect(await made(ns)).toEqual([0, 0])
  expect((await cluster.kubectl(['get', 'configmaps', '-n', ns, '-o', 'name'])).trim()).not.toContain('team-files')
})

test('org-import-21: a key that nothing reads is told of, or refused', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'A', parent: 'B' }))
  const org = await settles(ns, 'team', 'Ready', 'True Settled')
  expect(org.status?.warnings?.map(({ code }) => code)).toEqual(['UnknownKey'])
  await scene.org(ns, 'team', { ...inline({ name: 'A', parent: 'B' }), strict: true })
  await settles(ns, 'team', 'TemplateParsed', 'False')
})

test('org-import-22, org-import-23: a schedule that cannot run is told of, and the others are there', async () => {
  const ns = await scene.opened()
  const schedules = [
    { name: 'Good Morning', cron_expr: '0 9 * * *', prompt: 'Rise.' },
    { name: 'never', cron_expr: '0 25 * * *', prompt: 'Rise.' },
  ]
  await scene.org(ns, 'team', inline({ name: 'A', schedules }))
  const org = await settles(ns, 'team', 'Ready', 'True Settled')
  expect(org.status?.warnings?.map(({ code, path }) => `${code} ${path ?? ''}`)).toContain('ScheduleSkipped A')
  expect((await readTree(cluster, ns)).get('A')?.spec.schedules?.map(({ name }) => name)).toEqual(['good-morning'])
})

test('org-import-24: what changes in the template reaches who exists', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'A', model: 'sonnet' }))
  await settles(ns, 'team', 'Ready', 'True Settled')
  const daily = { name: 'daily', cron_expr: '0 9 * * *', prompt: 'Report.' }
  await scene.org(ns, 'team', inline({ name: 'A', model: 'opus', schedules: [daily] }))
  await until(async () => (await rowsOf(ns))[0]?.model === 'opus')
  expect((await readTree(cluster, ns)).get('A')?.spec.schedules).toMatchObject([{ name: 'daily' }])
  await scene.org(ns, 'team', inline({ name: 'A', model: 'opus' }))
  await until(async () => (await readTree(cluster, ns)).get('A')?.spec.schedules === undefined)
})

test('org-import-25: a source that is broken is there to be seen, and what it made before lives on', async () => {
  const ns = await scene.opened()
  await cluster.apply([template(ns, 'team', { 'org.yaml': 'workspaces: [{ name: A }]\n' })])
  await scene.org(ns, 'team', { ...fromConfigMap('team'), prune: 'Delete' })
  await settles(ns, 'team', 'Ready', 'True Settled')
  await cluster.apply([template(ns, 'team', { 'org.yaml': 'workspaces:\n  - !include gone.yaml\n' })])
  const org = await settles(ns, 'team', 'TemplateParsed', 'False IncludeMissing')
  expect(org.status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('False')
  await cluster.kubectl(['delete', 'configmap', 'team', '-n', ns])
  await settles(ns, 'team', 'SourceReady', 'False SourceMissing')
  expect(await made(ns)).toEqual([1, 1])
})

test('org-import-27: every end of a pass is a condition of the generation it was made for', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'A' }))
  await settles(ns, 'team', 'Ready', 'True Settled')
  for (const [spec, verdict] of [
    [{ dryRun: true }, 'False DryRun'],
    [{ dryRun: false, suspend: true }, 'Unknown Suspended'],
    [{ suspend: false }, 'True Settled'],
  ] as const) {
    await patch(cluster, ns, 'org', 'team', { spec })
    const { status, metadata } = await settles(ns, 'team', 'Ready', verdict)
    expect(status?.observedGeneration).toBe(metadata.generation)
    expect(status?.history?.at(-1)?.to).not.toBe('')
  }
})
