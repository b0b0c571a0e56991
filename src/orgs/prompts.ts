/** Texts that agents are told: given as they are, or as a file of the source. */
import type { Refuse } from './check.ts'
import type { Path } from './org-error.ts'
import type { Scope } from './scope.ts'
import { resolvePath } from './source-path.ts'
import { flawOf } from './source-text.ts'

/** The text as it is told: lines end in a line feed. A control character once made agents crash at every start. */
export function checkedText(text: string, at: Path, refuse: Refuse): string {
  const lines = text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
  const flaw = flawOf(lines, 'prompt')
  if (flaw === undefined) return lines
  const line = lines.slice(0, flaw.offset).split('\n').length
  return refuse('InvalidField', at, `line ${line} of the text has ${flaw.what}`)
}

/** The path of a file that is named from `folder`; refused when it leaves the template. */
export function fileNamed(name: string, folder: string, at: Path, refuse: Refuse): string {
  return resolvePath(folder, name) ?? refuse('IncludeEscape', at, `"${name}" leaves the template`)
}

/** What is there and cannot be read is no file that is merely missing: a link leads somewhere, and not here. */
export function refuseUnreadable({ files, refuse }: Pick<Scope, 'files' | 'refuse'>, path: string, at: Path): void {
  const why = files.why(path)
  if (why !== undefined) refuse('FileMissing', at, `"${path}" cannot be read: ${why}`)
}
