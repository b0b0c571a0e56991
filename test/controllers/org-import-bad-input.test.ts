/** Bad input against a real API server: what becomes of it, how it is told, and that nothing is made of it. */
import { expect, test } from 'vitest'
import { orgScene } from '../support/org-scene.ts'
import { fromConfigMap, readOrg, template } from '../support/orgs.ts'
import { until } from '../support/until.ts'

const scene = await orgScene()
const { cluster } = scene

interface Bad {
  readonly what: string
  /** The files of the template, or the spec itself. */
  readonly files?: Readonly<Record<string, string>>
  readonly spec?: object
  readonly condition: string
  readonly reason: string
  readonly says: RegExp
}

const node = (text: string) => ({ 'org.yaml': `workspaces: [{ name: A, ${text} }]` })
const inline = (template: object) => ({ source: { inline: { name: 'Bad', ...template } } })
const included = (count: number): Record<string, string> =>
  Object.fromEntries([
    ['org.yaml', 'workspaces: !include 1.yaml'],
    ...Array.from({ length: count }, (_, i) => [`${i + 1}.yaml`, i + 1 === count ? '[]' : `!include ${i + 2}.yaml`]),
  ]) as Record<string, string>
const chain = (depth: number): object => ({ name: 'A', ...(depth > 1 && { children: [chain(depth - 1)] }) })

const parsed = (reason: string, says: RegExp) => ({ condition: 'TemplateParsed', reason, says })
const bad: readonly Bad[] = [
  {
    what: 'no ConfigMap',
    spec: fromConfigMap('nowhere'),
    condition: 'SourceReady',
    reason: 'SourceMissing',
    says: /ConfigMap "nowhere" does not exist/,
  },
  {
    what: 'no org.yaml',
    files: { 'org.yml': 'workspaces: []' },
    condition: 'SourceReady',
    reason: 'SourceMissing',
    says: /has no key "org\.yaml"/,
  },
  {
    what: 'a missing include',
    files: { 'org.yaml': 'workspaces: !include a.yaml' },
    ...parsed('IncludeMissing', /^org\.yaml:1:22: /),
  },
  {
    what: 'an include of itself',
    files: { 'org.yaml': 'workspaces: !include org.yaml' },
    ...parsed('IncludeCycle', /includes itself/),
  },
  {
    what: 'an include that leaves',
    files: { 'org.yaml': 'workspaces: !include ../a.yaml' },
    ...parsed('IncludeEscape', /leaves the template/),
  },
  {
    what: 'seventeen includes in one another',
    files: included(17),
    ...parsed('DepthExceeded', /more than 16 includes/),
  },
  {
    what: 'workspaces as a map',
    files: { 'org.yaml': 'workspaces: { a: { name: A } }' },
    ...parsed('InvalidField', /workspaces/),
  },
  {
    what: 'a tier in words',
    files: node('tier: high'),
    ...parsed('InvalidField', /^org\.yaml:1:\d+: workspaces\[0\]\.tier/),
  },
  { what: 'a key twice', files: { 'org.yaml': 'name: a\nname: b' }, ...parsed('SyntaxError', /stands here twice/) },
  { what: 'an empty name', files: { 'org.yaml': 'workspaces: [{ name: "" }]' }, ...parsed('InvalidField', /name/) },
  {
    what: 'twins',
    files: { 'org.yaml': 'workspaces: [{ name: A }, { name: A }]' },
    ...parsed('DuplicateSibling', /stands twice/),
  },
  { what: 'tier 9', files: node('tier: 9'), ...parsed('InvalidField', /tier/) },
  { what: 'tier -1', files: node('tier: -1'), ...parsed('InvalidField', /tier/) },
  {
    what: 'an access that is none',
    files: node('workspace_access: all'),
    ...parsed('InvalidField', /workspace_access/),
  },
  {
    what: 'a folder of the system',
    files: node('workspace_dir: /etc, workspace_access: read_only'),
    ...parsed('InvalidField', /workspace_dir/),
  },
  {
    what: 'a relative folder',
    files: node('workspace_dir: a/b, workspace_access: read_only'),
    ...parsed('InvalidField', /workspace_dir/),
  },
  { what: 'a role folder that leaves', files: node('files_dir: ../a'), ...parsed('IncludeEscape', /\.\.\/a/) },
  {
    what: 'a role folder that is not there',
    files: node('files_dir: a'),
    ...parsed('FileMissing', /no file below "a/),
  },
  { what: 'a plugin that is no name', files: node("plugins: ['../../x']"), ...parsed('InvalidField', /plugin/) },
  { what: 'an empty any_of', files: node('required_env: [{ any_of: [] }]'), ...parsed('InvalidField', /required_env/) },
  {
    what: 'a variable in small letters',
    files: node('required_env: [key]'),
    ...parsed('InvalidField', /"key" is no variable name/),
  },
  {
    what: 'a prompt with a control character',
    spec: inline({ workspaces: [{ name: 'A', system_prompt: 'a\u001bb' }] }),
    ...parsed('InvalidField', /control character/),
  },
  { what: 'too many levels', spec: inline({ workspaces: [chain(40)] }), ...parsed('DepthExceeded', /levels/) },
  {
    what: 'too many nodes',
    files: { 'org.yaml': `workspaces: [${Array.from({ length: 5100 }, (_, i) => `{name: a${i}}`).join()}]` },
    ...parsed('TooLarge', /more than 5000 nodes/),
  },
  {
    what: 'a required variable that nobody gives',
    files: node('required_env: [KEY]'),
    condition: 'EnvironmentReady',
    reason: 'RequiredEnvMissing',
    says: /KEY \(asked for by A\)/,
  },
  {
    what: 'a variable that nobody may give',
    spec: {
      ...inline({ required_env: ['GITHUB_TOKEN'], workspaces: [{ name: 'A' }] }),
      env: { from: [{ secretRef: { name: 'keys' } }] },
    },
    condition: 'EnvironmentReady',
    reason: 'ForbiddenKey',
    says: /GITHUB_TOKEN may not be given/,
  },
  {
    what: 'an unknown key, where that is refused',
    spec: { ...inline({ workspaces: [{ name: 'A', boss: 'B' }] }), strict: true },
    ...parsed('InvalidField', /boss/),
  },
  {
    what: 'a parent that is not there',
    spec: { ...inline({ workspaces: [{ name: 'A' }] }), target: { parentRef: { name: 'nobody' } } },
    condition: 'Applied',
    reason: 'ParentMissing',
    says: /"nobody"/,
  },
]

test('nothing is made of bad input, and each says what is wrong with it', async () => {
  const ns = await scene.opened()
  const keys = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'keys', namespace: ns },
    stringData: { GITHUB_TOKEN: 'secret-value' },
  }
  const names = bad.map((_, i) => `bad-${i}`)
  const maps = bad.flatMap(({ files }, i) => (files === undefined ? [] : [template(ns, `bad-${i}`, files)]))
  await cluster.apply([keys, ...maps])
  for (const [i, { spec }] of bad.entries()) await scene.org(ns, `bad-${i}`, spec ?? fromConfigMap(`bad-${i}`))
  const table: string[] = []
  for (const [i, { what, condition, reason, says }] of bad.entries()) {
    const found = await until(
      async () => {
        const { status } = await readOrg(cluster, ns, names[i] ?? '')
        const judged = status?.conditions?.find(({ type }) => type === condition)
        expect(`${judged?.status} ${judged?.reason}`).toBe(`False ${reason}`)
        expect(status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('False')
        return judged
      },
      { what: `${what}: ${condition}=False ${reason}`, within: 30_000 },
    )
    expect.soft(found.message, what).toMatch(says)
    table.push(`${what} → ${reason}: ${found.message}`)
  }
  expect(table.join('\n')).not.toContain('secret-value')
  expect(await scene.workspaces(ns)).toEqual([])
  const { rows } = await scene.db.query('SELECT id FROM workspaces WHERE namespace = $1', [ns])
  expect(rows).toEqual([])
  expect((await cluster.kubectl(['get', 'plugininstalls', '-n', ns, '-o', 'name'])).trim()).toBe('')
  const left = (await cluster.kubectl(['get', 'configmaps', '-n', ns, '-o', 'name'])).trim().split('\n')
  expect(left.filter((name) => !/^configmap\/(bad-\d+|kube-root-ca\.crt)$/.test(name))).toEqual([])
  expect(scene.backend.creates.size).toBe(0)
}, 120_000)

test('what is only odd is left out, told of, and keeps nothing else back', async () => {
  const ns = await scene.opened()
  const odd = {
    name: 'A',
    boss: 'B',
    plugins: ['browser', '!audit'],
    schedules: [
      { name: 'bad-cron', cron_expr: '0 25 * * *', prompt: 'Go.' },
      { name: 'bad-zone', cron_expr: '0 9 * * *', timezone: 'Mars/Olympus', prompt: 'Go.' },
      { name: 'no-prompt', cron_expr: '0 9 * * *' },
      { name: 'good', cron_expr: '0 9 * * *', prompt: 'Go.' },
    ],
    channels: [
      { type: 'carrier-pigeon', config: {} },
      { type: 'telegram', config: { bot_token: '${TELEGRAM_TOKEN}', chat_id: '1' } },
    ],
    initial_memories: [{ content: 'x', scope: 'SECRET' }, { content: 'Kept.' }],
    category_routing: { ui: ['Nobody'] },
  }
  await scene.org(ns, 'odd', inline({ workspaces: [odd] }))
  const org = await scene.settles(ns, 'odd', 'Ready', 'True Settled')
  const codes = new Set(org.status?.warnings?.map(({ code }) => code))
  for (const code of [
    'UnknownKey',
    'IneffectiveOptOut',
    'ScheduleSkipped',
    'ChannelSkipped',
    'MemorySkipped',
    'DanglingRoute',
  ])
    expect.soft(codes).toContain(code)
  const [live] = await scene.workspaces(ns)
  expect(live?.spec.schedules?.map(({ name }) => name)).toEqual(['good'])
  expect(live?.spec.memories?.map(({ content }) => content)).toEqual(['Kept.'])
  expect(live?.spec.channels).toBeUndefined()
})
