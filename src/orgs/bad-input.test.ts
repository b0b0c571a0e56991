/**
 * Every row of the table of bad inputs that is decided here: input, code, message, place. Over 400 lines, because the
 * table is one: split, nobody would see which row is missing.
 */
import { describe, expect, it } from 'vitest'
import { OrgError } from './org-error.ts'
import { renderOrg } from './tree.ts'

const importUid = '5f0c3f9e-6f0e-4b52-8a6f-1f2b5c0f7a11'
const render = (files: Record<string, string>) =>
  renderOrg({ kind: 'files', files: new Map(Object.entries(files)), entry: 'org.yaml' }, { importUid })
const inline = (template: unknown) => renderOrg({ kind: 'inline', template }, { importUid })

function refusal(act: () => unknown): OrgError {
  try {
    act()
  } catch (error) {
    if (error instanceof OrgError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

/** One node in flow style, from column 15 of line 1. */
const node = (text: string) => ({ 'org.yaml': `workspaces: [{ name: A, ${text} }]` })
const deep = (files: number) =>
  Object.fromEntries([
    ['org.yaml', 'workspaces: !include 1.yaml'],
    ...Array.from({ length: files }, (_, i) => [`${i + 1}.yaml`, i + 1 === files ? '[]' : `!include ${i + 2}.yaml`]),
  ]) as Record<string, string>

describe('a template is refused', () => {
  it.each([
    ['no org.yaml', { 'x.yaml': '' }, 'SourceInvalid', '"org.yaml" is not in the source'],
    ['org.yml', { 'org.yml': 'name: x' }, 'SourceInvalid', '"org.yaml" is not in the source'],
    ['an empty one', { 'org.yaml': '# nothing' }, 'InvalidField', 'the template: is empty'],
    ['a text', { 'org.yaml': 'hello' }, 'InvalidField', 'the template: expected object'],
    ['no YAML', { 'org.yaml': 'a: [1,\nb: }' }, 'SyntaxError', 'org.yaml:2:4: Unexpected flow-map-end token'],
    ['no UTF-8 that was let through', { 'org.yaml': 'name: \ud800' }, 'SyntaxError', 'org.yaml:1:7: half a character'],
    ['a NUL', { 'org.yaml': 'name: a\0' }, 'SyntaxError', 'org.yaml:1:8: the control character U+0000'],
    ['a lone CR', { 'org.yaml': 'name: a\rworkspaces: []' }, 'SyntaxError', 'org.yaml:1:8: a carriage return'],
    [
      'a key twice',
      { 'org.yaml': 'name: a\nname: b' },
      'SyntaxError',
      'org.yaml:2:1: the key "name" stands here twice',
    ],
    [
      'a missing include',
      { 'org.yaml': 'workspaces:\n  - !include a.yaml' },
      'IncludeMissing',
      'org.yaml:2:14: "a.yaml"',
    ],
    [
      'a cycle',
      { 'org.yaml': 'workspaces: !include a/b.yaml', 'a/b.yaml': '- !include ../a/b.yaml' },
      'IncludeCycle',
      'a/b.yaml:1:12: "a/b.yaml" includes itself (included from org.yaml:1:22)',
    ],
    [
      'a way out',
      { 'org.yaml': 'workspaces: !include ../a.yaml' },
      'IncludeEscape',
      'org.yaml:1:22: "../a.yaml" leaves',
    ],
    ['seventeen files deep', deep(17), 'DepthExceeded', '16.yaml:1:10: more than 16 includes inside one another'],
    [
      'workspaces as a map',
      { 'org.yaml': 'workspaces: { a: { name: A } }' },
      'InvalidField',
      'org.yaml:1:13: workspaces: expected array',
    ],
    [
      'a list in a list',
      { 'org.yaml': 'workspaces: [!include a.yaml]', 'a.yaml': '- name: A' },
      'InvalidField',
      'workspaces[0]: expected object, received array: a list is included without a dash before it',
    ],
    ['tier: high', node('tier: high'), 'InvalidField', 'org.yaml:1:31: workspaces[0].tier: expected number'],
    ['tier 9', node('tier: 9'), 'InvalidField', 'org.yaml:1:31: workspaces[0].tier: too big'],
    ['tier -1', node('tier: -1'), 'InvalidField', 'org.yaml:1:31: workspaces[0].tier: too small'],
    ['tier -1 in defaults', { 'org.yaml': 'defaults: { tier: -1 }' }, 'InvalidField', 'org.yaml:1:19: defaults.tier'],
    [
      'a flag that is none',
      node('external: maybe'),
      'InvalidField',
      'workspaces[0].external: expected boolean, received string: write true or false',
    ],
    ['a runtime that no Runtime can have', node('runtime: Claude Code'), 'InvalidField', 'workspaces[0].runtime'],
    [
      'no name',
      { 'org.yaml': 'workspaces: [{ role: x }]' },
      'InvalidField',
      'workspaces[0].name: expected string, received undefined: every node has a name',
    ],
    [
      'an empty name',
      { 'org.yaml': 'workspaces: [{ name: "" }]' },
      'InvalidField',
      'org.yaml:1:22: workspaces[0].name: every node has a name',
    ],
    ['a blank name', { 'org.yaml': 'workspaces: [{ name: " " }]' }, 'InvalidField', 'every node has a name'],
    [
      'children that are a map',
      { 'org.yaml': 'workspaces: [{ name: A, children: !include a.yaml }]', 'a.yaml': 'b: { name: B }' },
      'InvalidField',
      'workspaces[0].children: expected array, received object: nodes are a list, each behind a dash',
    ],
    [
      'a plugin that no quotes mend',
      node('plugins: [[a]]'),
      'InvalidField',
      'workspaces[0].plugins[0]: expected string, received array$',
    ],
    [
      'a name in which text changes direction',
      { 'org.yaml': 'workspaces: [{ name: "a\\u202Eb" }]' },
      'InvalidField',
      'workspaces[0].name: "ab" must be one line without control or text-direction characters',
    ],
    [
      'a name that is no text',
      { 'org.yaml': 'workspaces: [{ name: 007 }]' },
      'InvalidField',
      'org.yaml:1:22: workspaces[0].name: expected string, received number: quote it',
    ],
    [
      'a name of two lines',
      { 'org.yaml': 'workspaces: [{ name: "a\\nb" }]' },
      'InvalidField',
      'workspaces[0].name: "a b" must be one line',
    ],
    [
      'twins',
      node('children: [{ name: B }, { name: B }]'),
      'DuplicateSibling',
      'workspaces[0].children[1].name: "B" stands twice among its siblings',
    ],
    [
      'twins to the eye',
      { 'org.yaml': 'workspaces: [{ name: caf\u00e9 }, { name: cafe\u0301 }]' },
      'DuplicateSibling',
      'workspaces[1].name',
    ],
    [
      'one id for two',
      node('id: a, children: [{ name: B, id: a }]'),
      'DuplicateId',
      'workspaces[0].children[0].id: "a" is the id of "A" already',
    ],
    ['an odd id', node('id: A_1'), 'InvalidField', 'org.yaml:1:29: workspaces[0].id: "A_1" is no id'],
    ['an unknown access', node('workspace_access: all'), 'InvalidField', 'workspaces[0].workspace_access'],
    [
      'access without a folder',
      node('workspace_access: read_only'),
      'InvalidField',
      'workspaceAccess needs workspaceDir',
    ],
    [
      'a folder of the system',
      node('workspace_dir: /etc/x'),
      'InvalidField',
      'org.yaml:1:40: workspaces[0].workspace_dir: must not be in a folder of the system',
    ],
    [
      'a folder from a variable',
      node('workspace_dir: "/srv/${DIR}", workspace_access: read_only'),
      'InvalidField',
      'workspaces[0].workspace_dir: "/srv/${DIR}": a variable stands at the beginning, as in ${A_NAME}/folder',
    ],
    [
      'a template from outside',
      node('template: ../../x'),
      'InvalidField',
      'org.yaml:1:35: workspaces[0].template: "../../x" leaves',
    ],
    [
      'files from outside',
      node('files_dir: ../x'),
      'IncludeEscape',
      'org.yaml:1:36: workspaces[0].files_dir: "../x" leaves the template',
    ],
    [
      'a prompt from outside',
      node('idle_prompt_file: ../x.md'),
      'IncludeEscape',
      'workspaces[0].idle_prompt_file: "../x.md" leaves the template',
    ],
    [
      'a control character in a prompt',
      node('system_prompt: "a\\nb\\e"'),
      'InvalidField',
      'line 2 of the text has the control character U+001B',
    ],
    [
      'a lone CR in a prompt',
      node('initial_prompt: "a\\rb"'),
      'InvalidField',
      'line 1 of the text has a carriage return without a line feed',
    ],
    ['a line separator in a prompt', node('idle_prompt: "a\\Lb"'), 'InvalidField', 'the control character U+2028'],
    [
      'a control character in a schedule',
      node('schedules: [{ cron_expr: "* * * * *", prompt: "a\\0" }]'),
      'InvalidField',
      'workspaces[0].schedules[0].prompt: line 1 of the text has the control character U+0000',
    ],
    [
      'a control character in a memory',
      node('initial_memories: [{ content: "a\\e" }]'),
      'InvalidField',
      'workspaces[0].initial_memories[0].content',
    ],
    [
      'a plugin that moves the cursor',
      node('plugins: ["a\\e[2J"]'),
      'InvalidField',
      '"a" is neither the name of a plugin',
    ],
    [
      'a plugin from outside',
      node('plugins: [../../x]'),
      'InvalidField',
      'org.yaml:1:35: workspaces[0].plugins[0]: "../../x" is neither the name of a plugin',
    ],
    [
      'an address of this machine',
      node('external: true, url: "http://127.0.0.1:8080"'),
      'InvalidField',
      'workspaces[0].url: 127.0.0.1 is no place for an agent',
    ],
    [
      'an address of this machine in other words',
      node('external: true, url: "http://[::ffff:127.0.0.1]"'),
      'InvalidField',
      'workspaces[0].url: [::ffff:7f00:1] is no place for an agent',
    ],
    [
      'a name of this machine',
      node('external: true, url: "http://localhost.:8080"'),
      'InvalidField',
      'workspaces[0].url: localhost. is no place for an agent',
    ],
    [
      'an address of another kind',
      node('external: true, url: "file:///x"'),
      'InvalidField',
      'workspaces[0].url: is no http or https address',
    ],
    [
      'an address with credentials',
      node('external: true, url: "https://a:b@c.example"'),
      'InvalidField',
      'workspaces[0].url: must not carry credentials',
    ],
    ['an empty any_of', { 'org.yaml': 'required_env: [{ any_of: [] }]' }, 'InvalidField', 'required_env[0].any_of'],
    [
      'a lower-case variable',
      { 'org.yaml': 'required_env: [lower]' },
      'InvalidField',
      'org.yaml:1:16: required_env[0]: "lower" is no variable name',
    ],
    [
      'an odd one of a group',
      node('recommended_env: [{ any_of: [A, B-C] }]'),
      'InvalidField',
      'workspaces[0].recommended_env[0]: "B-C" is no variable name',
    ],
    [
      'a repository without a pin',
      { 'org.yaml': 'workspaces: [!external { repo: "https://git.example/o/r", ref: ../x, path: a.yaml }]' },
      'InvalidField',
      'org.yaml:1:24: !external takes a tag or a whole commit id as its ref',
    ],
  ] as const)('%s', (_what, files, code, text) => {
    const error = refusal(() => render(files))
    // A "$" stands for the end of what is said of the value.
    if (text.endsWith('$')) expect(`${error.message}$`).toContain(text)
    else expect(error.message).toContain(text)
    expect(error.code).toBe(code)
    // oxlint-disable-next-line no-control-regex
    expect(error.message).not.toMatch(/[\0-\x1f\x7f]/)
    // Beside a missing file, everything has a place.
    if (code !== 'SourceInvalid' && !error.message.startsWith('the template:'))
      expect(error.place?.line).toBeGreaterThan(0)
  })

  it.each([
    ['a secret', 'secret-value-1234'],
    ['a token', 'gho_abcdef'],
  ])('never tells %s that stands in a channel', (_what, secret) => {
    const { warnings } = render(node(`channels: [{ type: discord, config: { webhook_url: ${secret} } }]`))
    expect(JSON.stringify(warnings)).not.toContain(secret)
  })

  it('too deep or too wide', () => {
    let tall: object = { name: 'end' }
    for (let i = 0; i < 3000; i++) tall = { name: `${i}`, children: [tall] }
    expect(refusal(() => inline({ workspaces: [tall] }))).toMatchObject({ code: 'DepthExceeded' })
    const wide = Array.from({ length: 5001 }, (_, i) => ({ name: `${i}` }))
    expect(refusal(() => inline({ workspaces: wide })).message).toBe('workspaces: more than 5000 nodes in all')
  })

  it('bigger than its parts may be', () => {
    const prompt = 'x'.repeat(99_000)
    const schedules = Array.from({ length: 80 }, (_, i) => ({
      name: `${i}`,
      cron_expr: '* * * * *',
      prompt: 'y'.repeat(16_000),
    }))
    expect(refusal(() => inline({ workspaces: [{ name: 'A', schedules }] }))).toMatchObject({ code: 'TooLarge' })
    const nodes = Array.from({ length: 1500 }, (_, i) => ({ name: `${i}` }))
    expect(refusal(() => inline({ defaults: { initial_prompt: prompt }, workspaces: nodes })).message).toContain(
      'the tree has more than',
    )
    const files = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`a/${i}`, 'x'.repeat(100_000)]))
    expect(refusal(() => render({ ...node('files_dir: a'), ...files })).message).toContain(
      'its files have 1000010 bytes, more than 921600',
    )
  })

  it('of more parts than can be', () => {
    const schedule = { cron_expr: '* * * * *', prompt: 'x' }
    const nodes = (count: number, each: object) => Array.from({ length: count }, (_, i) => ({ name: `${i}`, ...each }))
    const hundred = Array.from({ length: 100 }, () => schedule)
    const message = (act: () => unknown) => refusal(act).message
    expect(message(() => inline({ workspaces: nodes(101, { schedules: hundred }) }))).toBe(
      'workspaces[100].schedules: more than 10000 schedules in all',
    )
    const never = nodes(101, { schedules: [{ ...schedule, cron_expr: 'never' }] })
    expect(message(() => inline({ workspaces: never }))).toContain(
      'more than 100 schedules that cannot run; of this one',
    )
    const many = Object.fromEntries(Array.from({ length: 513 }, (_, i) => [`a/${i}`, 'x']))
    expect(message(() => render({ ...node('files_dir: a'), ...many }))).toContain('it has 513 files, more than 512')
    expect(message(() => render({ ...node('files_dir: a'), [`a/${'x'.repeat(600)}`]: '' }))).toContain('is longer than')
    const memories = (from: number) => Array.from({ length: 40 }, (_, i) => ({ content: `${from + i}` }))
    expect(
      message(() => inline({ global_memories: memories(0), workspaces: nodes(1, { initial_memories: memories(40) }) })),
    ).toContain('starts with 80 memories, more than 64')
  })
})

describe('a template is taken, with a warning', () => {
  it.each([
    ['an unknown key', 'parent: x', 'UnknownKey', '"parent" is no key that anything reads'],
    ['the model of another language', 'llm: x', 'UnknownKey', '"llm" is no key that anything reads: say it by model'],
    ['a folder that is not there', 'files_dir: a', 'FileMissing', 'there is no file below "a/" in the source'],
    ['a prompt that is not there', 'initial_prompt_file: x.md', 'FileMissing', '"x.md" is not in the source'],
    ['a secret list', 'secrets: [x]', 'UnknownKey', 'say it by spec.secretsFrom of the OrgImport'],
    ['yes for true', 'external: yes', 'Yaml11Boolean', 'write true or false'],
    ['off for false', 'spawning: off', 'Yaml11Boolean', 'write true or false'],
    ['a canvas on a child', 'children: [{ name: B, canvas: { x: 1 } }]', 'IgnoredCanvas', 'canvas is of roots only'],
    ['a folder from a variable that is not mounted', 'workspace_dir: "${D}"', 'IneffectiveWorkspaceDir', 'is none'],
    ['a folder that is not mounted', 'workspace_dir: /srv/x', 'IneffectiveWorkspaceDir', 'workspace_access is none'],
    ['an unquoted opt-out', 'plugins: [!x ]', 'UnquotedOptOut', 'write "!x"'],
    ['a long role', `role: ${'x'.repeat(1001)}`, 'RoleCut', 'cut to 1000 characters'],
    [
      'an address of an agent of ours',
      'url: "https://a.example"',
      'IneffectiveField',
      'url is of external agents only',
    ],
    [
      'an address of an external agent',
      'external: true, url: "https://a.example"',
      'IneffectiveField',
      'an agent says its address when it registers',
    ],
    [
      'a bad cron',
      'schedules: [{ name: s, cron_expr: "61 * * * *", prompt: x }]',
      'ScheduleSkipped',
      'schedule "s" is left out',
    ],
    ['a nickname', 'schedules: [{ cron_expr: "@daily", prompt: x }]', 'ScheduleSkipped', 'has not five fields'],
    ['six fields', 'schedules: [{ cron_expr: "* * * * * *", prompt: x }]', 'ScheduleSkipped', 'has not five fields'],
    ['no cron', 'schedules: [{ prompt: x }]', 'ScheduleSkipped', 'schedule "1" is left out'],
    ['a day that never comes', 'schedules: [{ cron_expr: "0 0 30 2 *", prompt: x }]', 'ScheduleSkipped', 'never comes'],
    [
      'a bad zone',
      'schedules: [{ cron_expr: "* * * * *", timezone: Mars/X, prompt: x }]',
      'ScheduleSkipped',
      'no IANA time zone',
    ],
    ['an empty prompt', 'schedules: [{ cron_expr: "* * * * *", prompt: " " }]', 'ScheduleSkipped', 'it has no prompt'],
    [
      'a missing prompt file',
      'schedules: [{ cron_expr: "* * * * *", prompt_file: x.md }]',
      'ScheduleSkipped',
      '"x.md" is not in the source',
    ],
    [
      'two prompts',
      'schedules: [{ cron_expr: "* * * * *", prompt: x, prompt_file: y.md }]',
      'IneffectiveField',
      'prompt_file is not read',
    ],
    [
      'two schedules of one name',
      'schedules: [{ name: S, cron_expr: "* * * * *", prompt: x }, { name: s, cron_expr: "* * * * *", prompt: y }]',
      'DuplicateName',
      'two schedules are called "s": one becomes "s-2"',
    ],
    [
      'a schedule that says too much',
      `schedules: [{ cron_expr: "* * * * *", prompt: ${'x'.repeat(16_385)} }]`,
      'ScheduleSkipped',
      'its prompt is longer than 16384 characters',
    ],
    [
      'a prompt and a file of it',
      'initial_prompt: x, initial_prompt_file: y.md',
      'IneffectiveField',
      'initial_prompt_file is not read: there is initial_prompt, too',
    ],
    ['a channel without a type', 'channels: [{ config: { a: b } }]', 'ChannelSkipped', 'it has no type'],
    ['a channel of another type', 'channels: [{ type: irc }]', 'ChannelSkipped', 'its type is not known'],
    [
      'a channel without settings',
      'channels: [{ type: telegram, env: { a: b } }]',
      'ChannelSkipped',
      'it has no bot_token',
    ],
    [
      'a second channel of a type',
      'channels: [{ type: telegram, config: { bot_token: $A, chat_id: 1 } }, { type: telegram, config: { bot_token: $B, chat_id: 2 } }]',
      'ChannelSkipped',
      'a workspace has one channel of a type',
    ],
    [
      'a secret in clear',
      'channels: [{ type: discord, config: { webhook_url: "https://discord.com/api/webhooks/1/x" } }]',
      'ChannelSkipped',
      'its webhook_url is a secret: write ${A_NAME}',
    ],
    [
      'a variable within a text',
      'channels: [{ type: telegram, config: { bot_token: "x${A}" } }]',
      'ChannelSkipped',
      'a variable stands alone',
    ],
    [
      'a memory of another scope',
      'initial_memories: [{ content: x, scope: galaxy }]',
      'MemorySkipped',
      '"GALAXY" is not LOCAL, TEAM or GLOBAL',
    ],
    ['an empty memory', 'initial_memories: [{ scope: TEAM }]', 'MemorySkipped', 'it is empty'],
    ['a long memory', `initial_memories: [{ content: "${'ü'.repeat(50_001)}" }]`, 'MemoryCut', 'cut to 100000 bytes'],
  ] as const)('%s', (_what, text, code, message) => {
    const { warnings } = render(node(text))
    const found = warnings.find((warning) => warning.code === code)
    expect(found?.message).toContain(message)
    if (code !== 'UnquotedOptOut') expect(found?.message).toMatch(/ \(org\.yaml:1:\d+\)$/)
  })
})

it.each(['App & Docs Lead', 'R&D', '[Ops]', '{x}', 'a|b', 'a > b', '*all*', 'Go!'])('takes the name %s', (name) => {
  const [found] = inline({ workspaces: [{ name }] }).nodes
  expect(found).toMatchObject({ path: name, spec: { displayName: name } })
})

it('takes a folded name, runtime and model without the line break at their ends', () => {
  const text = 'workspaces:\n  - name: >\n      Mail & Leads\n    runtime: >\n      a\n    model: >\n      b\n'
  expect(render({ 'org.yaml': text }).nodes[0]?.spec).toMatchObject({
    displayName: 'Mail & Leads',
    runtime: 'a',
    model: 'b',
  })
})

describe('what is named and not in the source', () => {
  const files = {
    'org.yaml': [
      'defaults: { idle_prompt_file: idle.md, initial_prompt: Hello. }',
      'workspaces: [{ name: A, files_dir: a, initial_prompt_file: first.md, children: [{ name: B }] }]',
    ].join('\n'),
  }

  it('is warned of once, and the node goes on without it', () => {
    const { nodes, warnings } = render(files)
    expect(nodes.map(({ files: own }) => Object.fromEntries(own))).toEqual([{}, { 'prompts/initial.md': 'Hello.' }])
    expect(warnings.map(({ code, path, message }) => [code, path, message])).toEqual([
      ['FileMissing', 'A', 'there is no file below "a/" in the source: it gets none (org.yaml:2:36)'],
      ['FileMissing', 'A', '"a/first.md" is not in the source: there is no initial_prompt (org.yaml:2:60)'],
      ['FileMissing', '', '"idle.md" is not in the source: there is no idle_prompt (org.yaml:1:31)'],
    ])
  })

  it('refuses a template that is to be read strictly', () => {
    const source = { kind: 'files', files: new Map(Object.entries(files)), entry: 'org.yaml' } as const
    expect(refusal(() => renderOrg(source, { importUid, strict: true }))).toMatchObject({ code: 'FileMissing' })
  })
})

it('delivers the whole template to a node that asks for it, but for YAML that was read', () => {
  const { nodes, warnings } = render({
    ...node('files_dir: ., children: !include b.yaml'),
    'b.yaml': '[]',
    'system-prompt.md': 'You watch.',
    'notes/a.md': 'Note.',
    '.env': 'A=b',
  })
  expect([...(nodes[0]?.files ?? [])]).toEqual([
    ['notes/a.md', 'Note.'],
    ['system-prompt.md', 'You watch.'],
  ])
  expect(warnings.map(({ message }) => message)).toEqual([
    '.env is left out: variables come from spec.env.from, never from files',
    'YAML that is read by !include is not delivered with the folder it is in: b.yaml and 1 more',
  ])
})

describe('what the source left out', () => {
  const skipped = new Map([
    ['CLAUDE.md', 'it is a symbolic link'],
    ['vendor/lib', 'it is a submodule'],
    ['a/link.md', 'it is a symbolic link'],
  ])
  const read = (files: Record<string, string>) =>
    renderOrg({ kind: 'files', files: new Map(Object.entries(files)), entry: 'org.yaml', skipped }, { importUid })

  it('is warned of where nothing names it, and the files beside it are there', () => {
    const { nodes, warnings } = read({ ...node('files_dir: a'), 'a/system-prompt.md': 'You watch.' })
    expect([...(nodes[0]?.files.keys() ?? [])]).toEqual(['system-prompt.md'])
    expect(warnings).toEqual([
      { code: 'FileSkipped', path: 'CLAUDE.md', message: 'it is a symbolic link: left out' },
      { code: 'FileSkipped', path: 'vendor/lib', message: 'it is a submodule: left out' },
      { code: 'FileSkipped', path: 'a/link.md', message: 'it is a symbolic link: left out' },
    ])
  })

  it.each([
    ['children: !include CLAUDE.md', 'IncludeMissing', '"CLAUDE.md" cannot be read: it is a symbolic link'],
    ['children: !include vendor/lib/a.yaml', 'IncludeMissing', 'cannot be read: of "vendor/lib", it is a submodule'],
    ['files_dir: vendor/lib', 'FileMissing', '.files_dir: "vendor/lib" cannot be read: it is a submodule'],
    ['files_dir: vendor/lib/x', 'FileMissing', '"vendor/lib/x" cannot be read: of "vendor/lib", it is a submodule'],
    ['initial_prompt_file: CLAUDE.md', 'FileMissing', '"CLAUDE.md" cannot be read: it is a symbolic link'],
    ['files_dir: a, idle_prompt_file: link.md', 'FileMissing', '"a/link.md" cannot be read: it is a symbolic link'],
    ['schedules: [{ cron_expr: "* * * * *", prompt_file: CLAUDE.md }]', 'FileMissing', 'it is a symbolic link'],
  ])('refuses a template that names it: %s', (text, code, message) => {
    const error = refusal(() => read({ ...node(text), 'a/b': 'x' }))
    expect(error.message).toContain(message)
    expect(error.code).toBe(code)
    expect(error.place).toMatchObject({ file: 'org.yaml', line: 1 })
  })
})
