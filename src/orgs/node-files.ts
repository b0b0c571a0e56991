/** The files of a node: what its agent finds in /configs beside what the operator itself writes there. */
import type { OrgNode as TemplateNode } from '../api/org-template.ts'
import type { Path, Refuse } from './check.ts'
import type { Sources } from './expand.ts'
import { limits } from './limits.ts'
import type { Effective, Prompt } from './merge.ts'
import type { OrgWarning } from './org-error.ts'
import { resolvePath } from './source-path.ts'

/** Where the prompts of a node go. What a role folder holds under these names is replaced. */
export const promptPaths = {
  system: 'system-prompt.md',
  initial: 'prompts/initial.md',
  idle: 'prompts/idle.md',
} as const

/** What a role folder may hold and no agent gets: secrets in clear, and what the operator writes itself. */
const kept: Readonly<Record<string, string>> = {
  '.env': 'variables come from spec.env.from, never from files',
  '.auth_token': 'the operator writes this file',
  '.platform_inbound_secret': 'the operator writes this file',
  'config.yaml': 'the operator writes this file',
}

const mostFiles = 512

interface Inputs {
  readonly node: TemplateNode
  readonly merged: Effective
  /** Of the node, in the template. */
  readonly path: Path
  readonly nodePath: string
  readonly sources: Sources
  /** Files that are part of the template itself. */
  readonly parsed: ReadonlySet<string>
  readonly refuse: Refuse
}

/** Paths below /configs, sorted, with their text. Throws an OrgError for a folder or a file that is not there. */
export function filesOf(inputs: Inputs): { files: ReadonlyMap<string, string>; warnings: OrgWarning[] } {
  const { node, merged, path, refuse } = inputs
  const folder = folderOfNode(inputs)
  const { files, warnings } = roleFolder(inputs, folder)
  const put = (name: string, text: string | undefined, at: Path) => {
    if (text !== undefined) files.set(name, checkedPrompt(text, at, refuse))
  }
  const system = node.system_prompt === '' ? undefined : node.system_prompt
  put(promptPaths.system, system ?? files.get(promptPaths.system), [...path, system ? 'system_prompt' : 'files_dir'])
  put(promptPaths.initial, promptText(inputs, merged.initialPrompt, 'initial_prompt', folder), [
    ...path,
    'initial_prompt',
  ])
  put(promptPaths.idle, promptText(inputs, merged.idlePrompt, 'idle_prompt', folder), [...path, 'idle_prompt'])
  const sorted = new Map([...files].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  checkSize(sorted, path, refuse)
  return { files: sorted, warnings }
}

/** Undefined when the node has none. */
function folderOfNode({ node, path, sources, refuse }: Inputs): string | undefined {
  if (node.files_dir === undefined || node.files_dir === '') return undefined
  const at = [...path, 'files_dir']
  const folder = resolvePath('', node.files_dir)
  if (folder === undefined) return refuse('IncludeEscape', at, `"${node.files_dir}" leaves the template`)
  if (folder === '') return refuse('InvalidField', at, 'names the whole template: give a folder in it')
  for (const file of sources.keys()) if (file.startsWith(`${folder}/`)) return folder
  return refuse('FileMissing', at, `there is no file below "${folder}/" in the source`)
}

function roleFolder({ nodePath, sources, parsed }: Inputs, folder: string | undefined) {
  const files = new Map<string, string>()
  const warnings: OrgWarning[] = []
  if (folder === undefined) return { files, warnings }
  for (const [file, text] of sources) {
    if (!file.startsWith(`${folder}/`) || parsed.has(file)) continue
    const name = file.slice(folder.length + 1)
    const why = Object.hasOwn(kept, name) ? kept[name] : undefined
    if (why === undefined) files.set(name, /\.(sh|py|md)$/.test(name) ? text.replaceAll('\r\n', '\n') : text)
    else warnings.push({ code: 'FileSkipped', path: nodePath, message: `${file} is left out: ${why}` })
  }
  return { files, warnings }
}

function promptText(inputs: Inputs, prompt: Prompt | undefined, key: string, folder: string | undefined) {
  if (prompt === undefined) return undefined
  if ('text' in prompt) return prompt.text
  const { path, sources, refuse } = inputs
  const at = prompt.from === 'node' ? [...path, `${key}_file`] : ['defaults', `${key}_file`]
  const file = resolvePath(prompt.from === 'node' ? (folder ?? '') : '', prompt.file)
  if (file === undefined) return refuse('IncludeEscape', at, `"${prompt.file}" leaves the template`)
  return sources.get(file) ?? refuse('FileMissing', at, `"${file}" is not in the source`)
}

/** A stray control character once made agents crash at every start, so none is let in. */
// oxlint-disable-next-line no-control-regex
const unprintable = /[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]/

function checkedPrompt(text: string, at: Path, refuse: Refuse): string {
  const lines = text.replaceAll('\r\n', '\n').replace(/^\uFEFF/, '')
  const found = unprintable.exec(lines)
  if (found === null) return lines
  const code = (lines.codePointAt(found.index) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  const line = lines.slice(0, found.index).split('\n').length
  return refuse('InvalidField', at, `line ${line} of the prompt has the control character U+${code}`)
}

function checkSize(files: ReadonlyMap<string, string>, path: Path, refuse: Refuse) {
  let bytes = 0
  for (const [name, text] of files) bytes += Buffer.byteLength(name) + Buffer.byteLength(text)
  if (bytes > limits.nodeBytes) refuse('TooLarge', path, `its files have ${bytes} bytes, more than ${limits.nodeBytes}`)
  if (files.size > mostFiles) refuse('TooLarge', path, `it has ${files.size} files, more than ${mostFiles}`)
}
