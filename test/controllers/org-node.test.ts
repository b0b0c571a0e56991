/** What a node becomes: every key of one, from the template to the Workspace, its rows, its files and its plugins. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { PluginInstall } from '../../src/api/plugin-install.ts'
import { channelPlace } from '../../src/store/postgres/parts.ts'
import { createSeal } from '../../src/store/postgres/seal.ts'
import { fakeWithAgents } from '../support/operator.ts'
import { orgScene } from '../support/org-scene.ts'
import { fromConfigMap, readTree, template } from '../support/orgs.ts'
import { until } from '../support/until.ts'

const key = randomBytes(32)
const backend = fakeWithAgents()
const scene = await orgScene(backend, { SECRETS_KEY: key.toString('base64') })
const { cluster, settles, db } = scene

const token = `123:${'a'.repeat(30)}`
const org = `
defaults:
  runtime: org-agent
  model: sonnet
  plugins: [code-review]
  initial_memories: [{ content: Of all. }]
global_memories: [{ content: The company is young. }]
required_env: [API_KEY]
workspaces:
  - name: Lead
    id: lead
    role: Leads the team.
    template: leads/design
    tier: 2
    model: opus
    files_dir: lead
    system_prompt: You lead.
    initial_prompt: Say hello.
    idle_prompt_file: idle.md
    idle_interval_seconds: 120
    workspace_dir: /srv/lead
    workspace_access: read_only
    max_concurrent_tasks: 3
    plugins: [browser]
    category_routing: { design: [Lead] }
    canvas: { x: 10, y: 20 }
    initial_memories: [{ content: Ada likes tea., scope: team }]
    schedules: [{ name: Good Morning, cron_expr: '30 9 * * 1-5', timezone: Europe/Berlin, prompt_file: morning.md }]
    channels: [{ type: telegram, config: { bot_token: '\${BOT}', chat_id: 5 }, allowed_users: [ada] }]
    children: [{ name: Guest, external: true }]
`

test('every key of a node is in its Workspace, its rows, its files and its plugins', async () => {
  const ns = await scene.opened()
  const files = { 'lead/idle.md': 'Look around.', 'lead/morning.md': 'Rise.', 'lead/notes/tea.md': 'Green.' }
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys', namespace: ns } }
  await cluster.apply([
    { ...secret, stringData: { API_KEY: 'open', BOT: token } },
    template(ns, 'team', { 'org.yaml': org, ...files }),
  ])
  await scene.org(ns, 'team', { ...fromConfigMap('team'), env: { from: [{ secretRef: { name: 'keys' } }] } })
  const { status } = await settles(ns, 'team', 'Applied', 'True Applied')
  expect(status?.warnings).toEqual([
    { code: 'PluginsSkipped', message: '2 plugins are declared and not installed by this operator' },
  ])

  const [lead, guest] = await until(
    async () => {
      const tree = await readTree(cluster, ns)
      const ready = tree.get('Lead')?.status?.conditions?.find(({ type }) => type === 'Ready')
      return ready?.status === 'True' ? [tree.get('Lead'), tree.get('Guest')] : undefined
    },
    { what: 'the lead to be ready', within: 45_000 },
  )
  const id = lead?.metadata.uid ?? ''
  const fromKeys = (name: string) => ({ secretKeyRef: { name: 'keys', key: name } })
  const inMap = { configMapKeyRef: { name: expect.any(String) as string, key: expect.any(String) as string } }
  expect(lead?.spec).toMatchObject({
    displayName: 'Lead',
    role: 'Leads the team.',
    template: { ref: 'leads/design' },
    runtime: 'org-agent',
    model: 'opus',
    tier: 2,
    workspaceDir: '/srv/lead',
    workspaceAccess: 'read_only',
    maxConcurrentTasks: 3,
    idleInterval: '2m',
    canvas: { x: 10, y: 20 },
    categoryRouting: { design: ['Lead'] },
    env: [{ name: 'API_KEY', valueFrom: fromKeys('API_KEY') }],
    memories: [
      { content: 'The company is young.', scope: 'GLOBAL' },
      { content: 'Ada likes tea.', scope: 'TEAM' },
    ],
    schedules: [{ name: 'good-morning', cron: '30 9 * * 1-5', timezone: 'Europe/Berlin', prompt: 'Rise.' }],
    channels: [{ name: 'telegram', config: { chat_id: '5' }, configFrom: [{ valueFrom: fromKeys('BOT') }] }],
    files: expect.arrayContaining([{ path: 'system-prompt.md', ...inMap }]) as unknown,
  })
  expect(guest?.spec).toMatchObject({ backend: 'external', parentRef: { name: lead?.metadata.name } })
  expect(guest?.spec.memories).toMatchObject([{ content: 'Of all.', scope: 'LOCAL' }])

  const { items } = (await cluster.getJson('plugininstalls', '-n', ns)) as { items: PluginInstall[] }
  expect(new Map(items.map(({ spec }) => [spec.source, spec.targets.names]))).toEqual(
    new Map([
      ['code-review', [guest?.metadata.name, lead?.metadata.name]],
      ['browser', [lead?.metadata.name]],
    ]),
  )
  const delivered = backend.volumes.get(id)
  expect(Object.fromEntries(delivered ?? [])).toMatchObject({
    'system-prompt.md': 'You lead.',
    'prompts/initial.md': 'Say hello.',
    'prompts/idle.md': 'Look around.',
    'notes/tea.md': 'Green.',
  })
  expect(delivered?.get('config.yaml')).toContain('model: "opus"')
  expect([...(delivered?.values() ?? [])].join()).not.toContain(token)

  const rows = async (text: string) => (await db.query<Record<string, unknown>>(text, [id])).rows
  expect(await rows('SELECT * FROM workspaces WHERE id = $1')).toMatchObject([
    {
      name: 'Lead',
      parent_id: null,
      role: 'Leads the team.',
      tier: 2,
      model: 'opus',
      template: 'leads/design',
      workspace_dir: '/srv/lead',
      workspace_access: 'read_only',
      max_concurrent_tasks: 3,
      category_routing: { design: ['Lead'] },
    },
  ])
  expect(await rows('SELECT x, y, collapsed FROM canvas_layouts WHERE workspace_id = $1')).toEqual([
    { x: 10, y: 20, collapsed: false },
  ])
  expect(await rows('SELECT * FROM workspace_schedules WHERE workspace_id = $1')).toMatchObject([
    { name: 'good-morning', cron_expr: '30 9 * * 1-5', timezone: 'Europe/Berlin', prompt: 'Rise.', source: 'template' },
  ])
  expect(await rows('SELECT content, scope FROM agent_memories WHERE workspace_id = $1 ORDER BY scope')).toEqual([
    { content: 'The company is young.', scope: 'GLOBAL' },
    { content: 'Ada likes tea.', scope: 'TEAM' },
  ])
  // When the installs came first or last: the Workspace follows them by itself.
  const plugins = 'SELECT plugin_name FROM workspace_declared_plugins WHERE workspace_id = $1 ORDER BY 1'
  await until(async () => (await rows(plugins)).length === 2, { what: 'the declared plugins', within: 45_000 })
  expect(await rows(plugins)).toEqual([{ plugin_name: 'browser' }, { plugin_name: 'code-review' }])
  const [channel] = await rows('SELECT * FROM workspace_channels WHERE workspace_id = $1')
  expect(channel).toMatchObject({ channel_config: { chat_id: '5' }, allowed_users: ['ada'], encryption_version: 1 })
  const opened = createSeal(key).open(channel?.['credentials'] as Buffer, channelPlace(id, 'telegram'))
  expect(JSON.parse(opened)).toEqual({ bot_token: token })
})
