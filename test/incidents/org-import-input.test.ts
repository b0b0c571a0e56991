/** Incidents of imports, by their number in the list of org-import: what is asked for cannot be, or is not what it seems. */
import { expect, test } from 'vitest'
import { Terminal } from '../../src/errors.ts'
import { orgScene, patch } from '../support/org-scene.ts'
import { conditionOf, fromConfigMap, readOrg, readTree, template } from '../support/orgs.ts'
import { until } from '../support/until.ts'

const scene = await orgScene()
const { cluster, settles, backend } = scene

const inline = (...workspaces: object[]) => ({ source: { inline: { name: 'Team', workspaces } } })
const crew = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `Agent ${i}` }))
const secret = (namespace: string, name: string, stringData: object) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  stringData,
})

const rowsOf = async (ns: string) =>
  (
    await scene.db.query<{ id: string; status: string }>(
      `SELECT id, status FROM workspaces WHERE namespace = $1 AND status <> 'removed'`,
      [ns],
    )
  ).rows
const made = async (ns: string) => [(await scene.workspaces(ns)).length, (await rowsOf(ns)).length]

test('org-import-11: nothing gets past the preflight', async () => {
  const ns = await scene.opened()
  const needs = { source: { inline: { name: 'Team', required_env: ['KEY'], workspaces: [{ name: 'A' }] } } }
  await expect(scene.org(ns, 'team', { ...needs, force: true })).rejects.toThrow(/force/)
  await scene.org(ns, 'team', needs)
  await settles(ns, 'team', 'EnvironmentReady', 'False RequiredEnvMissing')
  await scene.tells(ns, 'team', 'PreflightFailed')
  expect(await made(ns)).toEqual([0, 0])
})

test('org-import-12: what cannot be read counts as missing', async () => {
  const ns = await scene.closed()
  const needs = { source: { inline: { name: 'Team', required_env: ['KEY'], workspaces: [{ name: 'A' }] } } }
  await scene.org(ns, 'team', { ...needs, env: { from: [{ secretRef: { name: 'keys' } }] } })
  await settles(ns, 'team', 'EnvironmentReady', 'False SecretForbidden')
  expect(await made(ns)).toEqual([0, 0])
})

test('org-import-13: an empty value is no value', async () => {
  const ns = await scene.opened()
  await cluster.apply([secret(ns, 'keys', { KEY: '' })])
  const needs = { source: { inline: { name: 'Team', required_env: ['KEY'], workspaces: [{ name: 'A' }] } } }
  await scene.org(ns, 'team', { ...needs, env: { from: [{ secretRef: { name: 'keys' } }] } })
  await settles(ns, 'team', 'EnvironmentReady', 'False RequiredEnvMissing')
  expect(await made(ns)).toEqual([0, 0])
})

test('org-import-16: everything is looked at before anything is written', async () => {
  const ns = await scene.opened()
  const bad = { name: 'Last', workspace_dir: '/etc/secrets', workspace_access: 'read_write' }
  await scene.org(ns, 'team', inline(...crew(20), bad))
  await settles(ns, 'team', 'TemplateParsed', 'False InvalidField')
  expect(await made(ns)).toEqual([0, 0])
  expect((await cluster.kubectl(['get', 'configmaps', '-n', ns, '-o', 'name'])).trim()).not.toContain('team-files')
})

test('org-import-17: a launch that only a person can mend is told of, and none is coming up for ever', async () => {
  const ns = await scene.opened()
  const mend = backend.fail('ensure', new Terminal('ConfigRefused', 'config.yaml: no such runtime option'), 1000)
  await scene.org(ns, 'team', inline({ name: 'A' }))
  const org = await settles(ns, 'team', 'Provisioned', 'False NodeFailed')
  expect(conditionOf(org.status, 'Ready')).toBe('False NodeFailed')
  expect(org.status?.summary).toContain('config.yaml: no such runtime option')
  expect((await rowsOf(ns)).map(({ status }) => status)).toEqual(['failed'])
  mend()
  await scene.org(ns, 'team', inline({ name: 'A', role: 'Mended.' }))
  await settles(ns, 'team', 'Ready', 'True Settled')
})

test('org-import-18: secrets are for a node by its path, whatever its role says', async () => {
  const ns = await scene.opened()
  await cluster.apply([secret(ns, 'keys', { KEY: 'open' })])
  const lead = { name: 'Lead', role: 'Leads the team', children: [{ name: 'Hand', role: 'Does the work' }] }
  const secretsFrom = [
    { node: 'Lead/Hand', secretRef: { name: 'keys' } },
    { node: 'Does the work', secretRef: { name: 'keys' } },
  ]
  await scene.org(ns, 'team', { ...inline(lead), secretsFrom })
  const org = await settles(ns, 'team', 'Ready', 'True Settled')
  expect(org.status?.warnings).toMatchObject([{ code: 'UnknownNode', path: 'Does the work' }])
  const given = [...(await readTree(cluster, ns))].map(([name, { spec }]) => [name, spec.envFrom])
  expect(new Map(given as [string, unknown][])).toEqual(
    new Map([
      ['Lead', undefined],
      ['Hand', [{ secretRef: { name: 'keys' } }]],
    ]),
  )
})

test('org-import-21: a key that nothing reads is told of, or refused', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'A', parent: 'B' }))
  const org = await settles(ns, 'team', 'Ready', 'True Settled')
  expect(org.status?.warnings?.map(({ code }) => code)).toEqual(['UnknownKey'])
  await scene.org(ns, 'team', { ...inline({ name: 'A', parent: 'B' }), strict: true })
  await settles(ns, 'team', 'TemplateParsed', 'False')
})

test('org-import-22, org-import-23: a schedule that cannot run is told of and counted, and the others are there', async () => {
  const ns = await scene.opened()
  const schedules = [
    { name: 'Good Morning', cron_expr: '0 9 * * *', prompt: 'Rise.' },
    { name: 'never', cron_expr: '0 25 * * *', prompt: 'Rise.' },
  ]
  const channels = [{ type: 'telegram', config: { bot_token: '${NOBODY_GIVES_IT}', chat_id: '5' } }]
  await scene.org(ns, 'team', inline({ name: 'A', schedules, channels }))
  const org = await settles(ns, 'team', 'Ready', 'True Settled')
  expect(org.status?.schedules).toEqual({ declared: 2, delivered: 1 })
  expect(org.status?.channels).toEqual({ declared: 1, delivered: 0 })
  expect(org.status?.warnings?.map(({ code, path }) => `${code} ${path ?? ''}`)).toContain('ScheduleSkipped A')
  expect((await readTree(cluster, ns)).get('A')?.spec.schedules?.map(({ name }) => name)).toEqual(['good-morning'])
  // It has a time, and will run.
  const next = async () =>
    await scene.db.query<{ name: string; soon: boolean }>(
      `SELECT s.name, s.next_run_at < now() + interval '25 hours' AS soon
       FROM workspace_schedules s JOIN workspaces w ON w.id = s.workspace_id WHERE w.namespace = $1`,
      [ns],
    )
  await until(async () => (await next()).rows[0]?.soon === true, { within: 45_000 })
  expect((await next()).rows).toEqual([{ name: 'good-morning', soon: true }])
})

test('org-import-23: what a Workspace cannot run is counted, and counted again when it can', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'A' }))
  await settles(ns, 'team', 'Ready', 'True Settled')
  const id = (await rowsOf(ns))[0]?.id
  // The agent has one of that name already.
  const own = `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt) VALUES ($1, 'daily', '0 0 1 1 *', 'Mine.')`
  await scene.db.query(own, [id])
  const schedules = [{ name: 'daily', cron_expr: '0 9 * * *', prompt: 'Rise.' }]
  await scene.org(ns, 'team', inline({ name: 'A', schedules }))
  const counted = (delivered: number) =>
    until(
      async () => {
        const { status } = await settles(ns, 'team', 'Ready', 'True Settled')
        expect(status?.schedules).toEqual({ declared: 1, delivered })
        return true
      },
      { within: 45_000 },
    )
  const known = async () => (await readTree(cluster, ns)).get('A')?.status?.parts
  await until(async () => (await known())?.schedules === 0, {
    what: 'the name to be found taken',
    within: 45_000,
  })
  await counted(0)
  await scene.db.query('DELETE FROM workspace_schedules WHERE workspace_id = $1', [id])
  const { name = '' } = (await readTree(cluster, ns)).get('A')?.metadata ?? {}
  await patch(cluster, ns, 'ws', name, { metadata: { annotations: { 'molecule.dev/reconcile-requested-at': 'now' } } })
  await counted(1)
})

test('org-import-25: a source that is broken is there to be seen, and what it made before lives on', async () => {
  const ns = await scene.opened()
  await cluster.apply([template(ns, 'team', { 'org.yaml': 'workspaces: [{ name: A }]\n' })])
  await scene.org(ns, 'team', { ...fromConfigMap('team'), prune: 'Delete' })
  await settles(ns, 'team', 'Ready', 'True Settled')
  await cluster.apply([template(ns, 'team', { 'org.yaml': 'workspaces:\n  - !include gone.yaml\n' })])
  const org = await settles(ns, 'team', 'TemplateParsed', 'False IncludeMissing')
  expect(conditionOf(org.status, 'Ready')).toBe('False IncludeMissing')
  await cluster.kubectl(['delete', 'configmap', 'team', '-n', ns])
  await settles(ns, 'team', 'SourceReady', 'False SourceMissing')
  expect(conditionOf((await readOrg(cluster, ns, 'team')).status, 'Ready')).toBe('False SourceMissing')
  expect(await made(ns)).toEqual([1, 1])
})

test('org-import-27: every end of a pass is a condition of the generation it was made for', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', inline({ name: 'A' }))
  await settles(ns, 'team', 'Ready', 'True Settled')
  for (const [spec, verdict] of [
    [{ dryRun: true }, 'True DryRun'],
    [{ dryRun: false, suspend: true }, 'True Suspended'],
    [{ suspend: false }, 'True Settled'],
  ] as const) {
    await patch(cluster, ns, 'org', 'team', { spec })
    const { status, metadata } = await settles(ns, 'team', 'Ready', verdict)
    expect(status?.observedGeneration).toBe(metadata.generation)
    expect(status?.history?.at(-1)?.to).not.toBe('')
  }
})
