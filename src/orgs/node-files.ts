/** The files of a node: what its agent finds in /configs beside what the operator itself writes there. */
import type { OrgNode as TemplateNode } from '../api/org-template.ts'
import type { Refuse } from './check.ts'
import { limits } from './limits.ts'
import type { Prompt } from './merge.ts'
import type { Path } from './org-error.ts'
import { checkedText, fileNamed, refuseUnreadable } from './prompts.ts'
import type { Scope } from './scope.ts'
import { resolvePath } from './source-path.ts'

/** Where the prompts of a node go. What a role folder holds under these names is replaced. */
export const promptPaths = {
  system: 'system-prompt.md',
  initial: 'prompts/initial.md',
  idle: 'prompts/idle.md',
} as const

/** What a role folder may hold and no agent gets: secrets in clear, and what the operator writes itself. */
const kept: Readonly<Record<string, string>> = {
  '.auth_token': 'the operator writes this file',
  '.platform_inbound_secret': 'the operator writes this file',
  'config.yaml': 'the operator writes this file',
  'MEMORY.md': 'the agent writes this file',
  'USER.md': 'the agent writes this file',
  'CLAUDE.md': 'the agent writes this file',
}

/** `.env` and `.env.local`, in any folder; not what only shows how one is written. */
const variables = /(^|\/)\.env(\.(?!example$|sample$|template$)[^/]*)?$/

/** A Workspace refuses what its agent writes itself: a delivery would overwrite what the agent has learned. */
function whyKept(name: string): string | undefined {
  if (variables.test(name)) return 'variables come from spec.env.from, never from files'
  if (name.startsWith('.claude/')) return 'the agent writes this folder'
  return Object.hasOwn(kept, name) ? kept[name] : undefined
}

const mostFiles = 512
/** In bytes: what every archive and file system can hold. */
const longestPath = 200

/** Where the files of a node are seen from, "" for the top; undefined when it does not say. Throws an OrgError. */
export function roleFolder(node: TemplateNode, at: Path, refuse: Refuse): string | undefined {
  if (node.files_dir === undefined || node.files_dir === '') return undefined
  const folder = resolvePath('', node.files_dir)
  return folder ?? refuse('IncludeEscape', [...at, 'files_dir'], `"${node.files_dir}" leaves the template`)
}

/** Paths below /configs, sorted, with their text. Throws an OrgError. */
export function filesOf(scope: Scope): ReadonlyMap<string, string> {
  const { node, merged, at, refuse, attempt } = scope
  const files = attempt(() => roleFiles(scope), new Map<string, string>())
  const own = node.system_prompt ?? ''
  const system = own === '' ? files.get(promptPaths.system) : own
  if (system !== undefined) {
    const here = [...at, own === '' ? 'files_dir' : 'system_prompt']
    files.set(
      promptPaths.system,
      attempt(() => checkedText(system, here, refuse), ''),
    )
  }
  for (const [path, prompt, key] of [
    [promptPaths.initial, merged.initialPrompt, 'initial_prompt'],
    [promptPaths.idle, merged.idlePrompt, 'idle_prompt'],
  ] as const)
    if (prompt !== undefined) {
      const text = attempt(() => promptText(prompt, key, scope), undefined)
      if (text !== undefined) files.set(path, text)
    }
  const sorted = new Map([...files].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  checkSize(sorted, at, refuse)
  return sorted
}

function roleFiles(scope: Scope): Map<string, string> {
  const { path, at, files, folder, parsed, undelivered, refuse, warnings } = scope
  const own = new Map<string, string>()
  if (folder === undefined) return own
  const there = files.below(folder)
  if (there.length === 0) {
    refuseUnreadable(scope, folder, [...at, 'files_dir'])
    absent(scope, [...at, 'files_dir'], `there is no file below "${folder}/" in the source: it gets none`)
  }
  for (const file of there) {
    // What is read by !include is the template itself.
    if (parsed.has(file)) {
      undelivered.add(file)
      continue
    }
    const name = folder === '' ? file : file.slice(folder.length + 1)
    const why = whyKept(name)
    const text = files.text(file) ?? ''
    if (Buffer.byteLength(name) > longestPath)
      refuse('InvalidField', [...at, 'files_dir'], `a path below it is longer than ${longestPath} bytes: "${name}"`)
    if (why === undefined) own.set(name, /\.(sh|py|md)$/.test(name) ? text.replaceAll('\r\n', '\n') : text)
    else warnings.add('FileSkipped', path, `${file} is left out: ${why}`)
  }
  return own
}

/** Undefined when it is in a file that is not there. */
function promptText(prompt: Prompt, key: string, scope: Scope): string | undefined {
  const { node, path, at, folder, files, refuse, warnings } = scope
  const by = prompt.from === 'node' ? at : ['defaults']
  if ('file' in prompt) {
    const here = [...by, `${key}_file`]
    const file = fileNamed(prompt.file, prompt.from === 'node' ? (folder ?? '') : '', here, refuse)
    const text = files.text(file)
    if (text !== undefined) return checkedText(text, here, refuse)
    refuseUnreadable(scope, file, here)
    absent(scope, here, `"${file}" is not in the source: there is no ${key}`)
    return undefined
  }
  const unread = key === 'initial_prompt' ? node.initial_prompt_file : node.idle_prompt_file
  if (prompt.from === 'node' && unread !== undefined && unread !== '')
    warnings.add('IneffectiveField', path, `${key}_file is not read: there is ${key}, too`, [...at, `${key}_file`])
  return checkedText(prompt.text, [...by, key], refuse)
}

/** A template goes on without a file that it names, as it always did, unless spec.strict is set. */
function absent({ path, strict, refuse, warnings }: Scope, at: Path, message: string) {
  if (strict) refuse('FileMissing', at, message)
  warnings.add('FileMissing', at[0] === 'defaults' ? '' : path, message, at)
}

function checkSize(files: ReadonlyMap<string, string>, at: Path, refuse: Refuse) {
  const bytes = bytesOf(files)
  if (bytes > limits.nodeBytes) refuse('TooLarge', at, `its files have ${bytes} bytes, more than ${limits.nodeBytes}`)
  if (files.size > mostFiles) refuse('TooLarge', at, `it has ${files.size} files, more than ${mostFiles}`)
}

export const bytesOf = (files: ReadonlyMap<string, string>): number =>
  [...files].reduce((sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text), 0)
