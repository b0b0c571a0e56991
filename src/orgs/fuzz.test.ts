/**
 * The reader never throws anything but its own error, whatever it is given, and comes to an end. A second's worth by
 * default; FUZZ_SECONDS makes each property run as long as that (.ci/run gives them a minute together).
 */
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { OrgError } from './org-error.ts'
import { renderOrg, type OrgSource } from './tree.ts'

const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0)
const effort: fc.Parameters<unknown> =
  seconds > 0
    ? { numRuns: 1e9, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false }
    : { numRuns: 300 }
const patience = 60_000 + seconds * 1000

/** What a person gets: a tree, or one line that says what is wrong. */
function holds(source: OrgSource) {
  const began = performance.now()
  try {
    const { nodes, warnings } = renderOrg(source, { importUid: 'uid' })
    expect(new Set(nodes.map(({ name }) => name)).size).toBe(nodes.length)
    expect(warnings.length).toBeLessThan(300)
  } catch (error) {
    if (!(error instanceof OrgError)) throw error
    expect(error.message).not.toMatch(/[\r\n]/)
  }
  // Small inputs, each: what takes longer than this grows faster than they do.
  expect(performance.now() - began).toBeLessThan(10_000)
}

const pieces = [
  'name',
  'workspaces',
  'children',
  'A',
  'a.md',
  'b/y.yaml',
  ': ',
  '\n',
  '\n  ',
  '\n    ',
  '- ',
  '[',
  ']',
  '{',
  '}',
  ', ',
  '"',
  "'",
  '&x ',
  '*x',
  '!include ',
  '!external ',
  'org.yaml',
  'y.yaml',
  '../',
  '!b ',
  '<<: ',
  '|\n ',
  '>\n ',
  '? ',
  '#',
  '---\n',
  '...\n',
  '%YAML 1.1\n',
  '~',
  '1',
  '.inf',
  '.nan',
  '\t',
  '\u2028',
  '\0',
  '\r',
  '\r\n',
  '\ufeff',
  '\ud800',
  '!!set ',
  '!!omap ',
  '!!binary ',
  '!!timestamp ',
  '!<x> ',
  'yes',
  '0x1f',
  '1e999',
  '__proto__',
  '&',
  '*',
  '@',
  '`',
  '\\',
  'files_dir',
  'prompt_file',
]
const text = fc.array(fc.constantFrom(...pieces), { maxLength: 50 }).map((parts) => parts.join(''))
const raw = fc.oneof(text, fc.string({ unit: 'binary', maxLength: 60 }))

it('holds for any text', { timeout: patience }, () => {
  const path = fc.oneof(fc.constantFrom('b/y.yaml', 'a.md', 'y.yaml', '.external/x'), fc.string({ maxLength: 8 }))
  fc.assert(
    fc.property(raw, raw, path, (org, other, where) => {
      holds({
        kind: 'files',
        files: new Map([
          ['org.yaml', org],
          [where, other],
        ]),
        entry: 'org.yaml',
      })
    }),
    effort,
  )
})

const keys = [
  'name',
  'id',
  'workspaces',
  'children',
  'tier',
  'defaults',
  'plugins',
  'files_dir',
  'system_prompt',
  'initial_prompt_file',
  'idle_prompt',
  'required_env',
  'any_of',
  'canvas',
  'x',
  'spawning',
  'schedules',
  'cron_expr',
  'timezone',
  'prompt',
  'enabled',
  'channels',
  'type',
  'config',
  'bot_token',
  'chat_id',
  'allowed_users',
  'initial_memories',
  'content',
  'scope',
  'category_routing',
  'workspace_dir',
  'workspace_access',
  'external',
  'url',
  'template',
  'global_memories',
  'role',
  '__proto__',
  'constructor',
]
const words = [
  'A',
  'B',
  'A/B',
  '',
  'yes',
  '!A',
  '-b',
  'telegram',
  '${TOKEN}',
  '$',
  '* * * * *',
  '0 0 31 2 *',
  '5-1 * * * L',
  'Europe/Berlin',
  'TEAM',
  'role',
  '../x',
  '/srv/x',
  'read_only',
  'http://[::1]/',
  'https://a.example',
  'TOKEN',
  'a\rb',
  '\ud800',
  '\u2028',
  'a-1',
  0,
  1,
  3,
  -1,
  1.5,
  1e21,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  true,
  false,
  null,
]
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 7, depthSize: 'medium' },
    fc.constantFrom<unknown>(...words),
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...keys), tie('tree'), { maxKeys: 6 }),
  ),
}))
/** Of the right shape, so that what judges the parts is reached. */
const mostly = <T>(wanted: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: wanted }, { weight: 1, arbitrary: tree })
const word = fc.constantFrom(...words.filter((each) => typeof each === 'string'))
const schedule = fc.record(
  {
    name: mostly(word),
    cron_expr: mostly(word),
    timezone: mostly(word),
    prompt: mostly(word),
    prompt_file: word,
    enabled: mostly(fc.boolean()),
  },
  { requiredKeys: ['cron_expr', 'prompt'] },
)
const channel = fc.record(
  {
    type: mostly(fc.constantFrom('telegram', 'slack', 'discord', 'lark')),
    config: mostly(fc.dictionary(fc.constantFrom('bot_token', 'chat_id', 'webhook_url', 'channel_id'), word)),
    allowed_users: fc.array(word, { maxLength: 2 }),
  },
  { requiredKeys: ['type'] },
)
const few = <T>(each: fc.Arbitrary<T>) => mostly(fc.array(mostly(each), { maxLength: 3 }))
const shape = (below: fc.Arbitrary<unknown>) =>
  fc.record(
    {
      name: mostly(fc.constantFrom('A', 'B', 'C', 'D')),
      id: word,
      tier: mostly(fc.integer({ min: 0, max: 4 })),
      plugins: few(word),
      schedules: few(schedule),
      channels: few(channel),
      initial_memories: few(fc.record({ content: word, scope: word }, { requiredKeys: [] })),
      category_routing: mostly(fc.dictionary(word, fc.array(word, { maxLength: 2 }))),
      canvas: mostly(fc.record({ x: fc.double(), y: fc.double() }, { requiredKeys: [] })),
      url: word,
      external: mostly(fc.boolean()),
      workspace_dir: word,
      idle_prompt: word,
      template: word,
      required_env: few(fc.constantFrom('A_KEY', 'B_KEY')),
      children: below,
    },
    { requiredKeys: ['name'] },
  )
const node = shape(few(shape(few(shape(fc.constant([]))))))
const template = fc.record(
  {
    name: word,
    defaults: mostly(
      fc.record(
        { plugins: few(word), tier: fc.integer({ min: 0, max: 4 }), category_routing: tree },
        { requiredKeys: [] },
      ),
    ),
    workspaces: few(node),
    global_memories: tree,
  },
  { requiredKeys: ['workspaces'] },
)

it('holds for any value', { timeout: patience }, () => {
  fc.assert(
    fc.property(fc.oneof(tree, template), (value) => {
      // As an API server hands it over.
      holds({ kind: 'inline', template: JSON.parse(JSON.stringify(value)) })
    }),
    effort,
  )
})

it('holds for any template in YAML', { timeout: patience }, () => {
  fc.assert(
    fc.property(template, text, (value, other) => {
      // Half of the files are JSON, which is YAML; the rest is whatever is left when a line is broken.
      const org = JSON.stringify(value).replace('"name":"B"', '"<<": !include y.yaml,"name":"B"')
      holds({
        kind: 'files',
        files: new Map([
          ['org.yaml', org],
          ['y.yaml', other],
        ]),
        entry: 'org.yaml',
      })
    }),
    effort,
  )
})
