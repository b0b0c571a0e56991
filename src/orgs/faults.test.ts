import { expect, it } from 'vitest'
import { OrgError } from './org-error.ts'
import { renderOrg } from './tree.ts'

function mistakes(files: Record<string, string>, strict = false): OrgError {
  try {
    renderOrg({ kind: 'files', files: new Map(Object.entries(files)), entry: 'org.yaml' }, { importUid: 'u', strict })
  } catch (error) {
    if (error instanceof OrgError) return error
    throw error
  }
  throw new Error('nothing was refused')
}
/** What is told, part by part; of a part, what follows the place. */
const parts = ({ message }: OrgError) =>
  message.split('; ').map((part) => part.replace(/^\d+ mistakes: /, '').replace(/^\S+:\d+:\d+: /, ''))

it('all that is wrong with a template is told at once, what takes most with it first', () => {
  const error = mistakes({
    'org.yaml': [
      'defaults: { idle_interval_seconds: often }',
      'required_env: [lower, 5]',
      'workspaces:',
      '  - name: Lead',
      '    tier: high',
      '    id: A_1',
      '    plugins: [../../x, [], Fine]',
      '    schedules: [{ cron_expr: "* * * * *", prompt: "a\\e" }, 7, { cron_expr: "* * * * *", prompt: "b\\e" }]',
      '    initial_memories: [{ content: "a\\e" }, { content: "b\\e" }]',
      '    system_prompt: "a\\e"',
      '    idle_prompt: "b\\e"',
      '    files_dir: ../x',
      '    workspace_dir: /etc',
      '    external: true',
      '    url: ftp://a',
      '    children:',
      '      - !include missing.yaml',
      '      - !include broken.yaml',
      '      - !include ../up.yaml',
      '      - !unknown tag',
      '      - { role: Nameless. }',
      '      - { name: Twin }',
      '      - { name: Twin, id: same }',
      '      - { name: Other, id: same, template: ../../y }',
      '      - !include fine.yaml',
    ].join('\n'),
    'broken.yaml': 'a: [1,\nb: }',
    'fine.yaml': 'name: Fine\nworkspace_access: all',
  })
  const told = parts(error)
  expect(error.code).toBe('SyntaxError')
  expect(error.place).toMatchObject({ file: 'broken.yaml', line: 2 })
  expect(error.message).toMatch(/^26 mistakes: broken\.yaml:2:/)
  const patterns = [
    /Unexpected flow-map-end/,
    /"missing\.yaml" is not in the source/,
    /"\.\.\/up\.yaml" leaves/,
    /files_dir: "\.\.\/x" leaves/,
    /"Twin" stands twice/,
    /"same" is the id of/,
    /unknown tag/,
  ]
  expect(told.slice(0, patterns.length).map((part, i) => patterns[i]?.test(part) || part)).toEqual(
    patterns.map(() => true),
  )
  // Ten of a kind are told, of which one has two parts, and the rest are counted.
  expect(told.filter((part) => !part.startsWith('and '))).toHaveLength(17)
  expect(told.at(-1)).toBe('and 10 more of this kind (InvalidField)')
})

it.each([
  [
    'a cycle and a bad tier',
    {
      'org.yaml': 'workspaces: [!include a.yaml, { name: B, tier: 9 }]',
      'a.yaml': 'name: A\nchildren: [!include a.yaml]',
    },
    ['IncludeCycle', 'includes itself', 'tier: too big'],
  ],
  [
    'two files without end, once each',
    { 'org.yaml': 'workspaces: [!include a.yaml, !include a.yaml, !include b.yaml]', 'a.yaml': '[', 'b.yaml': '[' },
    ['SyntaxError', 'included from org.yaml:1:23', 'included from org.yaml:1:57'],
  ],
  [
    'two keys twice',
    { 'org.yaml': 'name: a\nname: b\nworkspaces: [{ name: A, tier: 1, tier: 2 }]' },
    ['SyntaxError', '"name" stands here twice', '"tier" stands here twice'],
  ],
])('%s', (_what, files, [code, ...texts]) => {
  const error = mistakes(files)
  expect(error.code).toBe(code)
  expect(parts(error)).toEqual(texts.map((text) => expect.stringContaining(text) as string))
})

it('with strict, keys that nothing reads and files that are not there are among them', () => {
  const error = mistakes({ 'org.yaml': 'boss: A\nworkspaces: [{ name: A, files_dir: a, parent: B }]' }, true)
  expect(parts(error)).toEqual([
    expect.stringContaining('there is no file below "a/"'),
    expect.stringContaining('"boss" is no key'),
    expect.stringContaining('"parent" is no key'),
  ])
})

it('what is told has an end, however many mistakes there are, and so has the search for them', () => {
  const long = 'n'.repeat(250)
  const nodes = Array.from({ length: 100 }, (_, i) => [
    `  - { name: "${long}", id: A_${i}, files_dir: ../${long} }`,
    `  - !include ${long}${i}.yaml`,
    `  - !include ../${long}${i}.yaml`,
  ])
  const { message } = mistakes({ 'org.yaml': `workspaces:\n${nodes.flat().join('\n')}` })
  expect(message).toMatch(/^499 mistakes: org\.yaml:3:/)
  expect(message.length).toBeLessThan(8500)
  expect(message).toContain('and 90 more of this kind (IncludeMissing)')
  expect(message).toMatch(/; and \d+ more$/)
  const many = Array.from({ length: 5000 }, () => '  - { name: Twin, plugins: [../x, ../y, ../z] }')
  expect(mistakes({ 'org.yaml': `workspaces:\n${many.join('\n')}` }).message).toMatch(/^500 mistakes or more: /)
})

it('one mistake is told as it is, and nothing that only follows from it', () => {
  expect(mistakes({ 'org.yaml': 'workspaces: !include a.yaml' }).message).toBe(
    'org.yaml:1:22: "a.yaml" is not in the source',
  )
  expect(mistakes({ 'org.yaml': 'a: [' }).message).toMatch(/^org\.yaml:1:/)
})

it('what does not stop an import is told beside what does, but for what may follow from the parts that could not be read', () => {
  const text = [
    'defaults: { category_routing: { docs: [Writer] } }',
    'parent: nothing',
    'workspaces:',
    '  - name: Lead',
    '    tier: high',
    '    colour: red',
    '    plugins: ["!gone"]',
    '    children:',
    '      - { canvas: { x: 1, y: 1 } }',
    '      - { name: Hand, canvas: { x: 1, y: 1 } }',
    '      - !include writer.yaml',
  ].join('\n')
  const told = (files: Record<string, string>, strict = false) => {
    const source = { kind: 'files', files: new Map(Object.entries(files)), entry: 'org.yaml' } as const
    try {
      return renderOrg(source, { importUid: 'u', strict, exclude: ['Lead/Writer/Nobody'] }).warnings
    } catch (error) {
      if (error instanceof OrgError) return error.warnings
      throw error
    }
  }
  const shown = (warnings: ReturnType<typeof told>) =>
    warnings.map(({ code, path }) => `${code} ${path}`.trim()).toSorted()
  const own = ['IgnoredCanvas Lead/Hand', 'UnknownKey parent', 'UnknownKey workspaces[0].colour']
  expect(shown(told({ 'org.yaml': text }))).toEqual(['IgnoredCanvas', ...own])
  const mended = text.replace('tier: high', 'tier: 1').replace('{ canvas', '{ name: Foot, canvas')
  const rest = ['DanglingRoute', 'IgnoredCanvas Lead/Foot', 'IneffectiveOptOut Lead', 'UnknownNode Lead/Writer/Nobody']
  const all = told({ 'org.yaml': mended, 'writer.yaml': 'name: Other' })
  expect(shown(all)).toEqual(expect.arrayContaining([...own, ...rest.map((each) => expect.stringContaining(each))]))
})

it('a node that has no name is not called by the one that stands for it', () => {
  const { message } = mistakes({ 'org.yaml': 'workspaces:\n  - { id: same }\n  - { name: B, id: same }' })
  expect(message).toMatch(/"same" is the id of another node already/)
  expect(message).not.toContain('unnamed')
})
