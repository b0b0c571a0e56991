/** Bad input to imports, in the order of the list of what the old system did with each: nothing is made of any of it. */
import { fromConfigMap } from './orgs.ts'

export interface Bad {
  readonly what: string
  /** The files of the template, or the spec itself. */
  readonly files?: Readonly<Record<string, string>>
  /** Of the ConfigMap that holds them, when it is not org.yaml. */
  readonly key?: string
  readonly spec?: object
  readonly condition: string
  readonly reason: string
  readonly says: RegExp
}

const node = (text: string) => ({ 'org.yaml': `workspaces: [{ name: A, ${text} }]` })
const yaml = (text: string) => ({ 'org.yaml': text })
const inline = (template: object) => ({ source: { inline: { name: 'Bad', ...template } } })
/** The template includes a file that includes the next one, `times` each. */
const included = (files: number, times = 1): Record<string, string> => {
  const all: Record<string, string> = yaml('workspaces: !include 1.yaml')
  for (let i = 1; i <= files; i++)
    all[`${i}.yaml`] =
      i === files
        ? '{ name: A }'
        : `[${Array(times)
            .fill(`!include ${i + 1}.yaml`)
            .join(', ')}]`
  return all
}
const chain = (depth: number): object => ({ name: 'A', ...(depth > 1 && { children: [chain(depth - 1)] }) })
const laughs = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(', ')}]`)

const source = (reason: string, says: RegExp) => ({ condition: 'SourceReady', reason, says })
const parsed = (reason: string, says: RegExp) => ({ condition: 'TemplateParsed', reason, says })
const invalid = (says: RegExp) => parsed('InvalidField', says)

/** Found out by the operator: what, where and why stands in a condition. */
export const badOrgs: readonly Bad[] = [
  // No template.
  { what: 'no ConfigMap', spec: fromConfigMap('none'), ...source('SourceMissing', /ConfigMap "none" does not exist/) },
  {
    what: 'no org.yaml',
    files: { 'org.yml': 'workspaces: []' },
    ...source('SourceMissing', /has no key "org\.yaml"/),
  },
  {
    what: 'a key that leaves',
    files: yaml('workspaces: []'),
    key: 'a__..__..__org.yaml',
    ...source('SourceInvalid', /the key "a__\.\.__\.\.__org\.yaml" does not stand for a path inside the template/),
  },
  // Includes.
  {
    what: 'a missing include',
    files: { 'org.yaml': 'workspaces: !include a.yaml' },
    ...parsed('IncludeMissing', /^org\.yaml:1:22: "a\.yaml" is not in the source$/),
  },
  {
    what: 'an include of itself',
    files: { 'org.yaml': 'workspaces: !include a.yaml', 'a.yaml': '- !include a.yaml' },
    ...parsed('IncludeCycle', /^a\.yaml:1:12: "a\.yaml" includes itself \(included from org\.yaml:1:22\)$/),
  },
  {
    what: 'an include that leaves',
    files: yaml('workspaces: !include ../a.yaml'),
    ...parsed('IncludeEscape', /^org\.yaml:1:22: .*leaves the template/),
  },
  {
    what: 'seventeen includes in one another',
    files: included(17),
    ...parsed('DepthExceeded', /^16\.yaml:1:\d+: more than 16 includes/),
  },
  {
    what: 'includes that double at each step',
    files: included(16, 2),
    ...parsed('TooLarge', /more than 10000 includes/),
  },
  {
    what: 'a repository without a pin',
    files: yaml('workspaces: !external { repo: "https://git.example/a", ref: ../x, path: a.yaml }'),
    ...invalid(/^org\.yaml:1:\d+: !external takes a tag or a whole commit id/),
  },
  // Shape.
  {
    what: 'workspaces as a map',
    files: yaml('workspaces: { a: { name: A } }'),
    ...invalid(/^org\.yaml:1:13: workspaces: expected array/),
  },
  { what: 'a tier in words', files: node('tier: high'), ...invalid(/^org\.yaml:1:31: workspaces\[0\]\.tier: /) },
  {
    what: 'a key twice',
    files: yaml('name: a\nname: b'),
    ...parsed('SyntaxError', /^org\.yaml:2:1: the key "name" stands here twice/),
  },
  { what: 'a flag that is none', files: node('external: perhaps'), ...invalid(/external: .* write true or false/) },
  {
    what: 'an unknown key, where that is refused',
    spec: { ...inline({ workspaces: [{ name: 'A', boss: 'B' }] }), strict: true },
    ...invalid(/workspaces\[0\]\.boss: "boss" is no key/),
  },
  // Names and numbers.
  { what: 'an empty name', files: yaml('workspaces: [{ name: "" }]'), ...invalid(/workspaces\[0\]\.name/) },
  {
    what: 'twins',
    files: yaml('workspaces: [{ name: A }, { name: A }]'),
    ...parsed('DuplicateSibling', /workspaces\[1\]\.name: "A" stands twice/),
  },
  { what: 'tier 9', files: node('tier: 9'), ...invalid(/tier: too big/) },
  { what: 'tier -1', files: node('tier: -1'), ...invalid(/tier: too small/) },
  {
    what: 'an unknown runtime',
    files: node('runtime: langgraf'),
    condition: 'Applied',
    reason: 'RuntimeUnknown',
    says: /^runtime "langgraf" of "A" is not in the catalog, which has /,
  },
  // Folders.
  { what: 'an access that is none', files: node('workspace_access: all'), ...invalid(/workspace_access/) },
  {
    what: 'access to no folder',
    files: node('workspace_access: read_only'),
    ...invalid(/workspaceAccess needs workspaceDir/),
  },
  {
    what: 'a folder of the system',
    files: node('workspace_dir: /etc, workspace_access: read_only'),
    ...invalid(/workspace_dir: must not be in a folder of the system/),
  },
  {
    what: 'a relative folder',
    files: node('workspace_dir: a/b, workspace_access: read_only'),
    ...invalid(/workspace_dir/),
  },
  { what: 'a folder with dots', files: node('workspace_dir: /srv/../etc'), ...invalid(/workspace_dir/) },
  { what: 'a template that leaves', files: node('template: ../../x'), ...invalid(/template: "\.\.\/\.\.\/x" leaves/) },
  { what: 'a role folder that leaves', files: node('files_dir: ../a'), ...parsed('IncludeEscape', /"\.\.\/a" leaves/) },
  {
    what: 'a role folder that is not there, where that is refused',
    spec: { ...inline({ workspaces: [{ name: 'A', files_dir: 'a' }] }), strict: true },
    ...parsed('FileMissing', /files_dir: there is no file below "a\/"/),
  },
  {
    what: 'a prompt file that is not there, where that is refused',
    spec: { ...inline({ workspaces: [{ name: 'A', idle_prompt_file: 'a.md' }] }), strict: true },
    ...parsed('FileMissing', /idle_prompt_file: "a\.md" is not in the source/),
  },
  // Plugins and variables.
  {
    what: 'a plugin that is a path',
    files: node("plugins: ['../../x']"),
    ...invalid(/plugins\[0\]: .* neither the name of a plugin/),
  },
  { what: 'an empty any_of', files: node('required_env: [{ any_of: [] }]'), ...invalid(/required_env\[0\]\.any_of/) },
  {
    what: 'a variable in small letters',
    files: node('required_env: [key]'),
    ...invalid(/"key" is no variable name/),
  },
  {
    what: 'required variables that nobody gives',
    files: node('required_env: [KEY, { any_of: [ONE, TWO] }]'),
    condition: 'EnvironmentReady',
    reason: 'RequiredEnvMissing',
    says: /KEY \(asked for by A\); ONE or TWO \(asked for by A\)/,
  },
  {
    what: 'a variable that nobody may give',
    spec: {
      ...inline({ required_env: ['GITHUB_TOKEN'], workspaces: [{ name: 'A' }] }),
      env: { from: [{ secretRef: { name: 'keys' } }] },
    },
    condition: 'EnvironmentReady',
    reason: 'ForbiddenKey',
    says: /^GITHUB_TOKEN may not be given/,
  },
  {
    what: 'a key of the operator for one node',
    spec: {
      ...inline({ workspaces: [{ name: 'A' }] }),
      secretsFrom: [{ node: 'A', secretRef: { name: 'keys' } }],
    },
    condition: 'EnvironmentReady',
    reason: 'ForbiddenKey',
    says: /^DATABASE_URL may not be given: it is in Secret "keys", for "A"/,
  },
  // Size.
  {
    what: 'forty levels',
    spec: inline({ workspaces: [chain(40)] }),
    ...parsed('DepthExceeded', /more than 16 levels/),
  },
  {
    what: 'a thousand levels',
    files: yaml(`workspaces: ${'[{ name: A, children: '.repeat(1000)}[]${' }]'.repeat(1000)}`),
    ...parsed('TooLarge', /more than 200 lists and maps inside one another|nested too deeply/),
  },
  {
    what: 'too many nodes',
    files: yaml(`workspaces: [${Array.from({ length: 5100 }, (_, i) => `{name: a${i}}`).join()}]`),
    ...parsed('TooLarge', /more than 5000 nodes/),
  },
  {
    what: 'a billion laughs',
    files: yaml(`a0: &a0 [${Array(10).fill('ha').join(', ')}]\n${laughs.join('\n')}`),
    ...parsed('TooLarge', /^org\.yaml:\d+:\d+: more than 500000 values once includes and aliases are written out/),
  },
  // Text.
  {
    what: 'a prompt with a control character',
    spec: inline({ workspaces: [{ name: 'A', system_prompt: 'a\u001bb' }] }),
    ...invalid(/system_prompt: line 1 of the text has the control character U\+001B/),
  },
  {
    what: 'a prompt file with a lone carriage return',
    files: { ...node('initial_prompt_file: a.md'), 'a.md': 'one\ntwo\rthree' },
    ...invalid(/initial_prompt_file: line 2 of the text has a carriage return/),
  },
  {
    what: 'a NUL in the template',
    files: yaml('name: a\0b'),
    ...parsed('SyntaxError', /^org\.yaml:1:8: the control character U\+0000/),
  },
  {
    what: 'a lone carriage return in the template',
    files: yaml('name: a\rworkspaces: []'),
    ...parsed('SyntaxError', /^org\.yaml:1:8: a carriage return without a line feed/),
  },
  // Where it goes.
  {
    what: 'a parent that is not there',
    spec: { ...inline({ workspaces: [{ name: 'A' }] }), target: { parentRef: { name: 'nobody' } } },
    condition: 'Applied',
    reason: 'ParentMissing',
    says: /"nobody"/,
  },
]

/** Refused by the API server, in words for people. */
export const refusedOrgs: readonly (readonly [what: string, spec: object | string, says: RegExp])[] = [
  ['what is no JSON', '{ "spec": ', /unexpected (EOF|end)/i],
  ['no source', { source: {} }, /give exactly one of inline, configMapRef, git, sourceRef/],
  [
    'two sources',
    { source: { inline: { name: 'A' }, configMapRef: { name: 'a' } } },
    /give exactly one of inline, configMapRef, git, sourceRef/,
  ],
  [
    'a folder out of the repository',
    { source: { git: { url: 'https://git.example/a', path: '../../etc' } } },
    /path: .*must be a path inside the repository/,
  ],
  [
    'an absolute folder',
    { source: { git: { url: 'https://git.example/a', path: '/etc' } } },
    /path: .*must be a path inside the repository/,
  ],
  ['files of this machine', { source: { git: { url: 'file:///etc' } } }, /url: .*must begin with https:\/\//],
  [
    'a name and a password',
    { source: { git: { url: 'https://a:b@git.example/a' } } },
    /url: .*give those by secretRef/,
  ],
  ['a way around the preflight', { source: { inline: { name: 'A' } }, force: true }, /unknown field "(spec\.)?force"/],
  ['workspaces that are a map', inline({ workspaces: { a: { name: 'A' } } }), /workspaces: .*expected "array"/],
]

/** Nodes that are made, though something of each is not: a line of the template, the code, and what is said of it. */
export const oddNodes: readonly (readonly [text: string, code: string, says: RegExp])[] = [
  ['name: yes for true, schedules: [{ cron_expr: 0 9 * * *, prompt: Go., enabled: yes }]', 'Yaml11Boolean', /true or/],
  ['name: unknown key, parent: boss', 'UnknownKey', /"parent" .* children of the node above \(org\.yaml:\d+:\d+\)/],
  ['name: unknown secrets, secrets: [x]', 'UnknownKey', /"secrets" .* spec\.secretsFrom of the OrgImport/],
  ['name: opt-out, plugins: ["!audit"]', 'IneffectiveOptOut', /"!audit" takes nothing away/],
  ['name: bare opt-out, plugins: [browser, !audit ]', 'UnquotedOptOut', /write "!audit"/],
  ['name: bad cron, schedules: [{ cron_expr: 0 25 * * *, prompt: Go. }]', 'ScheduleSkipped', /"1" is left out: .*hour/],
  [
    'name: bad zone, schedules: [{ cron_expr: 0 9 * * *, timezone: Mars/X, prompt: Go. }]',
    'ScheduleSkipped',
    /Mars\/X/,
  ],
  ['name: no prompt, schedules: [{ cron_expr: 0 9 * * *, prompt: " " }]', 'ScheduleSkipped', /it has no prompt/],
  [
    'name: no prompt file, schedules: [{ cron_expr: 0 9 * * *, prompt_file: a.md }]',
    'ScheduleSkipped',
    /"a\.md" is not in the source/,
  ],
  ['name: unknown channel, channels: [{ type: pigeon }]', 'ChannelSkipped', /"pigeon" is left out: its type is not/],
  ['name: bad channel, channels: [{ type: telegram, config: { chat_id: 1 } }]', 'ChannelSkipped', /has no bot_token/],
  [
    'name: unresolved channel, channels: [{ type: slack, config: { webhook_url: "${HOOK}" } }]',
    'ChannelSkipped',
    /nobody gives HOOK/,
  ],
  [
    'name: clear channel, channels: [{ type: slack, config: { webhook_url: https://hooks.slack.com/hush } }]',
    'ChannelSkipped',
    /its webhook_url is a secret/,
  ],
  ['name: bad scope, initial_memories: [{ content: x, scope: ALL }]', 'MemorySkipped', /"ALL" is not LOCAL, TEAM/],
  [`name: long memory, initial_memories: [{ content: ${'m'.repeat(100_001)} }]`, 'MemoryCut', /cut to 100000 bytes/],
  ['name: no such role, category_routing: { ui: [Nobody] }', 'DanglingRoute', /"ui" goes to "Nobody"/],
  ['name: not mounted, workspace_dir: /srv/x', 'IneffectiveWorkspaceDir', /workspace_access is none/],
]
