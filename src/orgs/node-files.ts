/** The files of a node: what its agent finds in /configs beside what the operator itself writes there. */
import type { OrgNode as TemplateNode } from '../api/org-template.ts'
import type { Refuse } from './check.ts'
import type { FileTree } from './file-tree.ts'
import { limits } from './limits.ts'
import type { Prompt } from './merge.ts'
import type { Path } from './org-error.ts'
import { checkedText, readPrompt } from './prompts.ts'
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

/** Where the role folder of a node is; undefined when it has none. Throws an OrgError when it is not there. */
export function roleFolder(node: TemplateNode, at: Path, files: FileTree, refuse: Refuse): string | undefined {
  if (node.files_dir === undefined || node.files_dir === '') return undefined
  const here = [...at, 'files_dir']
  const folder = resolvePath('', node.files_dir)
  if (folder === undefined) return refuse('IncludeEscape', here, `"${node.files_dir}" leaves the template`)
  if (folder === '') return refuse('InvalidField', here, 'names the whole template: give a folder in it')
  return files.below(folder).length > 0
    ? folder
    : refuse('FileMissing', here, `there is no file below "${folder}/" in the source`)
}

/** Paths below /configs, sorted, with their text. Throws an OrgError for a prompt file that is not there. */
export function filesOf(scope: Scope): ReadonlyMap<string, string> {
  const { node, merged, at, refuse } = scope
  const files = roleFiles(scope)
  const own = node.system_prompt ?? ''
  const system = own === '' ? files.get(promptPaths.system) : own
  if (system !== undefined)
    files.set(promptPaths.system, checkedText(system, [...at, own === '' ? 'files_dir' : 'system_prompt'], refuse))
  for (const [path, prompt, key] of [
    [promptPaths.initial, merged.initialPrompt, 'initial_prompt'],
    [promptPaths.idle, merged.idlePrompt, 'idle_prompt'],
  ] as const)
    if (prompt !== undefined) files.set(path, promptText(prompt, key, scope))
  const sorted = new Map([...files].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  checkSize(sorted, at, refuse)
  return sorted
}

function roleFiles({ path, at, files, folder, parsed, refuse, warnings }: Scope): Map<string, string> {
  const own = new Map<string, string>()
  if (folder === undefined) return own
  for (const file of files.below(folder)) {
    if (parsed.has(file)) continue
    const name = file.slice(folder.length + 1)
    const why = whyKept(name)
    const text = files.text(file) ?? ''
    if (Buffer.byteLength(name) > longestPath)
      refuse('InvalidField', [...at, 'files_dir'], `a path below it is longer than ${longestPath} bytes: "${name}"`)
    if (why === undefined) own.set(name, /\.(sh|py|md)$/.test(name) ? text.replaceAll('\r\n', '\n') : text)
    else warnings.add('FileSkipped', path, `${file} is left out: ${why}`)
  }
  return own
}

function promptText(prompt: Prompt, key: string, { node, path, at, folder, files, refuse, warnings }: Scope): string {
  const by = prompt.from === 'node' ? at : ['defaults']
  if ('file' in prompt)
    return checkedText(
      readPrompt(files, prompt.file, prompt.from === 'node' ? (folder ?? '') : '', [...by, `${key}_file`], refuse),
      [...by, `${key}_file`],
      refuse,
    )
  const unread = key === 'initial_prompt' ? node.initial_prompt_file : node.idle_prompt_file
  if (prompt.from === 'node' && unread !== undefined && unread !== '')
    warnings.add('IneffectiveField', path, `${key}_file is not read: there is ${key}, too`, [...at, `${key}_file`])
  return checkedText(prompt.text, [...by, key], refuse)
}

function checkSize(files: ReadonlyMap<string, string>, at: Path, refuse: Refuse) {
  const bytes = bytesOf(files)
  if (bytes > limits.nodeBytes) refuse('TooLarge', at, `its files have ${bytes} bytes, more than ${limits.nodeBytes}`)
  if (files.size > mostFiles) refuse('TooLarge', at, `it has ${files.size} files, more than ${mostFiles}`)
}

export const bytesOf = (files: ReadonlyMap<string, string>): number =>
  [...files].reduce((sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text), 0)
