import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OrgError } from './org-error.ts'
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
    'a/config.yaml': 'model: x',
    'a/hello.md': 'hello',
    'b/other.md': 'other',
  }

  it('are those of the role folder, without secrets and what the operator writes', () => {
    expect([...one('{ name: A, files_dir: a }', role).files]).toEqual([
      ['hello.md', 'hello'],
      ['skills/x.md', 'x'],
      ['system-prompt.md', 'from the folder\n'],
    ])
    const { warnings } = render({ 'org.yaml': 'workspaces: [{ name: A, files_dir: ./a/ }]', ...role })
    expect(warnings.map(({ code }) => code)).toEqual(['FileSkipped', 'FileSkipped'])
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

describe('a template is refused', () => {
  it.each([
    ['no org.yaml', { 'x.yaml': '' }, 'SourceInvalid', 'there is no org.yaml'],
    ['an empty one', { 'org.yaml': '# nothing' }, 'InvalidField', 'is empty'],
    [
      'workspaces as a map',
      { 'org.yaml': 'workspaces: { a: { name: A } }' },
      'InvalidField',
      'org.yaml:1:13: workspaces: expected array',
    ],
    ['a name that is no text', { 'org.yaml': 'workspaces: [{ name: 007 }]' }, 'InvalidField', 'quote it'],
    ['no name', { 'org.yaml': 'workspaces: [{ role: x }]' }, 'InvalidField', 'workspaces[0].name'],
    ['an empty name', { 'org.yaml': 'workspaces: [{ name: "" }]' }, 'InvalidField', 'workspaces[0].name'],
    [
      'a yes where true is meant',
      { 'org.yaml': 'workspaces: [{ name: A, external: yes }]' },
      'InvalidField',
      'write true or false',
    ],
    ['tier 9', { 'org.yaml': 'workspaces: [{ name: A, tier: 9 }]' }, 'InvalidField', 'workspaces[0].tier'],
    ['tier -1 in defaults', { 'org.yaml': 'defaults: { tier: -1 }' }, 'InvalidField', 'defaults.tier'],
    [
      'a folder of the system',
      { 'org.yaml': 'workspaces: [{ name: A, workspace_dir: /etc/x }]' },
      'InvalidField',
      'workspaces[0].workspace_dir',
    ],
    [
      'access without a folder',
      { 'org.yaml': 'workspaces: [{ name: A, workspace_access: read_only }]' },
      'InvalidField',
      'workspaceDir',
    ],
    [
      'an unknown access',
      { 'org.yaml': 'workspaces: [{ name: A, workspace_access: all }]' },
      'InvalidField',
      'workspace_access',
    ],
    [
      'files from outside',
      { 'org.yaml': 'workspaces: [{ name: A, files_dir: ../x }]' },
      'IncludeEscape',
      'leaves the template',
    ],
    [
      'a missing prompt',
      { 'org.yaml': 'workspaces: [{ name: A, initial_prompt_file: x.md }]' },
      'FileMissing',
      '"x.md" is not in the source',
    ],
    [
      'a control character',
      { 'org.yaml': 'workspaces: [{ name: A, system_prompt: "a\\nb\\e" }]' },
      'InvalidField',
      'line 2 of the prompt has the control character U+001B',
    ],
    ['an empty any_of', { 'org.yaml': 'required_env: [{ any_of: [] }]' }, 'InvalidField', 'required_env[0].any_of'],
    ['an odd variable', { 'org.yaml': 'required_env: [lower]' }, 'InvalidField', '"lower" is no variable name'],
    [
      'twins',
      { 'org.yaml': 'workspaces: [{ name: A, children: [{ name: B }, { name: B }] }]' },
      'DuplicateSibling',
      'workspaces[0].children[1].name',
    ],
  ] as const)('%s', (_what, files, code, text) => {
    const attempt = () => render(files)
    expect(attempt).toThrow(OrgError)
    expect(attempt).toThrow(text)
    expect(attempt).toThrow(expect.objectContaining({ code }))
  })

  it('too deep or too wide', () => {
    let deep: object = { name: 'end' }
    for (let i = 0; i < 3000; i++) deep = { name: `${i}`, children: [deep] }
    expect(() => inline({ workspaces: [deep] })).toThrow('more than 32 levels')
    const wide = Array.from({ length: 5000 }, (_, i) => ({ name: `${i}` }))
    expect(() => inline({ workspaces: wide })).toThrow('more than 4096 nodes')
  })
})

it('names what it does not know and what nobody acts on yet', () => {
  const yaml = `defaults: { plugins: [a] }
workspaces:
  - name: A
    parent: b
    plugins: ["!a"]
    schedules: [{ name: s, cron_expr: "0 9 * * *", prompt: x }]
    children: [{ name: B, idle_prompt: look, canvas: { x: 1 } }]
`
  expect(render({ 'org.yaml': yaml }).warnings.map(({ code, path, message }) => [code, path, message])).toEqual([
    ['UnknownKey', 'org.yaml:4:13', '"parent" is no key that anything reads'],
    ['IneffectiveCanvas', '', expect.stringContaining('1 below')],
    ['NotSupportedYet', '', 'plugins of 1 node: not acted on yet'],
    ['NotSupportedYet', '', 'idle_prompt of 1 node: not acted on yet'],
    ['NotSupportedYet', '', 'schedules of 1 node: not acted on yet'],
  ])
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

it('reads two thousand nodes in less than two seconds', () => {
  const files: Record<string, string> = {}
  const teams = Array.from({ length: 40 }, (_, i) => {
    const members = Array.from(
      { length: 49 },
      (_unused, j) => `  - name: Agent ${i} ${j}\n    role: Does this and that.\n    system_prompt: You do it.\n`,
    )
    files[`teams/${i}.yaml`] = `name: Team ${i}\nchildren:\n${members.join('')}`
    return `  - !include teams/${i}.yaml\n`
  })
  const began = performance.now()
  expect(render({ 'org.yaml': `workspaces:\n${teams.join('')}`, ...files }).nodes.length).toBe(2000)
  expect(performance.now() - began).toBeLessThan(2000)
})

it('takes the example without a warning', () => {
  const { nodes, warnings } = render(folder(join(import.meta.dirname, '../../examples/org')))
  expect(nodes.length).toBe(9)
  expect(Math.max(...nodes.map(({ path }) => path.split('/').length))).toBe(3)
  expect(warnings).toEqual([])
})

const samples = process.env['MOLECULE_SAMPLES'] ?? join(import.meta.dirname, '../../../shared/samples')
it.skipIf(!existsSync(samples))('puts the nodes of a real template where they always were', () => {
  const files = folder(join(samples, 'orgs/ux-ab-lab'))
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

it('never throws anything but its own error, whatever it is given inline', () => {
  const key = fc.constantFrom(
    'name',
    'workspaces',
    'children',
    'tier',
    'defaults',
    'plugins',
    'files_dir',
    'system_prompt',
    'required_env',
    'any_of',
    'canvas',
    'x',
    'spawning',
    '__proto__',
  )
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 6, depthSize: 'medium' },
      fc.constantFrom<unknown>('A', 'A/B', '', 0, 3, -1, true, null),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(key, tie('tree'), { maxKeys: 5 }),
    ),
  }))
  fc.assert(
    fc.property(tree, (template) => {
      try {
        inline(template)
      } catch (error) {
        expect(error).toBeInstanceOf(OrgError)
      }
    }),
    { numRuns: 3000 },
  )
})
