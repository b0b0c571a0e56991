/**
 * One template, twice: as a folder (includes, prompts from files, a schedule's prompt, plugins with an opt-out) and as
 * the plain tree that it stands for. One above six, as in the org that the golden coordinates were measured on.
 */

const texts = {
  pilot: '# Pilot\n\nYou bring the question in, and decide when it is answered.\n',
  cartographer: '# Cartographer\n\nYou draw what was measured, and nothing else.\n',
  diver: '# Diver\n\nYou go down, look, and say what you saw.\n',
  gauger: '# Gauger\n\nYou read the tide gauge.\n',
  chronicler: '# Chronicler\n\nYou keep the log: who measured what, and when.\n',
  signaller: '# Signaller\n\nYou tell the harbour what it has to know.\n',
  warden: '# Warden\n\nYou say no when the sea is not to be worked on.\n',
  firstWords: 'You just started. Read /configs/system-prompt.md.\nWait until the Pilot gives you work.\n',
  pilotsFirstWords: 'You just started. Ask which bay, and only then brief your crew.\n',
  morning: 'Read the gauge, and tell the Pilot the height of the tide.',
} as const

/** Paths to texts: what a ConfigMap, an archive or a repository holds. */
export const tideFiles: Readonly<Record<string, string>> = {
  'org.yaml': `name: Tide Lab
description: Seven agents who measure one bay.
required_env:
  - any_of: [ANTHROPIC_API_KEY, CLAUDE_CODE_OAUTH_TOKEN]
recommended_env: [TIDE_TABLE_TOKEN]
defaults:
  tier: 3
  model: sonnet
  plugins: [code-review, logbook]
  initial_prompt_file: first-words.md
  category_routing: { charts: [Cartographer], storms: [Harbour Police] }
workspaces:
  - name: Pilot
    role: >
      Brings the question in, briefs the crew,
      and decides when it is answered.
    files_dir: crew/pilot
    workspace_dir: /srv/tide/pilot
    canvas: { x: 500, y: 40 }
    initial_prompt: |
      ${texts.pilotsFirstWords.trim()}
    children: !include crew/all.yaml
`,
  'crew/all.yaml': `- !include cartographer.yaml
- !include below/diver.yaml
- name: Gauger
  role: Reads the tide gauge.
  files_dir: crew/gauger
  tier: 1
  plugins: ['!logbook', tide-tables]
  schedules:
    - { name: Morning tide, cron_expr: '0 5 29 2 *', timezone: Europe/Lisbon, prompt_file: ../morning.md }
- name: Chronicler
  role: Keeps the log.
  files_dir: crew/chronicler
  initial_memories: [{ content: The first entry is the date., scope: team }]
- { name: Signaller, role: Tells the harbour., files_dir: crew/signaller, canvas: { x: 900, y: 200 } }
- { name: Warden, role: Says no., files_dir: crew/warden, plugins: [storm-glass] }
`,
  'crew/cartographer.yaml': 'name: Cartographer\nrole: Draws what was measured.\nfiles_dir: crew/cartographer\n',
  'crew/below/diver.yaml': 'name: Diver\nrole: Goes down.\nfiles_dir: crew/diver\nmodel: opus\n',
  'crew/pilot/system-prompt.md': texts.pilot,
  'crew/cartographer/system-prompt.md': texts.cartographer,
  'crew/diver/system-prompt.md': texts.diver,
  'crew/gauger/system-prompt.md': texts.gauger,
  'crew/morning.md': `${texts.morning}\n`,
  'crew/chronicler/system-prompt.md': texts.chronicler,
  'crew/signaller/system-prompt.md': texts.signaller,
  'crew/warden/system-prompt.md': texts.warden,
  'first-words.md': texts.firstWords,
}

const member = (name: string, role: string, system_prompt: string, more: object = {}) => ({
  name,
  role,
  system_prompt,
  initial_prompt: texts.firstWords,
  ...more,
})

/** The same, for `spec.source.inline`. */
export const tideTree = {
  name: 'Tide Lab',
  description: 'Seven agents who measure one bay.',
  required_env: [{ any_of: ['ANTHROPIC_API_KEY', 'CLAUDE_CODE_OAUTH_TOKEN'] }],
  recommended_env: ['TIDE_TABLE_TOKEN'],
  defaults: {
    tier: 3,
    model: 'sonnet',
    plugins: ['code-review', 'logbook'],
    category_routing: { charts: ['Cartographer'], storms: ['Harbour Police'] },
  },
  workspaces: [
    {
      name: 'Pilot',
      role: 'Brings the question in, briefs the crew, and decides when it is answered.',
      system_prompt: texts.pilot,
      workspace_dir: '/srv/tide/pilot',
      canvas: { x: 500, y: 40 },
      initial_prompt: texts.pilotsFirstWords,
      children: [
        member('Cartographer', 'Draws what was measured.', texts.cartographer),
        member('Diver', 'Goes down.', texts.diver, { model: 'opus' }),
        member('Gauger', 'Reads the tide gauge.', texts.gauger, {
          tier: 1,
          plugins: ['!logbook', 'tide-tables'],
          schedules: [
            { name: 'Morning tide', cron_expr: '0 5 29 2 *', timezone: 'Europe/Lisbon', prompt: texts.morning },
          ],
        }),
        member('Chronicler', 'Keeps the log.', texts.chronicler, {
          initial_memories: [{ content: 'The first entry is the date.', scope: 'team' }],
        }),
        member('Signaller', 'Tells the harbour.', texts.signaller, { canvas: { x: 900, y: 200 } }),
        member('Warden', 'Says no.', texts.warden, { plugins: ['storm-glass'] }),
      ],
    },
  ],
}

/** Where each is drawn, by its path: absolute, with cards of 300 × 176. */
export const tidePlaces: Readonly<Record<string, readonly [number, number]>> = {
  Pilot: [500, 40],
  'Pilot/Cartographer': [516, 170],
  'Pilot/Diver': [830, 170],
  'Pilot/Gauger': [516, 360],
  'Pilot/Chronicler': [830, 360],
  'Pilot/Signaller': [516, 550],
  'Pilot/Warden': [830, 550],
}

/** What is odd in it, and nothing else. */
export const tideOddities = ['DanglingRoute ', 'IgnoredCanvas Pilot/Signaller', 'IneffectiveWorkspaceDir Pilot']
