/** Templates with the shapes of those that the old platform publishes: one of many files, one flat, one that lacks a folder. */

const role = (name: string, more = '') => `name: ${name}
role: >
  Does what a ${name} does,
  and tells the lead.
${more}`

/** Teams include roles; names with signs, plugins with refs and settings, keys and files that nothing reads. */
const harbour: Readonly<Record<string, string>> = {
  'org.yaml': `name: Harbour
defaults:
  runtime: claude-code
  tier: 2
  model: sonnet
  plugins: [guard, logbook, 'github://harbour/pilotage#v1.2.0']
  category_routing: { storms: [Pilots & Tugs Lead], fog: [Lighthouse] }
  initial_prompt: |
    You just started. Wait.
workspaces:
  - !include teams/master.yaml
  - !include teams/market.yaml
template_schema_version: 1
`,
  'teams/master.yaml': `name: Harbour Master
role: Runs the harbour
tier: 3
model: opus
files_dir: master
workspace_dir: \${HARBOUR_DIR}
canvas: { x: 400, y: 50 }
initial_prompt_file: first.md
plugins:
  - triage
  - source: gitea://harbour/clock#v0.2.0
    config: { schedules: [{ name: Tides, cron_expr: '0 5 29 2 *', prompt: Read the tides. }] }
channels:
  - { type: telegram, config: { bot_token: '\${BOT}', chat_id: '\${CHAT}' } }
children:
  - !include pilots.yaml
  - !include ../clerk/workspace.yaml
`,
  'teams/pilots.yaml': `name: Pilots & Tugs Lead
parent: harbour-master
files_dir: pilots
canvas: { x: 1, y: 2 }
idle_interval_seconds: 900
schedules:
  - { name: Watch, cron_expr: '0 5 29 2 *', prompt_file: watch.md }
  - { name: Drill, cron_expr: '30 5 29 2 *', prompt: Drill., enabled: false }
children:
  - !include ../tug/workspace.yaml
  - !include ../clerk/workspace.yaml
`,
  'teams/market.yaml': `name: Market [Fish]
plugins: ['!logbook', weigher]
channels:
  - { type: telegram, env: { a: b } }
children: []
`,
  'tug/workspace.yaml': role('Tug', 'files_dir: tug\nplugins: [towing]\nidle_prompt_file: idle.md\n'),
  'clerk/workspace.yaml': role('Clerk', 'files_dir: clerk\nschedules: [{ cron_expr: "0 6 29 2 *", prompt: Count. }]\n'),
  'unused/workspace.yaml': role('Unused'),
  'master/system-prompt.md': '# Harbour Master\n',
  'master/first.md': 'Look at the sea.\n',
  'pilots/system-prompt.md': '# Pilots\n',
  'pilots/watch.md': 'Watch.\n',
  'tug/system-prompt.md': '# Tug\n',
  'tug/idle.md': 'Polish the brass.\n',
  'clerk/system-prompt.md': '# Clerk\n',
  'AGENTS.md': '# Agents\n',
}

const flat: Readonly<Record<string, string>> = {
  'org.yaml': `name: Boatyard
required_env: [{ any_of: [ANTHROPIC_API_KEY, CLAUDE_CODE_OAUTH_TOKEN] }]
recommended_env: [TIMBER_TOKEN]
defaults: { runtime: claude-code, tier: 3, model: sonnet }
workspaces:
  - name: Shipwright
    role: >
      Draws the boat,
      and builds it.
    files_dir: shipwright
    workspace_dir: /workspace/boat
    initial_prompt: |
      You just started.
    children:
      - { name: Sailmaker, role: Sews., files_dir: sailmaker, initial_prompt: You sew. }
      - { name: Caulker, role: Caulks., files_dir: caulker, initial_prompt: You caulk. }
`,
  'shipwright/system-prompt.md': '# Shipwright\n',
  'sailmaker/system-prompt.md': '# Sailmaker\n',
  'caulker/system-prompt.md': '# Caulker\n',
}

const bare: Readonly<Record<string, string>> = {
  'org.yaml': `name: Ferry
defaults:
  runtime: langgraph
  tier: 2
  required_env: [FERRY_KEY]
  config: { provider: x }
  initial_prompt: You just started.
workspaces:
  - name: Ferryman
    files_dir: ferryman
    model: groq:llama-3.3-70b-versatile
    children:
      - { name: Deckhand 1, model: cerebras:llama3.1-8b, canvas: { x: 300, y: 200 } }
      - { name: Deckhand 2, model: openrouter:openrouter/free }
template_schema_version: 1
`,
}

export const harbourOrgs = { harbour, flat, bare } as const
