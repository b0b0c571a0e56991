/** Templates of a known shape, made and not kept. */

export type Files = ReadonlyMap<string, string>

const paragraph = 'Read what the team has written before you begin, and say what you are going to do. '
const prompt = (characters: number) => paragraph.repeat(Math.ceil(characters / paragraph.length)).slice(0, characters)

interface Team {
  readonly name: string
  readonly children: readonly Team[]
}

/**
 * As a real one was measured: 42 nodes of four levels (2, 11, 11, 18) from 41 included files, one of them twice, each
 * with a role folder of some 10 KB; nine plugins for all and up to seven more, a schedule each, prompts from files, routing in the defaults.
 */
export function devTeamOrg(): Files {
  let made = 0
  const leaf = (): Team => ({ name: `Engineer ${++made}`, children: [] })
  const lead = (children: Team[]): Team => ({ name: `Lead ${++made}`, children })
  const many = (count: number, make: () => Team) => Array.from({ length: count }, make)
  const inner = [lead(many(8, leaf)), lead(many(6, leaf)), lead(many(4, leaf)), ...many(8, leaf)]
  const second = [lead(inner.slice(0, 8)), lead(inner.slice(8)), ...many(8, leaf), { name: 'Engineer 1', children: [] }]
  const roots = [lead(second.slice(0, 6)), lead(second.slice(6))]
  const files = new Map<string, string>()
  const include = (team: Team): string => {
    const slug = team.name.toLowerCase().replaceAll(' ', '-')
    files.set(`teams/${slug}.yaml`, nodeYaml(team, slug, team.children.map(include)))
    for (const [name, size] of [
      ['system-prompt.md', 4000],
      ['initial-prompt.md', 1500],
      ['idle-prompt.md', 1000],
      ['schedules/review.md', 2000],
      ['skills/review.md', 1500],
    ] as const)
      files.set(`roles/${slug}/${name}`, prompt(size))
    return slug
  }
  const tops = roots.map(include)
  files.set('org.yaml', orgYaml(tops))
  return files
}

function nodeYaml({ name }: Team, slug: string, children: readonly string[]): string {
  const below = children.map((child) => `  - !include ${child}.yaml`)
  return `name: ${name}
role: >-
  ${paragraph}
  ${paragraph}
tier: 3
model: opus
files_dir: roles/${slug}
plugins: [code-review, llm-judge, "!audit"]
initial_prompt_file: initial-prompt.md
idle_prompt_file: idle-prompt.md
idle_interval_seconds: 900
channels:
  - type: telegram
    config: { bot_token: "\${TELEGRAM_BOT_TOKEN}", chat_id: "\${TELEGRAM_CHAT_ID}" }
schedules:
  - name: Hourly review
    cron_expr: "17 * * * *"
    timezone: UTC
    prompt: |
      ${prompt(1500)}
  - name: Nightly
    cron_expr: "50 23 * * *"
    prompt_file: schedules/review.md
${below.length === 0 ? '' : `children:\n${below.join('\n')}\n`}`
}

const orgYaml = (tops: readonly string[]) => `name: Dev team
description: ${paragraph}
defaults:
  runtime: claude-code
  tier: 2
  model: sonnet
  plugins: [audit, a, b, c, d, e, f, g, h]
  category_routing:
    security: [Lead 1]
    docs: [Engineer 1, Engineer 2]
  initial_prompt: |
    ${prompt(3000)}
workspaces:
${tops.map((top) => `  - !include teams/${top}.yaml`).join('\n')}
`

/** `count` nodes of six levels, prompts and all in one file for each team of 40. */
export function wideOrg(count: number): Files {
  const files = new Map<string, string>()
  const teams = Math.ceil(count / 40)
  for (let i = 0; i < teams; i++) {
    const members = Array.from(
      { length: Math.min(40, count - i * 40) - 1 },
      (_unused, j) => `  - name: Agent ${i} ${j}
    role: ${paragraph}
    model: opus
    system_prompt: |
      ${prompt(400)}
    schedules:
      - { name: look, cron_expr: "${j % 60} * * * *", prompt: Look around. }
`,
    )
    files.set(`teams/${i}.yaml`, `name: Team ${i}\nchildren:\n${members.join('')}`)
  }
  const list = Array.from({ length: teams }, (_unused, i) => `  - !include teams/${i}.yaml`)
  files.set('org.yaml', `name: Wide\ndefaults: { runtime: claude-code }\nworkspaces:\n${list.join('\n')}\n`)
  return files
}
