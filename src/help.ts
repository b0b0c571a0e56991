/** The text of `--help`: commands, and every setting with what it must be and what it is when not given. */
import type { z } from 'zod'
import { adoptUsage, migrateUsage, releasedBackends, secretSettings, settingsWith } from './config.ts'
import { factsOf } from './setting-values.ts'

const commands: readonly (readonly [string, string])[] = [
  [
    'run',
    'Runs the operator until SIGTERM or SIGINT. Exit codes: 0 stopped, 1 failed, 2 wrong settings, 3 another leads.',
  ],
  [
    'migrate',
    `Brings the schema of the database to this version and ends; run does so itself unless MIGRATE=false.\n${migrateUsage}: back to where that migration was the last, before an older version is started.`,
  ],
  ['adopt', `Gives rows and containers of the system before to namespaces, or lists them.\n${adoptUsage}`],
  ['version', 'Prints the version; also --version.'],
  ['help', 'Prints this; also --help and -h.'],
]

/** Columns of a terminal that texts are broken at. */
const columns = 100
const indent = ' '.repeat(6)

export function helpText(): string {
  const settings = Object.entries(settingsWith(releasedBackends)).map(([name, setting]) => {
    const flagName = `--${name.toLowerCase().replaceAll('_', '-')}`
    const title = secretSettings.has(name) ? `${flagName}-file FILE, ${name} or ${name}_FILE` : `${flagName}, ${name}`
    return `  ${title}\n${folded(settingText(setting))}`
  })
  return `molecule-operator COMMAND [settings]

${commands.map(([name, text]) => `  ${name}\n${text.split('\n').map(folded).join('\n')}`).join('\n')}

Settings: each is a flag (--workers 8 or --workers=8) or a variable of the environment; the flag wins. A secret is no
flag, since arguments can be read by others on the machine: it comes by the environment, or from a file.

${settings.join('\n')}
`
}

/** What a setting is, what it must be, and what it is when not given. */
export function settingText(setting: z.ZodType): string {
  const { expects, usually } = factsOf(setting)
  const facts = [
    sentence(setting.description ?? ''),
    expects === undefined ? '' : sentence(`Must be ${expects}`),
    usually === undefined ? '' : `Default: ${usually}.`,
  ]
  return facts.filter((fact) => fact !== '').join(' ')
}

const sentence = (text: string) => (/[.:]$/.test(text) ? text : `${text}.`)

/** Broken at blanks; a word that is longer than a line has one to itself. */
function folded(text: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? ''
    if (last !== '' && indent.length + last.length + 1 + word.length > columns) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines.map((line) => `${indent}${line}`).join('\n')
}
