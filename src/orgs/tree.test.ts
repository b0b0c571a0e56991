import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { renderOrg, type RenderOptions } from './tree.ts'

const options: RenderOptions = { importUid: '5f0c3f9e-6f0e-4b52-8a6f-1f2b5c0f7a11' }
const render = (files: Record<string, string>, more: Partial<RenderOptions> = {}) =>
  renderOrg({ kind: 'files', files: new Map(Object.entries(files)), entry: 'org.yaml' }, { ...options, ...more })
const inline = (template: unknown) => renderOrg({ kind: 'inline', template }, options)
const one = (yaml: string, files: Record<string, string> = {}) => {
  const [node] = render({ 'org.yaml': `workspaces:\n  - ${yaml}`, ...files }).nodes
  if (node === undefined) throw new Error('no node')
  return node
}

function folder(path: string): Record<string, string> {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = entries.map((entry) => join(entry.parentPath, entry.name))
  return Object.fromEntries(paths.map((file) => [relative(path, file), readFileSync(file, 'utf8')]))
}

describe('a node', () => {
  it('says nothing of what neither it nor the defaults say', () => {
    expect(one('{ name: A }').spec).toEqual({ displayName: 'A', canvas: { x: 0, y: 0 } })
  })

  it('carries what the template says', () => {
    const yaml = `{ name: A, role: " Does. ", runtime: codex, model: gpt, tier: 4, max_concurrent_tasks: 3,
      workspace_dir: /srv/a, workspace_access: read_only, canvas: { x: 7 } }`
    expect(one(yaml).spec).toEqual({
      displayName: 'A',
      role: 'Does.',
      runtime: 'codex',
      model: 'gpt',
      tier: 4,
      maxConcurrentTasks: 3,
      workspaceDir: '/srv/a',
      workspaceAccess: 'read_only',
      canvas: { x: 7, y: 0 },
    })
  })

  it('is told something when idle, as often as the template says', () => {
    expect(one('{ name: A, idle_prompt: look, idle_interval_seconds: 5400 }').spec.idleInterval).toBe('1h30m')
    expect(one('{ name: A, idle_prompt: look }').spec.idleInterval).toBe('10m')
    expect(one('{ name: A, idle_interval_seconds: 60 }').spec).not.toHaveProperty('idleInterval')
  })

  it('carries its parts as a Workspace has them', () => {
    const { spec, plugins, channels } = one(
      `
      name: A
      external: true
      url: https://a.example/x
      template: analyst
      plugins: [b, a]
      category_routing: { ui: [A, A] }
      initial_memories: [{ content: " x ", scope: team }]
      schedules:
        - { name: "Über Nacht!", cron_expr: "0  3 * * MON", timezone: Europe/Berlin, prompt: "Go.\\r\\n", enabled: no }
        - { cron_expr: "*/5 * * * *", prompt_file: p.md }
        - { name: uber nacht, cron_expr: "1 3 * * *", prompt: Again. }
      channels:
        - { type: telegram, config: { bot_token: "$BOT", chat_id: -100123 }, allowed_users: [7, ada, ada] }
        - { type: slack, config: { webhook_url: "\${HOOK}" }, enabled: off }`,
      { 'p.md': 'Look.\n' },
    )
    expect(spec).toMatchObject({
      backend: 'external',
      template: { ref: 'analyst' },
      categoryRouting: { ui: ['A'] },
      memories: [{ content: 'x', scope: 'TEAM' }],
      schedules: [
        { name: 'uber-nacht', cron: '0 3 * * MON', timezone: 'Europe/Berlin', prompt: 'Go.', enabled: false },
        { name: 'schedule-2', cron: '*/5 * * * *', timezone: 'UTC', prompt: 'Look.', enabled: true },
        { name: 'uber-nacht-2', cron: '1 3 * * *', timezone: 'UTC', prompt: 'Again.', enabled: true },
      ],
    })
    expect(plugins).toEqual(['b', 'a'])
    expect(channels).toEqual([
      {
        name: 'telegram',
        type: 'telegram',
        config: { chat_id: '-100123' },
        variables: { bot_token: 'BOT' },
        allowedUsers: ['7', 'ada'],
        enabled: true,
      },
      {
        name: 'slack',
        type: 'slack',
        config: {},
        variables: { webhook_url: 'HOOK' },
        allowedUsers: undefined,
        enabled: false,
      },
    ])
  })

  it('is external without anything to mount', () => {
    expect(one('{ name: A, external: true, max_concurrent_tasks: 0 }').spec).toMatchObject({ backend: 'external' })
  })

  it('keeps a folder that could be mounted and drops one that could not', () => {
    expect(one('{ name: A, workspace_dir: /srv/a }').spec.workspaceDir).toBe('/srv/a')
    const { nodes, warnings } = render({ 'org.yaml': 'workspaces: [{ name: A, workspace_dir: "${DIR}" }]' })
    expect(nodes[0]?.spec.workspaceDir).toBeUndefined()
    expect(warnings.map(({ code }) => code)).toEqual(['IneffectiveWorkspaceDir'])
  })

  it('is left out with all below it when it does not spawn or is excluded', () => {
    const yaml =
      'workspaces: [{ name: A, children: [{ name: B, children: [{ name: C }] }, { name: D, spawning: false, children: [{ name: E }] }] }]'
    const paths = (exclude: string[]) => render({ 'org.yaml': yaml }, { exclude }).nodes.map(({ path }) => path)
    expect(paths([])).toEqual(['A', 'A/B', 'A/B/C'])
    expect(paths(['A/B'])).toEqual(['A'])
    expect(render({ 'org.yaml': yaml }, { exclude: ['X'] }).warnings.map(({ code }) => code)).toEqual(['UnknownNode'])
  })
})

describe('files', () => {
  const role = {
    'a/system-prompt.md': 'from the folder\r\n',
    'a/skills/x.md': 'x',
    'a/.env': 'KEY=value',
    'a/skills/.env': 'KEY=value',
    'a/.env.local': 'KEY=value',
    'a/.env.example': 'KEY=',
    'a/.claude/settings.json': '{}',
    'a/config.yaml': 'model: x',
    'a/hello.md': 'hello',
    'b/other.md': 'other',
  }

  it('are those of the role folder, without secrets and what the operator writes', () => {
    expect([...one('{ name: A, files_dir: a }', role).files]).toEqual([
      ['.env.example', 'KEY='],
      ['hello.md', 'hello'],
      ['skills/x.md', 'x'],
      ['system-prompt.md', 'from the folder\n'],
    ])
    const { warnings } = render({ 'org.yaml': 'workspaces: [{ name: A, files_dir: ./a/ }]', ...role })
    expect(warnings.map(({ code }) => code)).toEqual(Array(5).fill('FileSkipped'))
  })

  it('have the prompts in front: a given text wins over the folder', () => {
    const { files } = one('{ name: A, files_dir: a, system_prompt: own, initial_prompt_file: hello.md }', role)
    expect(files.get('system-prompt.md')).toBe('own')
    expect(files.get('prompts/initial.md')).toBe('hello')
  })

  it('of the template itself are not given to agents', () => {
    const { nodes } = render({
      'org.yaml': 'workspaces: [!include a/node.yaml]',
      'a/node.yaml': 'name: A\nfiles_dir: a',
      'a/x.md': 'x',
    })
    expect([...(nodes[0]?.files.keys() ?? [])]).toEqual(['x.md'])
  })
})

it('is laid out within what a Workspace takes, however wide it is', () => {
  let node: object = { name: 'end' }
  for (let i = 0; i < 15; i++) node = { name: `${i}`, children: [{ name: 'left' }, node] }
  const { nodes } = inline({ workspaces: [node] })
  expect(Math.max(...nodes.map(({ spec }) => spec.canvas.x))).toBe(1e6)
})

it('calls a node by its id, whatever its name and place', () => {
  const ids = (template: object) => inline(template).nodes.map(({ id, path }) => [id, path])
  expect(ids({ workspaces: [{ name: 'A', id: 'a-1', children: [{ name: 'B', id: '' }] }] })).toEqual([
    ['a-1', 'A'],
    [undefined, 'A/B'],
  ])
})

it('keeps what the first node knows for all', () => {
  const { nodes } = inline({
    global_memories: [{ content: ' all ', scope: 'team' }],
    workspaces: [{ name: 'A', initial_memories: [{ content: 'own' }, { content: 'own' }] }, { name: 'B' }],
  })
  expect(nodes.map(({ spec }) => spec.memories)).toEqual([
    [
      { content: 'all', scope: 'GLOBAL' },
      { content: 'own', scope: 'LOCAL' },
    ],
    undefined,
  ])
})

describe('warnings', () => {
  const warned = (yaml: string, more: Partial<RenderOptions> = {}) =>
    render({ 'org.yaml': yaml }, more).warnings.map(({ code, path, message }) => [code, path, message])

  it('name what nothing reads and what has no effect, with the place', () => {
    const yaml = `workspaces:
  - name: A
    parent: b
    plugins: ["!a"]
    external: yes
    children: [{ name: B, idle_interval_seconds: 5, canvas: { x: 1 } }]
`
    expect(warned(yaml)).toEqual([
      [
        'UnknownKey',
        'workspaces[0].parent',
        '"parent" is no key that anything reads: say it by children of the node above (org.yaml:3:13)',
      ],
      ['Yaml11Boolean', 'workspaces[0].external', expect.stringContaining('(org.yaml:5:15)')],
      ['IneffectiveOptOut', 'A', '"!a" takes nothing away (org.yaml:4:15)'],
      ['IneffectiveField', 'A/B', 'idle_interval_seconds without an idle prompt does nothing (org.yaml:6:50)'],
      ['IgnoredCanvas', 'A/B', expect.stringContaining('(org.yaml:6:61)')],
    ])
  })

  it('become errors when keys are taken strictly', () => {
    const files = { 'org.yaml': 'workspaces:\n  - name: A\n    colour: red' }
    expect(() => render(files, { strict: true })).toThrow('org.yaml:3:13: workspaces[0].colour: "colour" is no key')
    expect(render(files).nodes.length).toBe(1)
  })

  it('are told ten times of a kind, and then counted', () => {
    const nodes = Array.from({ length: 25 }, (_, i) => ({ name: `${i}`, colour: 'red' }))
    const { warnings } = inline({ workspaces: nodes })
    expect(warnings.length).toBe(11)
    expect(warnings.at(-1)).toEqual({ code: 'UnknownKey', path: '', message: 'and 15 more of this kind' })
  })

  it('tell of categories that go to nobody, where they stand', () => {
    const yaml = `defaults: { category_routing: { ui: [B, C], qa: [D], ops: [A] } }
workspaces: [{ name: A, category_routing: { ui: [A, E] }, children: [{ name: B }] }]`
    expect(warned(yaml)).toEqual([
      ['DanglingRoute', '', 'category "ui" goes to "C", not in this tree (org.yaml:1:37)'],
      ['DanglingRoute', '', 'category "qa" goes to "D", not in this tree, so that nobody gets it (org.yaml:1:49)'],
      ['DanglingRoute', 'A', 'category "ui" goes to "E", not in this tree (org.yaml:2:49)'],
    ])
  })

  it('tell of telegram channels that share a bot, when both listen', () => {
    const bot = (token: string, more = '') =>
      `channels: [{ type: telegram, config: { bot_token: ${token}, chat_id: 1 }${more} }]`
    const two = (a: string, b: string) => warned(`workspaces: [{ name: A, ${a} }, { name: B, ${b} }]`)
    expect(two(bot('$BOT'), bot('"${BOT}"'))).toEqual([
      ['SharedChannelToken', '', '2 telegram channels use the bot of BOT, and only one can listen: A, B'],
    ])
    expect(two(bot('$BOT'), bot('$OTHER'))).toEqual([])
    expect(two(bot('$BOT'), bot('$BOT', ', enabled: false'))).toEqual([])
  })

  it('tell of roots upon each other', () => {
    const yaml = 'workspaces: [{ name: A, canvas: { x: 0 } }, { name: B, canvas: { x: 10 } }, { name: C }]'
    expect(warned(yaml)).toEqual([['OverlappingRoots', 'B', 'its canvas puts it upon "A" (org.yaml:1:64)']])
  })
})

it('is the same from another source, and keeps its digest', () => {
  const files = render({
    'org.yaml': 'workspaces: [{ name: A, children: [!include b.yaml] }]',
    'b.yaml': 'name: B\ntier: 1',
  })
  const plain = inline({ workspaces: [{ name: 'A', children: [{ name: 'B', tier: 1 }] }] })
  expect(files.nodes).toEqual(plain.nodes)
  expect(files.digest).toBe(plain.digest)
  expect(inline({ workspaces: [{ name: 'A' }] }).digest).not.toBe(plain.digest)
})

it('takes the example without a warning', () => {
  const { nodes, warnings } = render(folder(join(import.meta.dirname, '../../examples/org')))
  expect(nodes.length).toBe(9)
  expect(Math.max(...nodes.map(({ path }) => path.split('/').length))).toBe(3)
  expect(warnings).toEqual([])
})

/** One above six, each with a canvas: what the real template has that these places were taken from. */
it('puts the nodes of a tree where they always were', () => {
  const child = (i: number) => `      - { name: Member ${i}, canvas: { x: ${100 + i * 160}, y: 200 } }`
  const root = ['name: Lab', 'workspaces:', '  - name: Director', '    canvas: { x: 500, y: 40 }', '    children:']
  const files = { 'org.yaml': [...root, ...[0, 1, 2, 3, 4, 5].map(child), ''].join('\n') }
  const places = (leaf?: { width: number; height: number }) =>
    render(files, leaf === undefined ? {} : { leaf }).nodes.map(({ spec: { canvas } }) => [canvas.x, canvas.y])
  expect(places()).toEqual([
    [500, 40],
    [516, 170],
    [830, 170],
    [516, 360],
    [830, 360],
    [516, 550],
    [830, 550],
  ])
  expect(places({ width: 240, height: 130 })).toEqual([
    [500, 40],
    [516, 170],
    [770, 170],
    [516, 314],
    [770, 314],
    [516, 458],
    [770, 458],
  ])
})
