/** One file of YAML: its tree of nodes, and where in it an offset is. */
import { LineCounter, parseAllDocuments, type Node } from 'yaml'
import { limits } from './limits.ts'
import { OrgError } from './org-error.ts'
import { flawOf, longLine } from './source-text.ts'

export interface YamlFile {
  readonly path: string
  readonly lines: LineCounter
  readonly contents: Node | null
  /** There is more than the one document that is read. */
  readonly more: boolean
}

/** Throws an OrgError. `includedFrom` is part of what it says. */
export function readYaml(path: string, text: string, includedFrom: readonly string[]): YamlFile {
  const at = (line: number, column: number) => ({ file: path, line, column, includedFrom })
  const flaw = flawOf(text, 'yaml')
  if (flaw !== undefined) {
    const before = text.slice(0, flaw.offset).split('\n')
    throw new OrgError('SyntaxError', flaw.what, at(before.length, (before.at(-1)?.length ?? 0) + 1))
  }
  const long = longLine(text, limits.line)
  if (long !== undefined) throw new OrgError('TooLarge', `a line of more than ${limits.line} characters`, at(long, 1))
  const lines = new LineCounter()
  const documents = compose(text, lines, () => new OrgError('TooLarge', 'nested too deeply to be read', at(1, 1)))
  const first = documents[0]
  const fault = first?.errors[0]
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0])
    throw new OrgError('SyntaxError', fault.message.replaceAll(/\s*\n\s*/g, ' '), at(line, col))
  }
  return { path, lines, contents: first?.contents ?? null, more: documents.length > 1 }
}

/** Keys are checked for uniqueness elsewhere and not by the parser, which compares each with each. */
function compose(text: string, lineCounter: LineCounter, tooDeep: () => OrgError) {
  try {
    const documents = parseAllDocuments(text, { lineCounter, prettyErrors: false, uniqueKeys: false })
    return 'empty' in documents ? [] : documents
  } catch {
    // The parser recurses: text nested without end exhausts the stack.
    throw tooDeep()
  }
}
